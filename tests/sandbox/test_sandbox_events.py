"""Events that are written, one at a time and in bulk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.calls import Caller, problem

BULK = "event-bulk-create-jobs"
ENTRIES = "/data/attributes/events-bulk-create/data"
WHO = {"email": "a@example.com"}


def attributes(**changes):
    return {"properties": {}, "metric": metric("Tried On"), **changes}


def metric(name, **more):
    return {"data": {"type": "metric", "attributes": {"name": name, **more}}}


def profile(identifiers=WHO, **more):
    return {"data": {"type": "profile", "attributes": identifiers, **more}}


def event(identifiers=WHO, **changes):
    return {"data": {"type": "event", "attributes": {**attributes(**changes), "profile": profile(identifiers)}}}


def entry(*events, who=WHO, meta=None, **more):
    data = [{"type": "event", "attributes": one} for one in events]
    whose = profile(who, **({"meta": meta} if meta else {}))
    return {"type": "event-bulk-create", "attributes": {"profile": whose, "events": {"data": data}, **more}}


def bulk(*entries):
    return {"data": {"type": "event-bulk-create-job", "attributes": {"events-bulk-create": {"data": list(entries)}}}}


def events_of(call, name="Tried On"):
    """The events of a metric as they are read, oldest first."""
    ids = [row["id"] for row in call.rows("metrics") if row["attributes"]["name"] == name]
    return [row for one in ids for row in call.rows("events", filter=f'equals(metric_id,"{one}")', sort="datetime")]


def test_an_event_can_be_read(call, writing):
    """A 202 without a body; the metric is made, the profile too, and value and unique id are shown among properties."""
    body = event(
        time="2026-01-31T12:00:00.75+02:00",
        properties={"Color": "red"},
        value=9.5,
        value_currency="EUR",
        unique_id="fit-1",
        backfill=True,
    )
    answer = call.post("events", body)
    assert (answer.status_code, answer.content) == (202, b"")
    (row,) = events_of(call)
    assert row["attributes"]["datetime"] == "2026-01-31T10:00:00+00:00"
    assert row["attributes"]["event_properties"] == {
        "Color": "red",
        "$event_id": "fit-1",
        "$value": 9.5,
        "$value_currency": "EUR",
    }
    stored = writing.store.events.rows[row["id"]]
    assert stored["backfill"] is True
    assert stored["profile_id"] == writing.store.find_profile_id("email", "A@example.com")
    assert writing.store.profiles.rows[stored["profile_id"]]["last_event_date"] == "2026-01-31T10:00:00+00:00"


def test_an_event_without_a_time_is_now(make_sandbox):
    """The time is that of the request, to the second."""
    caller = Caller(make_sandbox(limits=False, clock=lambda: 1_800_000_000.9).url)
    assert caller.post("events", event()).status_code == 202
    assert [row["attributes"]["timestamp"] for row in events_of(caller)] == [1_800_000_000]
    caller.close()


def test_an_event_changes_its_profile(call):
    """Attributes are written, and `meta`, which is among the attributes here, patches properties."""
    for number in (1, 2):
        meta = {"patch_properties": {"append": {"sizes": number}}}
        who = {**WHO, "first_name": "Ada", "properties": {"n": number}, "meta": meta}
        assert call.post("events", event(who)).status_code == 202
    (row,) = call.get("profiles", filter='equals(email,"a@example.com")').json()["data"]
    assert row["attributes"]["first_name"] == "Ada"
    assert row["attributes"]["properties"] == {"n": 2, "sizes": [1, 2]}


def test_metrics_of_another_service_are_others(call):
    """A metric is told apart by its service; the one of the API is the default."""
    call.post("events", event(metric=metric("Placed Order")))
    call.post("events", event(metric=metric("Placed Order", service="shopify"), time="2026-02-01T00:00:00Z"))
    call.post("events", event(metric=metric("Placed Order", service="api"), time="2026-02-01T00:00:00Z"))
    rows = [row["attributes"] for row in call.rows("metrics") if row["attributes"]["name"] == "Placed Order"]
    assert sorted(row["integration"]["key"] for row in rows) == ["api", "shopify"]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ({"unique_id": "1"}, {"unique_id": "1"}, 1),
        ({"unique_id": "1"}, {"unique_id": "2"}, 2),
        ({"unique_id": "1"}, {"unique_id": "1", "metric": metric("Returned")}, 1),
        ({"time": "2026-01-01T00:00:00.1Z"}, {"time": "2026-01-01T00:00:00.9Z"}, 1),
        ({"time": "2026-01-01T00:00:00Z"}, {"time": "2026-01-01T00:00:01Z"}, 2),
        ({"time": "2026-01-01T00:00:00Z"}, {"time": "2026-01-01T00:00:00Z", "unique_id": "1"}, 2),
    ],
)
def test_a_repeated_event_is_dropped_silently(call, first, second, kept):
    """The first event of a profile, metric and unique id stays, and without an id the second is the id."""
    answers = [call.post("events", event(properties={"n": n}, **one)) for n, one in enumerate((first, second))]
    assert [answer.status_code for answer in answers] == [202, 202]
    rows = events_of(call)
    assert len(rows) == kept
    assert 0 in [row["attributes"]["event_properties"]["n"] for row in rows]


def test_events_of_the_seeded_account_are_not_repeated_either(call, writing):
    """A unique id that the history holds already stays the first one's."""
    row = next(row for row in writing.store.events.rows.values() if "$value" in row["event_properties"])
    named = writing.store.metrics.rows[row["metric_id"]]
    before = len(writing.store.events)
    body = event(
        metric=metric(named["name"], service=named["integration"]["key"]),
        unique_id=row["event_properties"]["$event_id"],
    )
    body["data"]["attributes"]["profile"]["data"] = {"type": "profile", "id": row["profile_id"], "attributes": {}}
    assert call.post("events", body).status_code == 202
    assert len(writing.store.events) == before


def nested(depth):
    return {"x": nested(depth - 1)} if depth else 1


def ahead(days):
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


WRONG = [
    ({"time": "yesterday"}, "/time"),
    ({"time": "2026-01-01T00:00:00"}, "/time"),
    ({"time": "1989-12-31T23:59:59Z"}, "/time"),
    ({"time": ahead(367)}, "/time"),
    ({"metric": metric("x" * 128)}, "/metric/data/attributes/name"),
    ({"metric": metric(" ")}, "/metric/data/attributes/name"),
    ({"value": "9.50"}, "/value"),
    ({"value_currency": "Euro"}, "/value_currency"),
    ({"properties": {str(n): n for n in range(401)}}, "/properties"),
    ({"properties": {"a/b": "é" * 50_001}}, "/properties/a~1b"),
    ({"properties": {"x": [0] * 4001}}, "/properties/x"),
    ({"properties": {"x": nested(11)}}, "/properties/x"),
]
RIGHT = [
    {"time": "1990-01-01T00:00:00Z"},
    {"time": ahead(364)},
    {"metric": metric("x" * 127)},
    {"value": None, "value_currency": None, "unique_id": None, "time": None, "backfill": None},
    {"properties": {str(n): n for n in range(400)}},
    {"properties": {"x": "é" * 50_000}},
    {"properties": {"x": [0] * 4000}},
    {"properties": {"x": nested(10)}},
]


@pytest.mark.parametrize(("changes", "pointer"), WRONG)
def test_what_an_event_must_not_be(call, writing, changes, pointer):
    """Both ways of writing refuse the same events, point at what is wrong, and write nothing of the request."""
    before = len(writing.store.events)
    assert problem(call.post("events", event(**changes))) == (
        400,
        "invalid",
        {"pointer": f"/data/attributes{pointer}"},
    )
    good = entry(attributes(), who={"email": "good@example.com"})
    refused = call.post(BULK, bulk(good, entry(attributes(), attributes(**changes))))
    place = f"{ENTRIES}/1/attributes/events/data/1/attributes{pointer}"
    assert problem(refused) == (400, "invalid", {"pointer": place})
    assert len(writing.store.events) == before
    assert writing.store.find_profile_id("email", "good@example.com") is None


@pytest.mark.parametrize("changes", RIGHT)
def test_what_an_event_may_be_at_most(call, changes):
    """The bounds themselves are allowed."""
    assert call.post("events", event(**changes)).status_code == 202
    assert call.post(BULK, bulk(entry(attributes(**changes)))).status_code == 202


def test_a_body_of_more_than_five_megabytes_is_refused(call):
    """Whole payloads have a bound too, in both ways."""
    large = {str(n): "x" * 99_000 for n in range(51)}
    assert problem(call.post("events", event(properties=large)))[2] == {"pointer": "/data"}
    assert problem(call.post(BULK, bulk(entry(attributes(properties=large)))))[2] == {"pointer": "/data"}


@pytest.mark.parametrize(
    ("who", "pointer"),
    [
        ({}, ""),
        ({"first_name": "Nobody"}, ""),
        ({"email": "bad"}, "/email"),
        ({"phone_number": "12"}, "/phone_number"),
    ],
)
def test_whose_an_event_is_must_be_said(call, who, pointer):
    """Without a sound identifier both ways are a 400."""
    place = f"/profile/data/attributes{pointer}"
    assert problem(call.post("events", event(who)))[2] == {"pointer": f"/data/attributes{place}"}
    refused = call.post(BULK, bulk(entry(attributes()), entry(attributes(), who=who)))
    assert problem(refused)[2] == {"pointer": f"{ENTRIES}/1/attributes{place}"}


def test_a_patch_is_pointed_at_where_it_stands(call):
    """`meta` is among the attributes of a single event's profile, and beside them in bulk."""
    meta = {"patch_identifiers": {"append": {"email": "bad"}}}
    place = "/profile/data/attributes/meta/patch_identifiers/append"
    assert problem(call.post("events", event({**WHO, "meta": meta})))[2] == {"pointer": f"/data/attributes{place}"}
    refused = call.post(BULK, bulk(entry(attributes(), meta=meta)))
    place = "/profile/data/meta/patch_identifiers/append"
    assert problem(refused)[2] == {"pointer": f"{ENTRIES}/0/attributes{place}"}


def test_a_bad_phone_number_is_dropped_from_an_event(call, writing):
    """Beside a sound identifier it is left out with a header that says so; in bulk it refuses the request."""
    who = {**WHO, "phone_number": "12"}
    answer = call.post("events", event(who))
    assert (answer.status_code, answer.headers["X-Klaviyo-Partial-Failure"]) == (202, "phone_number")
    row = writing.store.profiles.rows[writing.store.find_profile_id("email", "a@example.com")]
    assert row.get("phone_number") is None
    refused = call.post(BULK, bulk(entry(attributes(), who=who)))
    assert problem(refused)[2] == {"pointer": f"{ENTRIES}/0/attributes/profile/data/attributes/phone_number"}
    assert "X-Klaviyo-Partial-Failure" not in call.post("events", event()).headers


def test_an_unknown_profile_id_is_refused(call):
    """Who is named by an id must be there."""
    body = event()
    body["data"]["attributes"]["profile"]["data"]["id"] = "01NOBODY"
    assert problem(call.post("events", body)) == (400, "invalid", {"pointer": "/data/attributes/profile/data/id"})


def test_somebody_may_be_anonymous(call, writing):
    """The same anonymous id leads to the same profile, and is not shown; an e-mail address comes first."""
    for number in (1, 2):
        assert call.post("events", event({"anonymous_id": "anon-1"}, unique_id=str(number))).status_code == 202
    first, second = (writing.store.events.rows[row["id"]]["profile_id"] for row in events_of(call))
    assert first == second
    assert "anonymous_id" not in call.get(f"profiles/{first}").json()["data"]["attributes"]
    call.post("events", event(WHO))
    call.post("events", event({**WHO, "anonymous_id": "anon-1"}, unique_id="3"))
    last = next(row for row in writing.store.events.rows.values() if row.get("unique_id") == "3")
    assert last["profile_id"] == writing.store.find_profile_id("email", "a@example.com")


def test_an_event_of_two_people_is_the_first_ones(call, writing):
    """Identifiers of two profiles are no error here: the address says whose it is, and the other keeps its own."""
    for who in (WHO, {"external_id": "b"}):
        call.post("events", event(who))
    assert call.post("events", event({**WHO, "external_id": "b"}, unique_id="1")).status_code == 202
    row = next(row for row in writing.store.events.rows.values() if row.get("unique_id") == "1")
    assert row["profile_id"] == writing.store.find_profile_id("email", "a@example.com")
    assert writing.store.find_profile_id("external_id", "b") != row["profile_id"]


def test_a_bulk_request_writes_every_event(call, writing):
    """Events of several profiles, with `meta` beside the attributes; an event's own `backfill` beats its entry's."""
    answer = call.post(
        BULK,
        bulk(
            entry(
                attributes(unique_id="1"),
                attributes(unique_id="2", backfill=False),
                meta={"patch_properties": {"append": {"sizes": 1}}},
                backfill=True,
            ),
            entry(attributes(unique_id="1", value=3), who={"phone_number": "+12025550142"}),
        ),
    )
    assert (answer.status_code, answer.content) == (202, b"")
    rows = [writing.store.events.rows[row["id"]] for row in events_of(call)]
    assert sorted((row["event_properties"]["$event_id"], row["backfill"]) for row in rows) == [
        ("1", False),
        ("1", True),
        ("2", False),
    ]
    (row,) = call.get("profiles", filter='equals(email,"a@example.com")').json()["data"]
    assert row["attributes"]["properties"] == {"sizes": [1]}


def test_the_bounds_of_a_bulk_request(call):
    """A thousand events over all entries, and at least one in each."""
    many = [attributes(unique_id=str(n)) for n in range(1001)]
    refused = call.post(BULK, bulk(entry(*many[:500]), entry(*many[500:])))
    assert problem(refused) == (400, "invalid", {"pointer": ENTRIES})
    assert problem(call.post(BULK, bulk()))[2] == {"pointer": ENTRIES}
    assert problem(call.post(BULK, bulk(entry())))[2] == {"pointer": f"{ENTRIES}/0/attributes/events/data"}
    assert call.post(BULK, bulk(entry(*many[:500]), entry(*many[500:1000]))).status_code == 202
    assert len(events_of(call)) == 1000


def test_every_bad_event_of_a_bulk_request_is_named(call):
    """One error for each bad profile and each bad event, by their places."""
    bad = attributes(time="never")
    refused = call.post(BULK, bulk(entry(bad, attributes(), bad), entry(attributes(), who={"email": "bad"})))
    pointers = [error["source"]["pointer"] for error in refused.json()["errors"]]
    assert pointers == [
        f"{ENTRIES}/0/attributes/events/data/0/attributes/time",
        f"{ENTRIES}/0/attributes/events/data/2/attributes/time",
        f"{ENTRIES}/1/attributes/profile/data/attributes/email",
    ]
    shapeless = call.post(BULK, bulk(entry({**attributes(), "value": "1", "time": 5}, {"properties": {}})))
    pointers = [error["source"]["pointer"] for error in shapeless.json()["errors"]]
    place = f"{ENTRIES}/0/attributes/events/data"
    assert pointers == [f"{place}/0/attributes/value", f"{place}/1/attributes/metric"]


SAME = attributes(unique_id="1")


@pytest.mark.parametrize(
    "entries",
    [
        [entry(SAME, SAME)],
        [entry(SAME), entry(SAME)],
        [entry(SAME), entry(SAME, who={"email": "A@Example.com"})],
        [entry(SAME, who={**WHO, "external_id": "x"}), entry(SAME, who={"external_id": "x"})],
    ],
)
def test_a_unique_id_repeated_in_a_bulk_request_fails_all_of_it(call, writing, entries):
    """One 400 that points at the repetition, and nothing is written, of a person known or unknown."""
    for _ in ("unknown", "known"):
        before = len(writing.store.events)
        refused = call.post(BULK, bulk(*entries, entry(attributes(), who={"email": "c@example.com"})))
        assert problem(refused)[:2] == (400, "invalid")
        assert problem(refused)[2]["pointer"].endswith("/attributes/unique_id")
        assert len(writing.store.events) == before
        call.post("events", event({**WHO, "external_id": "x"}, metric=metric("Other")))


def test_what_is_no_repetition_in_a_bulk_request(call):
    """Another person, another metric, and events without a unique id, of which a second one is left out silently."""
    at = "2026-01-01T00:00:00Z"
    entries = [
        entry(SAME, attributes(unique_id="1", metric=metric("Returned")), attributes(time=at), attributes(time=at)),
        entry(SAME, who={"email": "b@example.com"}),
    ]
    assert call.post(BULK, bulk(*entries)).status_code == 202
    assert (len(events_of(call)), len(events_of(call, "Returned"))) == (3, 1)


def test_repetitions_over_history_are_dropped_or_refused(call, make_sandbox):
    """By default the first event stays; with `repeats="history"` a bulk request fails whole, a single one does not."""
    for _ in range(2):
        assert call.post(BULK, bulk(entry(SAME, attributes(unique_id="2")))).status_code == 202
    assert len(events_of(call)) == 2
    sandbox = make_sandbox(limits=False, repeats="history")
    strict = Caller(sandbox.url)
    assert strict.post(BULK, bulk(entry(SAME))).status_code == 202
    refused = strict.post(BULK, bulk(entry(attributes(unique_id="2"), SAME)))
    place = f"{ENTRIES}/0/attributes/events/data/1/attributes/unique_id"
    assert problem(refused) == (400, "invalid", {"pointer": place})
    assert strict.post("events", event(unique_id="1")).status_code == 202
    assert len(events_of(strict)) == 1
    strict.close()


def test_an_event_that_comes_late_moves_no_profile_back(call):
    """A profile's last event is the latest by its own time, whatever came last, alone or in bulk."""
    for time in ("2026-03-01T00:00:00Z", "2026-01-01T00:00:00Z"):
        assert call.post("events", event(time=time)).status_code == 202
    (row,) = call.get("profiles", filter='equals(email,"a@example.com")').json()["data"]
    assert row["attributes"]["last_event_date"] == "2026-03-01T00:00:00+00:00"
    entries = bulk(entry(attributes(time="2026-03-02T00:00:00Z"), attributes(time="2026-02-01T00:00:00Z")))
    assert call.post(BULK, entries).status_code == 202
    (row,) = call.get("profiles", filter='equals(email,"a@example.com")').json()["data"]
    assert row["attributes"]["last_event_date"] == "2026-03-02T00:00:00+00:00"
