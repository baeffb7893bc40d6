"""Numbers of reports, counted a second way: plain events and members of the account, one by one."""

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
    """One event, as its own request tells of it."""

    metric: str
    who: str
    when: datetime
    said: Mapping[str, Any]

    @property
    def day(self) -> date:
        """The day on the account's wall."""
        return self.when.astimezone(ZONE).date()


def events(sandbox: RunningSandbox) -> list[Event]:
    """Every event of the account."""
    caller = Caller(sandbox.url)
    try:
        names = {row["id"]: row["attributes"]["name"] for row in caller.rows("metrics")}
        return [
            Event(
                names[row["relationships"]["metric"]["data"]["id"]],
                row["relationships"]["profile"]["data"]["id"],
                datetime.fromisoformat(row["attributes"]["datetime"]),
                row["attributes"]["event_properties"] or {},
            )
            for row in caller.rows("events", include="metric,profile", page__size=1000)
        ]
    finally:
        caller.close()


def of_campaigns(found: Event) -> Iterator[Key]:
    """The campaign that an event is about, if it is about one."""
    if "Campaign Name" in found.said and "$flow" not in found.said:
        yield (found.said["$message"],)


def of_flows(found: Event) -> Iterator[Key]:
    """The flow and the message that an event is about, if it is about one."""
    if "$flow" in found.said:
        yield (found.said["$flow"], found.said["$message"])


def counted(
    found: list[Event],
    metrics: tuple[str, ...],
    keys: Callable[[Event], Iterator[Key]],
    days: Callable[[date], Any] = lambda _: None,
) -> tuple[Counter[Any], Counter[Any]]:
    """(how often, by how many people) by (key, what ``days`` makes of the day; None leaves it out)."""
    often: Counter[Any] = Counter()
    people: dict[Any, set[str]] = defaultdict(set)
    for event in found:
        if event.metric in metrics:
            for key in keys(event):
                place = (key, days(event.day))
                often[place] += 1
                people[place].add(event.who)
    return often, Counter({place: len(who) for place, who in people.items()})


def metric_id(sandbox: RunningSandbox, name: str) -> str:
    """The id of a metric."""
    rows = sandbox.store.metrics.rows.values()
    return next(str(row["id"]) for row in rows if row["name"] == name)


def brought_up_to_date(sandbox: RunningSandbox) -> None:
    """Move what happened so many days that the latest of it was yesterday: reports are read from today backwards."""
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


def write_event(sandbox: RunningSandbox, metric: str, when: datetime, **said: Any) -> None:
    """Add an event of a metric that the account has or is to have, of one and the same person."""
    caller = Caller(sandbox.url)
    attributes = {
        "properties": said,
        "time": when.isoformat(),
        "unique_id": f"{metric} {when.isoformat()} {len(sandbox.requests)}",
        "metric": {"data": {"type": "metric", "attributes": {"name": metric}}},
        "profile": {"data": {"type": "profile", "attributes": {"email": "late@example.com"}}},
    }
    answer = caller.post("events", {"data": {"type": "event", "attributes": attributes}})
    caller.close()
    assert answer.status_code == 202, answer.text
