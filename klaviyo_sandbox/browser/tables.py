"""Tables of the account's rows, which several pages show. The caller holds ``store.lock``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from urllib.parse import quote

from klaviyo_sandbox.account import jobs
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table as StoreTable
from klaviyo_sandbox.browser.model import Badge, Cell, Link, Pager, Table, Timestamp, link_to

# Rows of a long table that one page shows.
PAGE_SIZE = 50
# A table of more rows is not searched for a page, because that takes about a second.
_MAX_SEARCHED = 200_000

_TONES = {
    **dict.fromkeys(("complete", "Sent", "live", "SUBSCRIBED"), "good"),
    **dict.fromkeys(("cancelled", "Cancelled", "UNSUBSCRIBED"), "bad"),
    **dict.fromkeys(("queued", "processing", "Sending", "Scheduled", "manual"), "busy"),
}
JOB_KINDS = {jobs.IMPORT: "Import", jobs.SUPPRESS: "Suppress", jobs.UNSUPPRESS: "Unsuppress"}


def newest(table: StoreTable, field: str, count: int, start: int = 0) -> list[Row]:
    """Rows with the highest values of a field, in descending order: at most ``count``, without the first ``start``."""
    last = len(table) - 1 - start
    return list(table.rows_at(field, range(last, max(-1, last - count), -1)))


def can_filter(table: StoreTable, field: str) -> bool:
    """Whether rows are found quickly by a field's value: not in a huge table, nor where rows are computed when read."""
    return len(table) <= _MAX_SEARCHED and table.is_indexed(field)


def timestamp(iso_time: str | None, kind: str = "", row_id: str = "") -> Timestamp | None:
    """A time to the second, None where there is none. With a kind and an id it links to that resource's page."""
    href = link_to(kind, row_id).href if kind else ""
    return Timestamp(iso_time[:19].replace("T", " "), href) if iso_time else None


def status_badge(name: str | None) -> Badge | None:
    return Badge(name, _TONES.get(name, "calm")) if name else None


def profile_link(store: Store, profile_id: str) -> Link | str:
    """Link to a profile by its display name; the id alone when the profile was deleted."""
    row = store.profiles.get(profile_id)
    return profile_id if row is None else link_to("profiles", profile_id, display_name(row))


def display_name(row: Row) -> str:
    """A profile's e-mail address, else phone number, external id or id: the first that it has."""
    return str(row.get("email") or row.get("phone_number") or row.get("external_id") or row["id"])


def full_name(row: Row | None) -> str:
    """A profile's first and last name, as far as it has them; of a deleted one (None) there is nothing."""
    return " ".join(filter(None, (row.get("first_name"), row.get("last_name")))) if row else ""


def profiles(rows: Iterable[Row], caption: str, more: Link | None = None, empty_text: str = "None.") -> Table:
    cells = [
        (
            link_to("profiles", row["id"], display_name(row)),
            full_name(row),
            timestamp(row["updated"]),
        )
        for row in rows
    ]
    return Table(caption, ("Profile", "Name", "Updated"), cells, empty_text, more=more)


def events(
    store: Store,
    rows: Iterable[Row],
    caption: str,
    more: Link | None = None,
    note: str = "",
    *,
    empty_text: str = "None.",
    one_profile: bool = False,
) -> Table:
    """Events in the order given. ``one_profile``: all belong to the profile of the page, so no column names it."""
    cells = [
        (
            timestamp(row["datetime"], "events", row["id"]),
            _name(store.metrics, row["metric_id"]),
            *(() if one_profile else (profile_link(store, row["profile_id"]),)),
            _format_value(row),
        )
        for row in rows
    ]
    columns = ("Time", "Metric", *(() if one_profile else ("Profile",)), "Value")
    return Table(caption, columns, cells, empty_text, numeric=("Value",), note=note, more=more)


def groups(store: Store, kind: str, ids: Collection[str] | None = None) -> Table:
    """Lists or segments (``kind``), the newest first: all, or those with some ids."""
    is_list = kind == "lists"
    table, members = (store.lists, store.list_members) if is_list else (store.segments, store.segment_members)
    rows = [
        (link_to(kind, row["id"], row["name"]), len(members[row["id"]]), tag_names(store, row))
        for row in newest(table, "created", len(table))
        if ids is None or row["id"] in ids
    ]
    singular = "List" if is_list else "Segment"
    return Table(f"{singular}s", (singular, "Members", "Tags"), rows)


def metrics(store: Store) -> Table:
    """Metrics by name, each with the number of its events where they can be counted quickly."""
    can_count = can_filter(store.events, "metric_id")
    rows: list[Sequence[Cell]] = []
    for row in store.metrics.rows_at("name", range(len(store.metrics))):
        count = sum(1 for _ in store.events.ids_with("metric_id", (row["id"],))) if can_count else None
        integration = row.get("integration") or {}
        link = Link(row["name"], f"/events?metric={quote(row['id'], safe='')}")
        rows.append((link, integration.get("name"), count))
    note = "" if can_count else "Events are not counted by metric in an account of this size."
    return Table("Metrics", ("Metric", "Integration", "Events"), rows, numeric=("Events",), note=note)


def campaigns(store: Store, count: int, more: Link | None = None) -> Table:
    rows = [
        (
            link_to("campaigns", row["id"], row["name"]),
            status_badge(row["status"]),
            timestamp(row["send_time"] or row["scheduled_at"]),
            tag_names(store, row),
        )
        for row in newest(store.campaigns, "created_at", count)
    ]
    return Table("Campaigns", ("Campaign", "Status", "Send time", "Tags"), rows, more=more)


def flows(store: Store, count: int, more: Link | None = None) -> Table:
    rows = [
        (
            link_to("flows", row["id"], row["name"]),
            status_badge(row["status"]),
            row["trigger_type"],
            tag_names(store, row),
        )
        for row in newest(store.flows, "created", count)
    ]
    return Table("Flows", ("Flow", "Status", "Trigger", "Tags"), rows, more=more)


def import_jobs(store: Store, count: int, more: Link | None = None) -> Table:
    """The latest jobs of every kind. Rows that are not done failed in an import, and were skipped in a suppression."""
    candidates = [row for kind in JOB_KINDS for row in newest(jobs.table_of(store, kind), "created_at", count)]
    latest = sorted(candidates, key=lambda row: str(row["created_at"]), reverse=True)[:count]
    rows = []
    for row in latest:
        attributes = jobs.view(store, row)
        not_done = attributes.get("failed_count", attributes.get("skipped_count"))
        rows.append(
            (
                timestamp(row["created_at"], "jobs", row["id"]),
                JOB_KINDS[row["kind"]],
                status_badge(attributes["status"]),
                attributes["total_count"],
                attributes["completed_count"],
                not_done,
            )
        )
    columns = ("Created", "Kind", "Status", "Rows", "Done", "Failed or skipped")
    note = "Other bulk writes have no job to look up. They are among the pushes."
    empty_text = f"No import and no suppression was sent. {note}"
    return Table("Jobs", columns, rows, empty_text, numeric=columns[3:], note=note, more=more)


def tag_names(store: Store, row: Row) -> str:
    return ", ".join(_name(store.tags, tag_id) for tag_id in row.get("tag_ids", ()) if tag_id in store.tags)


def parse_start(query: Mapping[str, str]) -> int:
    """Number of rows to skip, from the query's ``start``; 0 when that is missing or no number."""
    text = query.get("start", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def pager(path: str, start: int, count: int) -> Pager:
    """Links to the rows before and after those from ``start``, of ``count`` in all."""
    end = min(start + PAGE_SIZE, count)
    newer = f"{path}?start={max(0, start - PAGE_SIZE)}" if start else None
    text = f"{start + 1:,} to {end:,} of {count:,}" if start < end else f"None of {count:,}"
    return Pager(text, newer, f"{path}?start={end}" if end < count else None)


def _name(table: StoreTable, row_id: str) -> str:
    row = table.get(row_id)
    return row_id if row is None else str(row["name"])


def _format_value(row: Row) -> str | None:
    value = (row["event_properties"] or {}).get("$value")
    return f"{value:,.2f}" if isinstance(value, int | float) else None
