"""The pages of single things: a profile, a list, an event ..."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account import jobs
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.http.app import Sandbox
from klaviyo_sandbox.page import tables
from klaviyo_sandbox.page.model import Block, Cell, Document, Facts, Link, Table, View, to
from klaviyo_sandbox.page.overview import pager, start_of
from klaviyo_sandbox.page.tables import status, when

_EVENTS = 20
_APART = ("id", "properties", "location", "subscriptions", "predictive_analytics", "other_emails", "anonymous_id")


def profile(store: Store, profile_id: str) -> View | None:
    """A person: what is known, what was consented to, where they belong and what they did."""
    row = store.profiles.get(profile_id)
    if row is None:
        return None
    known = {_words(name): _shown(name, value) for name, value in row.items() if name not in _APART}
    blocks: list[Block] = [
        Facts("Attributes", {"Id": profile_id, **known}),
        _consents(row["subscriptions"]),
        tables.groups(store, "lists", store.groups_of("list", profile_id)),
        tables.groups(store, "segments", store.groups_of("segment", profile_id)),
        _events_of(store, profile_id),
        Document("Custom properties", row.get("properties") or {}),
        Document("Location", {name: value for name, value in (row.get("location") or {}).items() if value is not None}),
    ]
    return View(tables.known_as(row), blocks, crumbs=_under("profiles"))


def group(store: Store, kind: str, group_id: str, query: Mapping[str, str]) -> View | None:
    """A list or segment (``kind``) and its members, those who joined last first."""
    is_list = kind == "lists"
    row = (store.lists if is_list else store.segments).get(group_id)
    if row is None:
        return None
    members, start = (store.list_members if is_list else store.segment_members)[group_id], start_of(query)
    facts: dict[str, Cell] = {
        "Id": group_id,
        "Members": len(members),
        "Tags": tables.tags(store, row),
        "Created": when(row["created"]),
        "Updated": when(row["updated"]),
    }
    if is_list:
        facts["Opt-in"] = str(row["opt_in_process"]).replace("_", " ")
    shown = [
        (tables.person(store, member["id"]), member["id"], when(member["joined_group_at"]))
        for member in tables.newest(members, "joined_group_at", tables.PAGE, start)
    ]
    table = Table("Members", ("Profile", "Id", "Joined"), shown)
    blocks: list[Block] = [Facts("About", facts), table, pager(f"/{kind}/{group_id}", start, len(members))]
    if not is_list:
        blocks.append(Document("Definition", row["definition"]))
    return View(row["name"], blocks, crumbs=_under(kind))


def event(store: Store, event_id: str) -> View | None:
    row = store.events.get(event_id)
    if row is None:
        return None
    metric = store.metrics.get(row["metric_id"])
    facts: dict[str, Cell] = {
        "Id": event_id,
        "Time": when(row["datetime"]),
        "Metric": metric["name"] if metric else row["metric_id"],
        "Profile": tables.person(store, row["profile_id"]),
    }
    blocks: list[Block] = [Facts("About", facts), Document("Properties", row["event_properties"] or {})]
    return View(str(facts["Metric"]), blocks, crumbs=_under("events"))


def job(store: Store, job_id: str) -> View | None:
    """A bulk job with the rows that it could not do."""
    for kind in (jobs.IMPORT, jobs.SUPPRESS, jobs.UNSUPPRESS):
        row = jobs.table_of(store, kind).get(job_id)
        if row is not None:
            return _job(store, row)
    return None


def _job(store: Store, row: Row) -> View:
    shown = jobs.view(store, row)
    into = [store.lists.get(list_id) for list_id in shown.get("list_ids", ())]
    facts: dict[str, Cell] = {
        _words(name): when(value) if name.endswith("_at") else value
        for name, value in shown.items()
        if name not in ("status", "list_ids")
    }
    facts = {
        "Status": status(shown["status"]),
        "Lists": [to("lists", found["id"], found["name"]) for found in into if found] or None,
        **facts,
    }
    blocks: list[Block] = [Facts("About", facts)]
    if "failures" in row:
        failures = row["failures"]
        rows = [
            (one["code"], one["detail"], str(tables.known_as({"id": "", **one["original_payload"]})))
            for one in failures[: tables.PAGE]
        ]
        note = f"{len(failures) - len(rows):,} more." if len(failures) > len(rows) else ""
        blocks.append(Table("Rows that failed", ("Code", "Reason", "Whose"), rows, note=note))
    return View(f"{tables.KINDS[row['kind']]} of {row['total_count']:,}", blocks, crumbs=_under("jobs"))


def campaign(store: Store, campaign_id: str) -> View | None:
    """A campaign with its audiences and messages."""
    row = store.campaigns.get(campaign_id)
    if row is None:
        return None
    facts: dict[str, Cell] = {
        "Id": campaign_id,
        "Status": status(row["status"]),
        "Sent to": list(_audience(store, row, "included")),
        "Not sent to": list(_audience(store, row, "excluded")) or None,
        "Tags": tables.tags(store, row),
        "Created": when(row["created_at"]),
        "Scheduled": when(row["scheduled_at"]),
        "Send time": when(row["send_time"]),
        "Archived": row["archived"],
    }
    messages = [store.campaign_messages.get(message_id) for message_id in row["message_ids"]]
    rows = [
        (one["definition"]["channel"], (one["definition"].get("content") or {}).get("subject"), one["id"])
        for one in messages
        if one is not None
    ]
    blocks: list[Block] = [Facts("About", facts), Table("Messages", ("Channel", "Subject", "Id"), rows)]
    return View(row["name"], blocks, crumbs=_under("campaigns"))


def flow(store: Store, flow_id: str) -> View | None:
    """A flow with its steps and messages."""
    row = store.flows.get(flow_id)
    if row is None:
        return None
    facts: dict[str, Cell] = {
        "Id": flow_id,
        "Status": status(row["status"]),
        "Trigger": row["trigger_type"],
        "Tags": tables.tags(store, row),
        "Created": when(row["created"]),
        "Updated": when(row["updated"]),
        "Archived": row["archived"],
    }
    steps = [found for action_id in row["action_ids"] if (found := store.flow_actions.get(action_id)) is not None]
    rows = [(step["action_type"], status(step["status"]), _messages(store, step), step["id"]) for step in steps]
    blocks: list[Block] = [Facts("About", facts), Table("Actions", ("Action", "Status", "Messages", "Id"), rows)]
    return View(row["name"], blocks, crumbs=_under("flows"))


def detail(sandbox: Sandbox, kind: str, row_id: str, query: Mapping[str, str]) -> View | None:
    """The page of one thing; None when there is no such thing."""
    store = sandbox.store
    with store.lock:
        if kind in ("lists", "segments"):
            return group(store, kind, row_id, query)
        pages = {"profiles": profile, "events": event, "jobs": job, "campaigns": campaign, "flows": flow}
        return pages[kind](store, row_id) if kind in pages else None


def _events_of(store: Store, profile_id: str) -> Table:
    if not tables.can_pick(store.events, "profile_id"):
        note = "In an account of this size, nobody's events can be picked out quickly enough to show them here."
        return Table("Latest events", (), (), note)
    held = [store.events.rows[event_id] for event_id in store.events.ids_with("profile_id", (profile_id,))]
    held.sort(key=lambda row: (row["datetime"], row["id"]), reverse=True)
    note = f"The latest of {len(held):,}." if len(held) > _EVENTS else ""
    return tables.events(store, held[:_EVENTS], "Latest events", note=note, of_one=True)


def _consents(subscriptions: Mapping[str, Mapping[str, Row] | None]) -> Table:
    rows: list[Sequence[Cell]] = []
    for channel, kinds in subscriptions.items():
        for kind, held in (kinds or {}).items():
            if held and "consent" in held:
                reasons = ", ".join(entry["reason"] for entry in held.get("suppression") or ())
                rows.append(
                    (_words(channel), kind, status(held["consent"]), when(held.get("consent_timestamp")), reasons)
                )
    return Table(
        "Consent", ("Channel", "Kind", "Consent", "Given", "Suppressed for"), rows, "Nothing was consented to."
    )


def _audience(store: Store, campaign_row: Row, side: str) -> Iterator[Link]:
    # A draft may have no audience, or say nothing of one side of it.
    for group_id in (campaign_row["audiences"] or {}).get(side) or ():
        for kind, table in (("lists", store.lists), ("segments", store.segments)):
            row = table.get(group_id)
            if row is not None:
                yield to(kind, group_id, row["name"])


def _messages(store: Store, step: Row) -> str:
    messages = (store.flow_messages.get(message_id) for message_id in step["message_ids"])
    return ", ".join(message["name"] for message in messages if message is not None)


def _under(kind: str) -> list[Link]:
    return [Link("Overview", "/"), Link(kind.capitalize(), f"/{kind}")]


def _words(name: str) -> str:
    words = name.replace("_", " ")
    return "SMS" if words == "sms" else words[:1].upper() + words[1:]


def _shown(name: str, value: Any) -> Cell:
    return when(value) if isinstance(value, str) and name in ("created", "updated", "last_event_date") else value
