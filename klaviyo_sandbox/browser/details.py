"""The pages of single resources: a profile, a list, an event ..."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account import jobs
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.browser import tables
from klaviyo_sandbox.browser.model import Block, Cell, Document, Facts, Link, Table, View, link_to
from klaviyo_sandbox.browser.tables import pager, parse_start, status_badge, timestamp
from klaviyo_sandbox.http.app import Sandbox

_MAX_EVENTS = 20
# Attributes of a profile that have a block of their own, or none.
_NOT_LISTED = ("id", "properties", "location", "subscriptions", "predictive_analytics", "other_emails", "anonymous_id")


def profile(store: Store, profile_id: str) -> View | None:
    """A profile: attributes, consent, lists, segments, latest events, custom properties; None when there is none."""
    row = store.profiles.get(profile_id)
    if row is None:
        return None
    attributes = {
        _to_label(name): _attribute_cell(name, value) for name, value in row.items() if name not in _NOT_LISTED
    }
    blocks: list[Block] = [
        Facts("Attributes", {"Id": profile_id, **attributes}),
        _consent_table(row["subscriptions"]),
        tables.groups(store, "lists", store.groups_of("list", profile_id)),
        tables.groups(store, "segments", store.groups_of("segment", profile_id)),
        _latest_events(store, profile_id),
        Document("Custom properties", row.get("properties") or {}),
        Document("Location", {name: value for name, value in (row.get("location") or {}).items() if value is not None}),
    ]
    return View(tables.display_name(row), blocks, breadcrumbs=_breadcrumbs("profiles"))


def group(store: Store, kind: str, group_id: str, query: Mapping[str, str]) -> View | None:
    """A list or segment (``kind``) and its members, the latest to join first; None when there is no such group."""
    is_list = kind == "lists"
    row = (store.lists if is_list else store.segments).get(group_id)
    if row is None:
        return None
    members, start = (store.list_members if is_list else store.segment_members)[group_id], parse_start(query)
    facts: dict[str, Cell] = {
        "Id": group_id,
        "Members": len(members),
        "Tags": tables.tag_names(store, row),
        "Created": timestamp(row["created"]),
        "Updated": timestamp(row["updated"]),
    }
    if is_list:
        facts["Opt-in"] = str(row["opt_in_process"]).replace("_", " ")
        pending = store.pending_consents.rows.values()
        facts["Wait for confirmation"] = sum(one["list_id"] == group_id for one in pending) or None
    rows = [
        (*_profile_cells(store, member["id"]), timestamp(member["joined_group_at"]))
        for member in tables.newest(members, "joined_group_at", tables.PAGE_SIZE, start)
    ]
    table = Table("Members", ("Profile", "Name", "Id", "Joined"), rows)
    blocks: list[Block] = [Facts("About", facts), table, pager(f"/{kind}/{group_id}", start, len(members))]
    if not is_list:
        blocks.append(Document("Definition", row["definition"]))
    return View(row["name"], blocks, breadcrumbs=_breadcrumbs(kind))


def event(store: Store, event_id: str) -> View | None:
    """An event and its properties; None when there is none."""
    row = store.events.get(event_id)
    if row is None:
        return None
    metric = store.metrics.get(row["metric_id"])
    facts: dict[str, Cell] = {
        "Id": event_id,
        "Time": timestamp(row["datetime"]),
        "Metric": metric["name"] if metric else row["metric_id"],
        "Profile": tables.profile_link(store, row["profile_id"]),
    }
    blocks: list[Block] = [Facts("About", facts), Document("Properties", row["event_properties"] or {})]
    return View(str(facts["Metric"]), blocks, breadcrumbs=_breadcrumbs("events"))


def job(store: Store, job_id: str) -> View | None:
    """A bulk job with the rows that failed; None when there is no such job."""
    for kind in (jobs.IMPORT, jobs.SUPPRESS, jobs.UNSUPPRESS):
        row = jobs.table_of(store, kind).get(job_id)
        if row is not None:
            return _job(store, row)
    return None


def _job(store: Store, row: Row) -> View:
    attributes = jobs.view(store, row)
    lists = [store.lists.get(list_id) for list_id in attributes.get("list_ids", ())]
    facts: dict[str, Cell] = {
        _to_label(name): timestamp(value) if name.endswith("_at") else value
        for name, value in attributes.items()
        if name not in ("status", "list_ids")
    }
    facts = {
        "Status": status_badge(attributes["status"]),
        "Lists": [link_to("lists", group["id"], group["name"]) for group in lists if group] or None,
        **facts,
    }
    blocks: list[Block] = [Facts("About", facts)]
    if "failures" in row:
        failures = row["failures"]
        rows = [
            (failure["code"], failure["detail"], str(tables.display_name({"id": "", **failure["original_payload"]})))
            for failure in failures[: tables.PAGE_SIZE]
        ]
        note = f"{len(failures) - len(rows):,} more." if len(failures) > len(rows) else ""
        blocks.append(Table("Rows that failed", ("Code", "Reason", "Whose"), rows, note=note))
    if row.get("profile_ids"):
        people = [_profile_cells(store, profile_id) for profile_id in row["profile_ids"][: tables.PAGE_SIZE]]
        unshown = len(row["profile_ids"]) - len(people)
        blocks.append(
            Table("Profiles", ("Profile", "Name", "Id"), people, note=f"{unshown:,} more." if unshown else "")
        )
    return View(f"{tables.JOB_KINDS[row['kind']]} of {row['total_count']:,}", blocks, breadcrumbs=_breadcrumbs("jobs"))


def campaign(store: Store, campaign_id: str) -> View | None:
    """A campaign with its audiences and messages; None when there is none."""
    row = store.campaigns.get(campaign_id)
    if row is None:
        return None
    facts: dict[str, Cell] = {
        "Id": campaign_id,
        "Status": status_badge(row["status"]),
        "Sent to": list(_audience_links(store, row, "included")),
        "Not sent to": list(_audience_links(store, row, "excluded")) or None,
        "Tags": tables.tag_names(store, row),
        "Created": timestamp(row["created_at"]),
        "Scheduled": timestamp(row["scheduled_at"]),
        "Send time": timestamp(row["send_time"]),
        "Archived": row["archived"],
    }
    messages = [store.campaign_messages.get(message_id) for message_id in row["message_ids"]]
    rows = [
        (message["definition"]["channel"], (message["definition"].get("content") or {}).get("subject"), message["id"])
        for message in messages
        if message is not None
    ]
    blocks: list[Block] = [Facts("About", facts), Table("Messages", ("Channel", "Subject", "Id"), rows)]
    return View(row["name"], blocks, breadcrumbs=_breadcrumbs("campaigns"))


def flow(store: Store, flow_id: str) -> View | None:
    """A flow with its actions and their messages; None when there is none."""
    row = store.flows.get(flow_id)
    if row is None:
        return None
    facts: dict[str, Cell] = {
        "Id": flow_id,
        "Status": status_badge(row["status"]),
        "Trigger": row["trigger_type"],
        "Tags": tables.tag_names(store, row),
        "Created": timestamp(row["created"]),
        "Updated": timestamp(row["updated"]),
        "Archived": row["archived"],
    }
    actions = [action for action_id in row["action_ids"] if (action := store.flow_actions.get(action_id)) is not None]
    rows = [
        (action["action_type"], status_badge(action["status"]), _message_names(store, action), action["id"])
        for action in actions
    ]
    blocks: list[Block] = [Facts("About", facts), Table("Actions", ("Action", "Status", "Messages", "Id"), rows)]
    return View(row["name"], blocks, breadcrumbs=_breadcrumbs("flows"))


def detail(sandbox: Sandbox, kind: str, row_id: str, query: Mapping[str, str]) -> View | None:
    """The page of one resource of a kind, such as "lists"; None when there is no such resource."""
    store = sandbox.store
    with store.lock:
        if kind in ("lists", "segments"):
            return group(store, kind, row_id, query)
        pages = {"profiles": profile, "events": event, "jobs": job, "campaigns": campaign, "flows": flow}
        return pages[kind](store, row_id) if kind in pages else None


def _profile_cells(store: Store, profile_id: str) -> tuple[Cell, Cell, Cell]:
    return tables.profile_link(store, profile_id), tables.full_name(store.profiles.get(profile_id)), profile_id


def _latest_events(store: Store, profile_id: str) -> Table:
    if not tables.can_filter(store.events, "profile_id"):
        note = "In an account of this size, nobody's events can be picked out quickly enough to show them here."
        return Table("Latest events", (), (), note)
    rows = [store.events.rows[event_id] for event_id in store.events.ids_with("profile_id", (profile_id,))]
    rows.sort(key=lambda row: (row["datetime"], row["id"]), reverse=True)
    note = f"The latest of {len(rows):,}." if len(rows) > _MAX_EVENTS else ""
    return tables.events(store, rows[:_MAX_EVENTS], "Latest events", note=note, one_profile=True)


def _consent_table(subscriptions: Mapping[str, Mapping[str, Row] | None]) -> Table:
    rows: list[Sequence[Cell]] = []
    for channel, kinds in subscriptions.items():
        for kind, state in (kinds or {}).items():
            if state and "consent" in state:
                reasons = ", ".join(suppression["reason"] for suppression in state.get("suppression") or ())
                given = timestamp(state.get("consent_timestamp"))
                rows.append((_to_label(channel), kind, status_badge(state["consent"]), given, reasons))
    return Table(
        "Consent", ("Channel", "Kind", "Consent", "Given", "Suppressed for"), rows, "Nothing was consented to."
    )


def _audience_links(store: Store, campaign_row: Row, side: str) -> Iterator[Link]:
    # A draft may have no audiences, or only one of the two sides.
    for group_id in (campaign_row["audiences"] or {}).get(side) or ():
        for kind, table in (("lists", store.lists), ("segments", store.segments)):
            row = table.get(group_id)
            if row is not None:
                yield link_to(kind, group_id, row["name"])


def _message_names(store: Store, action: Row) -> str:
    messages = (store.flow_messages.get(message_id) for message_id in action["message_ids"])
    return ", ".join(message["name"] for message in messages if message is not None)


def _breadcrumbs(kind: str) -> list[Link]:
    return [Link("Overview", "/"), Link(kind.capitalize(), f"/{kind}")]


def _to_label(name: str) -> str:
    words = name.replace("_", " ")
    return "SMS" if words == "sms" else words[:1].upper() + words[1:]


def _attribute_cell(name: str, value: Any) -> Cell:
    return timestamp(value) if isinstance(value, str) and name in ("created", "updated", "last_event_date") else value
