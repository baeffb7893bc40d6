"""One read of a collection: what is requested beyond its pages, and what it can do without."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, cast

import pytest

from klaviyo_client import errors
from klaviyo_client.api import filters
from klaviyo_client.api.pages import Page, RawPage, parse_outline
from klaviyo_client.client import KlaviyoClient
from tap_klaviyo.model import Lookup, SelectedTable
from tap_klaviyo.reading import account_reader, lookups
from tap_klaviyo.reading.account_reader import AccountReader
from tap_klaviyo.rows import schema_files
from tap_klaviyo.tables import COLLECTIONS, TABLES

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BY_NAME = {table.name: table for table in TABLES}


class Scripted(KlaviyoClient):
    """An account with a function for each operation's answer; records what was requested."""

    def __init__(self, answers: Mapping[str, Callable[[Mapping[str, str]], Page]], **options: Any) -> None:
        super().__init__(api_key="pk_test", **options)
        self._answers = {"get_metrics": lambda _: Page(()), **answers}
        self.asked: list[tuple[str, str | None]] = []

    def page(self, name: str, *, path: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None) -> Page:
        self.asked.append((name, (path or {}).get("id")))
        return self._answers[name]({**(query or {}), **(path or {})})

    def raw_page(self, name: str, *, path: Any, query: Any, link: str | None = None, permit: Any = None) -> RawPage:
        assert permit
        found = self.page(name, path=path, query=query)
        body = json.dumps({"data": found.data, "included": list(found.included.values())}).encode()
        return parse_outline(body, self.api_url)


def account(
    client: KlaviyoClient, *names: str, columns: tuple[str, ...] | None = None, **options: Any
) -> AccountReader:
    """A run over these tables, with some of their columns, or all but those that somebody must ask for."""
    selected = []
    for name in names:
        schema = schema_files.load(name)
        usual = [column for column in schema["properties"] if column not in schema_files.optional_columns(schema)]
        selected.append(SelectedTable(BY_NAME[name], schema, columns or tuple(usual)))
    return AccountReader(client, NOW, selected, COLLECTIONS, **options)


def starts(run: AccountReader, name: str, **since: datetime) -> dict[str, datetime | None]:
    """Where each selected table of this one's collection starts: at the beginning, unless told otherwise."""
    siblings = [entry.table for entry in run.selected if entry.table.collection == BY_NAME[name].collection]
    return {table.name: since.get(table.name) for table in siblings}


def rows(run: AccountReader, name: str) -> list[dict[str, Any]]:
    batches = run.read(BY_NAME[name].collection, starts(run, name))
    return [row for batch in batches for row in batch.rows.get(name, ())]


def event(name: str, attributed_to: str | None = None, **properties: Any) -> dict[str, Any]:
    """An event of 2026; one that is attributed carries its attribution's id."""
    made: dict[str, Any] = {
        "type": "event",
        "id": name,
        "attributes": {"datetime": "2026-01-01T00:00:00Z", "event_properties": properties},
        "relationships": {"metric": {"data": None}, "profile": {"data": None}},
    }
    if attributed_to:
        made["relationships"]["attributions"] = {"data": [{"type": "attribution", "id": f"{name}-{attributed_to}"}]}
    return made


def page_of(*events: dict[str, Any]) -> Page:
    links = [entry for found in events for entry in found["relationships"].get("attributions", {}).get("data", ())]
    included = {
        ("attribution", link["id"]): {
            **link,
            "id": link["id"],
            "relationships": {"attributed-event": {"data": {"type": "event", "id": link["id"].partition("-")[2]}}},
        }
        for link in links
    }
    return Page(list(events), included)


def sent(*groups: str) -> dict[str, Any]:
    return {"$message": "M", "$group_ids": list(groups), "$_cohort$message_send_cohort": "1700000000:M"}


def test_an_attributed_event_that_was_read_is_not_asked_for() -> None:
    """Only one that is not in the account's pages so far costs a call, and it costs one for all that point at it."""
    client = Scripted(
        {
            "get_events": lambda _: page_of(
                event("click", **sent("G1", "G1", "G2")),
                event("order", "click"),
                event("other", "far"),
                event("third", "far"),
            ),
            "get_event": lambda asked: Page([event(asked["id"], **sent("G3"))]),
        }
    )
    found = rows(account(client, "event_attribution_group_ids"), "event_attribution_group_ids")
    assert [(row["event_id"], row["group_id"]) for row in found] == [
        ("order", "G1"),
        ("order", "G2"),
        ("other", "G3"),
        ("third", "G3"),
    ]
    assert client.asked == [("get_metrics", None), ("get_events", None), ("get_event", "far")]


def test_an_attributed_event_that_is_gone_gives_no_groups(caplog: pytest.LogCaptureFixture) -> None:
    """One warning that names it; the event that points at it keeps its row and its id."""

    def gone(asked: Mapping[str, str]) -> Page:
        raise errors.NotFound("gone", status=404, operation="get_event")

    client = Scripted({"get_events": lambda _: page_of(event("order", "far")), "get_event": gone})
    (row,) = rows(account(client, "events"), "events")
    assert (row["attribution_attributed_event_id"], row["attribution_send_ts"]) == ("far", None)
    assert ["far" in record.getMessage() for record in caplog.records] == [True]


class OutOfOrder(KlaviyoClient):
    """An account of 40 pages of events, in which one of each ten comes a place too late.

    Or six pages of the last hours, so few that they are read by their cursor; one row of each page but the last comes
    so many places too late, as the first of the next.
    """

    SIZE = 50

    def __init__(self, late: int | None = None) -> None:
        super().__init__(api_key="pk_test")
        pages, began = (40, NOW - timedelta(days=90)) if late is None else (6, NOW - timedelta(hours=6))
        times = [began + timedelta(minutes=at) for at in range(pages * self.SIZE)]
        if late is None:
            for at in range(9, len(times) - 1, 10):
                times[at], times[at + 1] = times[at + 1], times[at]
        else:
            for at in range(self.SIZE, len(times), self.SIZE):
                times.insert(at, times.pop(at - late))
        self._events = [(time, f"E{at}") for at, time in enumerate(times)]
        self.names = {name for _, name in self._events}

    def raw_page(self, name: str, *, path: Any, query: Any, link: str | None = None, permit: Any = None) -> RawPage:
        assert permit
        first = 0
        if link is not None:
            query = json.loads(link.partition("#")[2])
            first = query["first"]
        low, high = (
            re.search(rf"{side}\w*-?[a-z-]*\(datetime,([^)]+)", query.get("filter", "")) for side in ("gr", "le")
        )
        found = [
            (time, name)
            for time, name in self._events
            if (low is None or time >= datetime.fromisoformat(low[1]))
            and (high is None or time < datetime.fromisoformat(high[1]))
        ]
        data = [{**event(name), "attributes": {"datetime": time.isoformat()}} for time, name in found]
        page, following = data[first : first + self.SIZE], first + self.SIZE
        links = {"next": f"{self.api_url}/#{json.dumps({**query, 'first': following})}"} if data[following:] else {}
        return parse_outline(json.dumps({"data": page, "links": links}).encode(), self.api_url)


def test_pages_out_of_order_lose_no_row() -> None:
    """Also where the order is broken between two pages; each row comes once."""
    client = OutOfOrder()
    names = [row["id"] for row in rows(account(client, "events", columns=("id", "event_datetime")), "events")]
    assert sorted(names) == sorted(client.names)


def killed_and_resumed(client: OutOfOrder, after: int, lookback: timedelta) -> set[str]:
    """What a target has of a run that is killed after so many pages, and of one that starts at its last bookmark."""
    columns, names, bookmark = ("id", "event_datetime"), set(), None
    run = account(client, "events", columns=columns, concurrency=1)
    for batch in islice(run.read(BY_NAME["events"].collection, starts(run, "events")), after):
        names |= {row["id"] for row in batch.rows.get("events", ())}
        bookmark = batch.bookmark or bookmark
    run = account(client, "events", columns=columns)
    since = {} if bookmark is None else {"events": datetime.fromisoformat(bookmark) - lookback}
    for batch in run.read(BY_NAME["events"].collection, starts(run, "events", **since)):
        names |= {row["id"] for row in batch.rows.get("events", ())}
    return names


@pytest.mark.parametrize("late", [1, 2, 5])
@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_a_kill_between_pages_out_of_order_loses_no_row(late: int, after: int) -> None:
    """Without any lookback: a bookmark stays some rows behind, as a cut does."""
    client = OutOfOrder(late)
    assert killed_and_resumed(client, after, timedelta()) == client.names


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_a_lookback_makes_up_for_more_disorder(after: int) -> None:
    """What comes later than that a kill can lose, unless the lookback is as long as it is late."""
    client = OutOfOrder(20)
    assert client.names - killed_and_resumed(client, after, timedelta()) <= {f"E{at}" for at in range(50, 300, 50)}
    assert killed_and_resumed(client, after, timedelta(minutes=20)) == client.names


class Circle(KlaviyoClient):
    """An account whose pages lead in a circle of three."""

    calls = 0

    def raw_page(self, name: str, *, path: Any, query: Any, link: str | None = None, permit: Any = None) -> RawPage:
        self.calls += 1
        document = {
            "data": [event(f"E{self.calls % 3}")],
            "links": {"next": f"/api/events?page%5Bcursor%5D={self.calls % 3}"},
        }
        return parse_outline(json.dumps(document).encode(), self.api_url)


def test_pages_that_lead_in_a_circle_end_the_read_with_an_error() -> None:
    """After one round: nobody waits for a night's run that never ends."""
    client = Circle(api_key="pk_test")
    with pytest.raises(errors.BadDocument, match="get_events: a page leads to itself"):
        rows(account(client, "events", columns=("id", "event_datetime")), "events")
    assert client.calls <= 5


def refused(detail: str = "Invalid input.", **source: str) -> errors.BadRequest:
    """A 400 to a look-up, with what Klaviyo says of it."""
    entry = errors.ApiError("invalid", "Invalid input.", detail, **source)
    return errors.BadRequest(f"get_event was refused: {detail}", status=400, operation="get_event", errors=(entry,))


@pytest.mark.parametrize(
    "error",
    [
        refused(pointer="/data/id"),
        refused(pointer="/data/id/"),
        refused(parameter="id"),
        refused(parameter="event_id"),
        refused("'far' is not a valid event ID.", pointer="/data/"),
        refused("Invalid id: far"),
    ],
    ids=str,
)
def test_an_attributed_event_whose_id_is_refused_is_a_missing_look_up(
    caplog: pytest.LogCaptureFixture, error: errors.BadRequest
) -> None:
    """A 400 that points at the id says that there is no such event; all other events go on."""

    def answer(asked: Mapping[str, str]) -> Page:
        if asked["id"] == "far":
            raise error
        return Page([event(asked["id"], **sent("G3"))])

    pages = page_of(event("order", "far"), event("other", "near"))
    client = Scripted({"get_events": lambda _: pages, "get_event": answer})
    names = [
        row["event_id"] for row in rows(account(client, "event_attribution_group_ids"), "event_attribution_group_ids")
    ]
    assert names == ["other"]
    assert ["far" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("error", [refused(parameter="include"), refused("Invalid filter"), refused(pointer="/data/")])
def test_a_look_up_that_is_refused_for_another_reason_is_no_missing_one(error: errors.BadRequest) -> None:
    """It would be lost behind the bookmark."""

    def answer(_: Mapping[str, str]) -> Page:
        raise error

    client = Scripted({"get_events": lambda _: page_of(event("order", "far")), "get_event": answer})
    with pytest.raises(errors.BadRequest):
        rows(account(client, "events"), "events")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history of any length fits into memory; the younger half at least is known, and the rest asked for again."""
    monkeypatch.setattr(lookups, "MEMORY", 4)
    asked: list[str] = []

    def fetch(_: Lookup, owners: Iterable[str]) -> Iterator[Page]:
        for owner in owners:
            asked.append(owner)
            yield Page([{"id": owner}])

    keep = Lookup("sent", "get_event", "event", "/id", "/id", lambda page: {page.data[0]["id"]: "asked"})
    kept = lookups.LookupCache({"sent": keep}, fetch, lambda *_: None)
    for name in "abcdefg":
        kept.add("sent", {name: "seen"})
    assert kept.get("sent", {name: [name] for name in "adfg"}) == {
        "a": "asked",
        "d": "asked",
        "f": "seen",
        "g": "seen",
    }
    assert asked == ["a", "d"]


def test_no_call_for_columns_that_need_none() -> None:
    """Ids of attributions come with the events; only what the attributed event knows is looked up."""
    client = Scripted({"get_events": lambda _: page_of(event("order", "far"))})
    run = account(client, "events", columns=("id", "event_datetime", "attribution_attributed_event_id"))
    assert [row["attribution_attributed_event_id"] for row in rows(run, "events")] == ["far"]
    assert client.asked == [("get_events", None)]


def campaigns(_: Mapping[str, str]) -> Page:
    """One campaign with a message, for the filter set of unarchived e-mail; none for the others."""
    if 'equals(messages.channel,"email")' not in _["filter"] or "archived,true" in _["filter"]:
        return Page([])
    link = {"type": "campaign-message", "id": "MSG"}
    campaign = {
        "type": "campaign",
        "id": "CAM",
        "attributes": {"updated_at": "2026-01-01T00:00:00Z"},
        "relationships": {"campaign-messages": {"data": [link]}},
    }
    return Page([campaign], {("campaign-message", "MSG"): {**link, "attributes": {}, "relationships": {}}})


TEMPLATE = {"template": {"data": {"type": "template", "id": "TEM"}}}


def test_templates_of_messages_cost_a_call_for_each_campaign() -> None:
    """And only when one of their columns is selected."""
    client = Scripted(
        {
            "get_campaigns": campaigns,
            "get_messages_for_campaign": lambda _: Page([{"id": "MSG", "relationships": TEMPLATE}]),
        }
    )
    (row,) = rows(account(client, "campaign_messages"), "campaign_messages")
    assert (row["template_data_id"], row["template_data_type"], row["campaign_data_id"]) == ("TEM", "template", "CAM")
    assert [asked for asked in client.asked if asked[1]] == [("get_messages_for_campaign", "CAM")]

    client.asked.clear()
    key = ("campaign_message_id", "campaign_updated_at")
    assert rows(account(client, "campaign_messages", columns=key), "campaign_messages")
    assert {name for name, _ in client.asked} == {"get_campaigns"}


def test_a_column_whose_scope_is_missing_is_null() -> None:
    """It is named, asked for once only, and the rest of the table comes."""

    def forbidden(_: Mapping[str, str]) -> Page:
        raise errors.NotAllowed("no", status=403, operation="get_messages_for_campaign")

    client = Scripted({"get_campaigns": campaigns, "get_messages_for_campaign": forbidden})
    denied: list[list[str]] = []
    run = account(client, "campaign_messages", on_denied=lambda columns, _: denied.append(list(columns)))
    assert [row["template_data_id"] for row in rows(run, "campaign_messages")] == [None]
    assert denied == [["campaign_messages.template_data_type", "campaign_messages.template_data_id"]]


def test_the_account_is_asked_for_once_and_may_be_hidden() -> None:
    """Its id is in the key of memberships; without the scope the key is null and the membership comes."""
    lists = Page([{"type": "list", "id": "L", "attributes": {"name": "n"}}])
    members = Page([{"type": "profile", "id": "P", "attributes": {"joined_group_at": "2026-01-01T00:00:00Z"}}])
    answers = {
        "get_lists": lambda _: lists,
        "get_profiles_for_list": lambda _: members,
        "get_accounts": lambda _: Page([{"type": "account", "id": "ACC"}]),
    }
    client = Scripted(answers)
    run = account(client, "member_lists", "stg_member_lists")
    batch = next(run.read(COLLECTIONS["list_profiles"], starts(run, "list_profiles")))
    assert [row["_account_id"] for row in batch.rows["stg_member_lists"]] == ["ACC"]
    assert [len(row["key"]) for row in batch.rows["member_lists"]] == [32]
    assert [name for name, _ in client.asked].count("get_accounts") == 1

    def forbidden(_: Mapping[str, str]) -> Page:
        raise errors.NotAllowed("no", status=403, operation="get_accounts")

    denied: list[list[str]] = []
    client = Scripted({**answers, "get_accounts": forbidden})
    run = account(client, "member_lists", on_denied=lambda columns, _: denied.append(list(columns)))
    assert [(row["key"], row["member_id"]) for row in rows(run, "member_lists")] == [(None, "P")]
    assert denied == [["member_lists.key"]]


def metrics(*names: str) -> Page:
    return Page([{"type": "metric", "id": name.upper(), "attributes": {"name": name}} for name in names])


def test_only_events_of_the_wanted_metrics_are_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    """Their names are looked up first; what is unknown is said, and none at all is an error."""
    filters = []

    def events(query: Mapping[str, str]) -> Page:
        filters.append(query["filter"])
        return Page([])

    client = Scripted({"get_metrics": lambda _: metrics("ordered", "opened"), "get_events": events})
    run = account(client, "metrics", "events", event_metrics=["Ordered", "closed"])
    assert len(rows(run, "metrics")) == 2
    assert rows(run, "events") == []
    assert filters == ['equals(metric_id,["ORDERED"])']
    assert [name for name, _ in client.asked] == ["get_metrics", "get_metrics", "get_events"]
    assert [record.getMessage() for record in caplog.records] == [
        "event_metrics: the account has no metric called closed"
    ]

    caplog.clear()
    caplog.set_level("INFO")
    wanted = ["engagement", "Opened Email"]
    engaged = Scripted({"get_metrics": lambda _: metrics("Opened Email", "Opened Text"), "get_events": events})
    assert rows(account(engaged, "events", event_metrics=wanted), "events") == []
    [line] = [record.getMessage() for record in caplog.records if "event_metrics" in record.getMessage()]
    assert line.startswith("event_metrics: of engagement, the account has no metric called Received Email or ")
    assert not {"Opened Email", "Opened SMS"} & set(line.split("called ")[1].split(" or "))

    with pytest.raises(errors.SettingsError, match="no metric called closed"):
        rows(account(client, "events", event_metrics=["closed"]), "events")


def test_what_is_not_read_again_starts_at_its_bookmark() -> None:
    """The setting decides; a read of several filter sets has its bookmark at the end."""
    filters: list[str] = []

    def flows(query: Mapping[str, str]) -> Page:
        filters.append(query.get("filter", ""))
        return Page([{"type": "flow", "id": "F", "attributes": {"updated": "2026-02-01T00:00:00Z"}}])

    since = datetime(2026, 1, 1, tzinfo=UTC)
    for reread in ((), ("flows",)):
        run = account(Scripted({"get_flows": flows}), "flows", reread=reread)
        bookmarks = [batch.bookmark for batch in run.read(COLLECTIONS["flows"], {"flows": since})]
        assert bookmarks == [None, None, "2026-02-01T00:00:00+00:00"]
    bounded = [
        f"and(equals(archived,{value}),greater-or-equal(updated,2026-01-01T00:00:00Z))" for value in ("false", "true")
    ]
    assert filters == [*bounded, "equals(archived,false)", "equals(archived,true)"]


def test_members_are_read_of_every_list_whatever_changed() -> None:
    """An incremental read of the lists does not know all of them, so the read of members lists them itself."""
    old, new = ({"type": "list", "id": name, "attributes": {"updated": "2026-03-01T00:00:00Z"}} for name in "AB")
    client = Scripted(
        {
            "get_lists": lambda query: Page([new] if "filter" in query else [old, new]),
            "get_profiles_for_list": lambda _: Page([]),
        }
    )
    run = account(client, "lists", "list_profiles", columns=("list_id",), reread=())
    list(run.read(COLLECTIONS["lists"], {"lists": datetime(2026, 2, 1, tzinfo=UTC)}))
    list(run.read(COLLECTIONS["list_profiles"], starts(run, "list_profiles")))
    assert [owner for name, owner in client.asked if name == "get_profiles_for_list"] == ["A", "B"]


def events_at(*times: datetime) -> Page:
    return page_of(
        *(
            {**found, "attributes": {**found["attributes"], "datetime": filters.utc_text(time)}}
            for time in times
            for found in (event(filters.utc_text(time), **sent("G")),)
        )
    )


def test_a_table_that_is_ahead_gets_nothing_older_than_its_own_start() -> None:
    """A sibling that is new gets all; the one that is ahead is not sent its history again, but for one tick."""
    ahead = datetime(2026, 3, 1, tzinfo=UTC)
    tick = timedelta(seconds=1)
    times = [datetime(2020, 1, 1, tzinfo=UTC), ahead - 2 * tick, ahead - tick, ahead, ahead + tick]
    filters: list[str | None] = []

    def events(query: Mapping[str, str]) -> Page:
        filters.append(query.get("filter"))
        return events_at(*times)

    client = Scripted({"get_events": events})
    run = account(client, "events", "event_group_ids")
    found: dict[str, list[str]] = {"events": [], "event_group_ids": []}
    for batch in run.read(COLLECTIONS["events"], starts(run, "events", events=ahead)):
        for table, made in batch.rows.items():
            found[table] += [row["event_datetime"] for row in made]
    assert filters == [None]
    assert found["event_group_ids"] == [time.isoformat() for time in times]
    assert found["events"] == [time.isoformat() for time in times[2:]]


def test_a_read_starts_at_the_oldest_bookmark_and_each_table_at_its_own() -> None:
    """Klaviyo is asked once, for what the table that is furthest behind lacks."""
    behind, ahead = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    filters: list[str | None] = []

    def events(query: Mapping[str, str]) -> Page:
        filters.append(query.get("filter"))
        return events_at(behind, ahead)

    run = account(Scripted({"get_events": events}), "events", "event_group_ids")
    begin = starts(run, "events", events=behind, event_group_ids=ahead)
    batches = list(run.read(COLLECTIONS["events"], begin))
    assert filters == ["greater-or-equal(datetime,2026-02-01T00:00:00Z)"]
    assert {table: len(made) for table, made in batches[0].rows.items()} == {"events": 2, "event_group_ids": 1}
    # The bookmark is the collection's: what the page held up to there is written to every table that wanted it. After a
    # page it stays some rows behind.
    assert [batch.bookmark for batch in batches] == [behind.isoformat(), ahead.isoformat()]


def test_what_is_read_again_goes_to_every_table_whole() -> None:
    """A tag that was added moves no bookmark: a table that is ahead gets old rows, too."""

    def flows(query: Mapping[str, str]) -> Page:
        assert "greater" not in query["filter"]
        flow = {
            "type": "flow",
            "id": query["filter"],
            "attributes": {"updated": "2020-01-01T00:00:00Z"},
            "relationships": {"tags": {"data": [{"type": "tag", "id": "T"}]}},
        }
        return Page([flow])

    run = account(Scripted({"get_flows": flows}), "flows", "flow_tags", reread=("flows",))
    begin = starts(run, "flows", flows=datetime(2026, 1, 1, tzinfo=UTC))
    batches = list(run.read(COLLECTIONS["flows"], begin))
    assert [{table: len(made) for table, made in batch.rows.items()} for batch in batches] == [
        {"flows": 1, "flow_tags": 1},
        {"flows": 1, "flow_tags": 1},
        {},
    ]


class _Reader:
    """Hands out numbers for pages, and expects so many more after each."""

    def __init__(self, expected: Sequence[int]) -> None:
        self._left = iter(expected)
        self.pages_expected = 1

    def __iter__(self) -> Iterator[int]:
        for number, expected in enumerate(self._left):
            self.pages_expected = expected
            yield number


@pytest.mark.parametrize(
    ("expected", "made_here"),
    [([3, 2, 1, 0], 4), ([79] * 40, 20), ([500] * 40, 1), ([60, 90, 90], 2)],
    ids=["few", "unsure", "many", "many later"],
)
def test_worker_processes_begin_as_soon_as_there_is_much_for_them(expected: list[int], made_here: int) -> None:
    """The first page may show that hundreds follow; a handful, or twenty pages, are made in this process."""
    assert len(list(account_reader.pages_before_workers(cast("Any", _Reader(expected))))) == made_here
