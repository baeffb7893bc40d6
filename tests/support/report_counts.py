"""Counts what reports must say a second way: from the plain events and members of the account, one by one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from klaviyo_sandbox import RunningSandbox
from klaviyo_sandbox.spec.times import format_datetime
from support.calls import Caller

ZONE = ZoneInfo("America/New_York")
Key = tuple[str, ...]


@dataclass(frozen=True)
class Event:
    """One event, as the API gives it, and the message of its campaign that it is about, if it is about one."""

    id: str
    metric: str
    profile_id: str
    when: datetime
    properties: Mapping[str, Any]
    campaign_message_id: str | None

    @property
    def day(self) -> date:
        """The day on the account's wall."""
        return self.when.astimezone(ZONE).date()


def events(sandbox: RunningSandbox) -> list[Event]:
    """Every event of the account."""
    caller = Caller(sandbox.url)
    try:
        only = {row["id"]: row["message_ids"][0] for row in sandbox.store.campaigns.rows.values()}
        names = {row["id"]: row["attributes"]["name"] for row in caller.rows("metrics")}
        return [
            Event(
                row["id"],
                names[row["relationships"]["metric"]["data"]["id"]],
                row["relationships"]["profile"]["data"]["id"],
                datetime.fromisoformat(row["attributes"]["datetime"]),
                properties,
                # Of several messages, the variation tells; a campaign that was deleted stands for its message.
                properties.get("$variation") or only.get(message, message),
            )
            for row in caller.rows("events", include="metric,profile", page__size=1000)
            for properties in [row["attributes"]["event_properties"] or {}]
            for message in [properties.get("$message")]
        ]
    finally:
        caller.close()


def campaign_keys(event: Event) -> Iterator[Key]:
    """The campaign and the message that an event is about, if it is about one."""
    # A blank says that there is no flow, and no message.
    if "Campaign Name" in event.properties and event.properties["$message"].strip():
        yield (event.properties["$message"], str(event.campaign_message_id))


def flow_keys(event: Event) -> Iterator[Key]:
    """The flow and the message that an event is about, if it is about one."""
    if event.properties.get("$flow", "").strip() and event.properties["$message"].strip():
        yield (event.properties["$flow"], event.properties["$message"])


def count(
    within: list[Event],
    metrics: tuple[str, ...],
    keys: Callable[[Event], Iterator[Key]],
    days: Callable[[date], Any] = lambda _: None,
) -> tuple[Counter[Any], Counter[Any]]:
    """(how often, by how many people) by (key of the event, what ``days`` makes of its day)."""
    often: Counter[Any] = Counter()
    people: dict[Any, set[str]] = defaultdict(set)
    for event in within:
        if event.metric in metrics:
            for key in keys(event):
                group = (key, days(event.day))
                often[group] += 1
                people[group].add(event.profile_id)
    return often, Counter({group: len(ids) for group, ids in people.items()})


def metric_id(sandbox: RunningSandbox, name: str) -> str:
    """The id of a metric."""
    rows = sandbox.store.metrics.rows.values()
    return next(str(row["id"]) for row in rows if row["name"] == name)


def move_up_to_yesterday(sandbox: RunningSandbox) -> None:
    """Move all that happened by so many days that the latest was yesterday, as reports are read back from today."""
    store = sandbox.store
    with store.lock:
        latest = max(datetime.fromisoformat(row["datetime"]) for row in store.events.rows.values())
        shift = (datetime.now(ZONE).date() - latest.astimezone(ZONE).date() - timedelta(days=1)).days * timedelta(
            days=1
        )
        for row in list(store.events.rows.values()):
            when = datetime.fromisoformat(row["datetime"]) + shift
            store.put_event({**row, "datetime": format_datetime(when), "timestamp": int(when.timestamp())})
        for members in store.segment_members.values():
            for row in list(members.rows.values()):
                joined = datetime.fromisoformat(row["joined_group_at"]) + shift
                members.put({**row, "joined_group_at": format_datetime(joined)})


def write_event(sandbox: RunningSandbox, metric: str, when: datetime, **properties: Any) -> None:
    """Add an event of a metric that the account has or is to have, of one and the same person."""
    caller = Caller(sandbox.url)
    attributes = {
        "properties": properties,
        "time": when.isoformat(),
        "unique_id": f"{metric} {when.isoformat()} {len(sandbox.requests)}",
        "metric": {"data": {"type": "metric", "attributes": {"name": metric}}},
        "profile": {"data": {"type": "profile", "attributes": {"email": "late@example.com"}}},
    }
    answer = caller.post("events", {"data": {"type": "event", "attributes": attributes}})
    caller.close()
    assert answer.status_code == 202, answer.text
