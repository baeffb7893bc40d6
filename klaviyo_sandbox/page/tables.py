"""Tables that several pages show, gathered from the account. Hold ``store.lock`` meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from klaviyo_sandbox.account import jobs
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table as StoreTable
from klaviyo_sandbox.page.model import Badge, Cell, Link, Moment, Table, to

# Rows of one page of a long table.
PAGE = 50
# A table of more rows is not looked through for a page: that takes about a second.
_SEARCHED = 200_000

_TONES = {
    **dict.fromkeys(("complete", "Sent", "live", "SUBSCRIBED"), "good"),
    **dict.fromkeys(("cancelled", "Cancelled", "UNSUBSCRIBED"), "bad"),
    **dict.fromkeys(("queued", "processing", "Sending", "Scheduled", "manual"), "busy"),
}
KINDS = {jobs.IMPORT: "Import", jobs.SUPPRESS: "Suppress", jobs.UNSUPPRESS: "Unsuppress"}


def newest(table: StoreTable, field: str, count: int, start: int = 0) -> list[Row]:
    """At most ``count`` rows with the highest values of a field, without the first ``start`` of them."""
    last = len(table) - 1 - start
    return list(table.rows_at(field, range(last, max(-1, last - count), -1)))


def can_pick(table: StoreTable, field: str) -> bool:
    """May rows be picked out by a field, or are they too many, or made only when they are asked for?"""
    return len(table) <= _SEARCHED and table.is_indexed(field)


def when(moment: str | None, kind: str = "", row_id: str = "") -> Moment | None:
    """A point in time to the second, None where there is none; it leads to a row where one is named."""
    href = to(kind, row_id).href if kind else ""
    return Moment(moment[:19].replace("T", " "), href) if moment else None


def status(name: str | None) -> Badge | None:
    return Badge(name, _TONES.get(name, "calm")) if name else None


def person(account: Store, profile_id: str) -> Link | str:
    """Whoever has an id, by the best name that there is; the id alone of who is gone."""
    row = account.profiles.get(profile_id)
    return profile_id if row is None else to("profiles", profile_id, known_as(row))


def known_as(row: Row) -> str:
    return str(row.get("email") or row.get("phone_number") or row.get("external_id") or row["id"])


def profiles(rows: Iterable[Row], caption: str, more: Link | None = None) -> Table:
    shown = [
        (
            to("profiles", row["id"], known_as(row)),
            " ".join(filter(None, (row.get("first_name"), row.get("last_name")))),
            when(row["updated"]),
        )
        for row in rows
    ]
    return Table(caption, ("Profile", "Name", "Updated"), shown, more=more)


def events(
    account: Store, rows: Iterable[Row], caption: str, more: Link | None = None, note: str = "", *, of_one: bool = False
) -> Table:
    """Events in the order given; ``of_one``: all are of the profile whose page it is, which need not be said."""
    shown = [
        (
            when(row["datetime"], "events", row["id"]),
            _name(account.metrics, row["metric_id"]),
            *(() if of_one else (person(account, row["profile_id"]),)),
            _amount(row),
        )
        for row in rows
    ]
    columns = ("Time", "Metric", *(() if of_one else ("Profile",)), "Value")
    return Table(caption, columns, shown, numeric=("Value",), note=note, more=more)


def groups(account: Store, kind: str, ids: Collection[str] | None = None) -> Table:
    """Lists or segments (``kind``), the youngest first: all, or those of some ids."""
    is_list = kind == "lists"
    table, members = (account.lists, account.list_members) if is_list else (account.segments, account.segment_members)
    rows = [
        (to(kind, row["id"], row["name"]), len(members[row["id"]]), tags(account, row))
        for row in newest(table, "created", len(table))
        if ids is None or row["id"] in ids
    ]
    name = "List" if is_list else "Segment"
    return Table(f"{name}s", (name, "Members", "Tags"), rows)


def metrics(account: Store) -> Table:
    """Metrics by name, with how many events each has where that is quickly known."""
    counted = can_pick(account.events, "metric_id")
    rows: list[Sequence[Cell]] = []
    for row in account.metrics.rows_at("name", range(len(account.metrics))):
        count = sum(1 for _ in account.events.ids_with("metric_id", (row["id"],))) if counted else None
        integration = row.get("integration") or {}
        rows.append((row["name"], integration.get("name"), count))
    note = "" if counted else "Events are not counted by metric in an account of this size."
    return Table("Metrics", ("Metric", "Integration", "Events"), rows, numeric=("Events",), note=note)


def campaigns(account: Store, count: int, more: Link | None = None) -> Table:
    rows = [
        (
            to("campaigns", row["id"], row["name"]),
            status(row["status"]),
            when(row["send_time"] or row["scheduled_at"]),
            tags(account, row),
        )
        for row in newest(account.campaigns, "created_at", count)
    ]
    return Table("Campaigns", ("Campaign", "Status", "Send time", "Tags"), rows, more=more)


def flows(account: Store, count: int, more: Link | None = None) -> Table:
    rows = [
        (to("flows", row["id"], row["name"]), status(row["status"]), row["trigger_type"], tags(account, row))
        for row in newest(account.flows, "created", count)
    ]
    return Table("Flows", ("Flow", "Status", "Trigger", "Tags"), rows, more=more)


def import_jobs(account: Store, count: int, more: Link | None = None) -> Table:
    """The latest jobs of every kind; what is not done failed in an import and was skipped in a suppression."""
    held = [row for kind in KINDS for row in newest(jobs.table_of(account, kind), "created_at", count)]
    held = sorted(held, key=lambda row: str(row["created_at"]), reverse=True)[:count]
    rows = []
    for row in held:
        shown = jobs.view(account, row)
        not_done = shown.get("failed_count", shown.get("skipped_count"))
        rows.append(
            (
                when(row["created_at"], "jobs", row["id"]),
                KINDS[row["kind"]],
                status(shown["status"]),
                shown["total_count"],
                shown["completed_count"],
                not_done,
            )
        )
    columns = ("Created", "Kind", "Status", "Rows", "Done", "Failed or skipped")
    return Table("Jobs", columns, rows, "No job was sent.", numeric=columns[3:], more=more)


def tags(account: Store, row: Row) -> str:
    return ", ".join(_name(account.tags, tag_id) for tag_id in row.get("tag_ids", ()) if tag_id in account.tags)


def _name(table: StoreTable, row_id: str) -> str:
    row = table.get(row_id)
    return row_id if row is None else str(row["name"])


def _amount(row: Row) -> str | None:
    value = (row["event_properties"] or {}).get("$value")
    return f"{value:,.2f}" if isinstance(value, int | float) else None
