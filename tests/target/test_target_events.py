"""Events: what a record becomes, and what becomes of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_support import refused, respond, scripted_session

from klaviyo_client.errors import InvalidKey
from klaviyo_client.http.transport import Request, Response, TransportError
from target_klaviyo.actions.events import MAX_ELEMENTS, MAX_METRIC, MAX_PROPERTIES, MAX_STRING
from target_klaviyo.delivery.action import Row, Unit
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.endpoints import events
from target_klaviyo.intake.route_settings import parse_routes, with_column_defaults
from target_klaviyo.model.records import Outcome, OutcomeKind, RejectedRecord, SourceRecord

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RECORD = {"email": "ada@example.com", "metric": "Viewed", "time": "2026-05-01T10:00:00Z"}


def route(stream: str = "events", **entry: Any) -> Any:
    return parse_routes({stream: {"action": "track_event", **entry}}, None, lambda: NOW)[stream]


def made(record: Mapping[str, Any], **entry: Any) -> dict[str, Any]:
    """The one event that a record becomes."""
    _, row = route(**entry).row(SourceRecord("events", record), record)
    (event,) = row.payload["events"]
    return dict(event)


def rows(*emails: str, metric: str = "Viewed", unique: Sequence[str] = ()) -> list[Row]:
    rows_of_events = []
    for number, email in enumerate(emails):
        record = {
            "email": email,
            "metric": metric,
            "n": number,
            "unique_id": unique[number] if unique else f"u{number}",
        }
        rows_of_events.append(route().row(SourceRecord("events", record), record)[1])
    return rows_of_events


def entries(request: Request) -> list[dict[str, Any]]:
    data = json.loads(request.body or b"")["data"]["attributes"]["events-bulk-create"]["data"]
    return [entry["attributes"] for entry in data]


def sent(request: Request) -> list[tuple[str, int]]:
    return [
        (entry["profile"]["data"]["attributes"]["email"], event["attributes"]["properties"]["n"])
        for entry in entries(request)
        for event in entry["events"]["data"]
    ]


def outcomes(answer: Callable[[Request], Response], given: list[Row]) -> tuple[dict[int, Outcome], list[Request]]:
    session, wire = scripted_session(answer)
    outcome_of: dict[int, Outcome] = {}
    for unit, outcome in events.deliver(session, given):
        for row in unit.rows:
            assert row.source.record["n"] not in outcome_of
            outcome_of[row.source.record["n"]] = outcome
    assert len(outcome_of) == len(given)
    return outcome_of, wire.asked


def is_bulk(request: Request) -> bool:
    return request.url.endswith("event-bulk-create-jobs")


# What a record becomes ------------------------------------------------------------------------------------------------


def test_columns_become_the_event_and_its_properties() -> None:
    """Known columns are the event's, unknown ones its properties, and it carries the mark of where it came from."""
    record = {**RECORD, "value": 3.5, "value_currency": "EUR", "unique_id": "u1", "colour": "red"}
    assert made(record) == {
        "metric": {"data": {"type": "metric", "attributes": {"name": "Viewed"}}},
        "time": "2026-05-01T10:00:00+00:00",
        "value": 3.5,
        "value_currency": "EUR",
        "unique_id": "u1",
        "properties": {"colour": "red", "pushed_by": "target-klaviyo"},
    }


def test_the_person_is_apart_from_the_event() -> None:
    """Who did it, and what is known of them, goes to the profile."""
    record = {**RECORD, "external_id": "c1", "profile_first_name": "Ada", "profile": {"properties": {"plan": "pro"}}}
    _, row = route().row(SourceRecord("events", record), record)
    assert row.payload["profile"] == {
        "type": "profile",
        "attributes": {
            "email": "ada@example.com",
            "external_id": "c1",
            "first_name": "Ada",
            "properties": {"plan": "pro"},
        },
    }


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-05-01", "2026-05-01T00:00:00+00:00"),
        ("2026-05-01T10:00:00.987+02:00", "2026-05-01T08:00:00+00:00"),
        (1_777_629_600, "2026-05-01T10:00:00+00:00"),
        ("1777629600", "2026-05-01T10:00:00+00:00"),
        (1_777_629_600_123, "2026-05-01T10:00:00+00:00"),
    ],
)
def test_times_come_in_several_forms(time: Any, expected: str) -> None:
    """ISO 8601, unix seconds and thousandths mean the same; without a zone it is UTC."""
    assert made({**RECORD, "time": time})["time"] == expected


@pytest.mark.parametrize("time", ["1989-12-31T23:59:59Z", "2027-06-02T12:00:00Z", "yesterday", True, 1e40])
def test_a_time_that_klaviyo_does_not_take_is_refused_alone(time: Any) -> None:
    """From 1990 to a year ahead."""
    with pytest.raises(RejectedRecord) as caught:
        made({**RECORD, "time": time})
    assert caught.value.pointer == "/time"


DEEP: Any = "x"
for _ in range(10):
    DEEP = {"in": DEEP}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"metric": "x" * (MAX_METRIC + 1)}, "characters"),
        ({"metric": "  "}, "characters"),
        ({"properties": {f"p{n}": n for n in range(MAX_PROPERTIES + 1)}}, "properties"),
        ({"note": "ü" * (MAX_STRING // 2 + 1)}, "bytes"),
        ({"items": [0] * (MAX_ELEMENTS + 1)}, "elements"),
        ({"nested": DEEP}, "levels"),
    ],
)
def test_a_record_over_a_limit_is_refused_with_the_limit(more: Mapping[str, Any], said: str) -> None:
    """Before it is sent, for Klaviyo would refuse the whole batch."""
    with pytest.raises(RejectedRecord, match=said) as caught:
        made({**RECORD, **more}, on_bad_value="reject")
    assert caught.value.code == "limit"


def test_a_record_at_its_limits_is_taken() -> None:
    """The limits themselves are fine."""
    properties = {f"p{n}": n for n in range(MAX_PROPERTIES - 2)}
    event = made({**RECORD, "metric": "x" * MAX_METRIC, **properties, "deep": DEEP["in"]})
    assert len(event["properties"]) == MAX_PROPERTIES


def test_an_event_without_an_id_has_one_that_follows_from_it() -> None:
    """The same record makes the same id, whatever the order of its columns; any other makes another."""
    first = made({**RECORD, "a": 1, "b": {"x": 1, "y": 2}})["unique_id"]
    assert made({"b": {"y": 2, "x": 1}, "a": 1, **RECORD})["unique_id"] == first
    others = [
        {**RECORD, "a": 2, "b": {"x": 1, "y": 2}},
        {**RECORD, "a": 1, "b": {"x": 1, "y": 2}, "email": "bob@example.com"},
        {**RECORD, "a": 1, "b": {"x": 1, "y": 2}, "time": "2026-05-01T10:00:01Z"},
        {**RECORD, "a": 1, "b": {"x": 1, "y": 2}, "value": 1},
    ]
    assert len({first, *(made(other)["unique_id"] for other in others)}) == 5


def test_backfill_is_a_field_or_an_option() -> None:
    """History starts no flows; the record goes before the option."""
    assert "backfill" not in made(RECORD)
    assert made(RECORD, backfill=True)["backfill"] is True
    assert "backfill" not in made({**RECORD, "backfill": False}, backfill=True)


TAP = {
    "id": "3x",
    "uuid": "u",
    "metric_data_id": "M1",
    "metric_name": "Placed Order",
    "event_datetime": "2026-05-01T10:00:00+00:00",
    "timestamp": 1777629600,
    "profile_data_id": "01X",
    "profile_email": "ada@example.com",
    "event_id": "77",
    "value": 5,
    "event_properties": {"$event_id": "77", "$value": 5, "colour": "red"},
    "campaign_name": "c",
}


def test_the_taps_events_are_history() -> None:
    """A copy of an account wakes no flows, and a column that only repeats a property does not become one."""
    copied = with_column_defaults("events", parse_routes({}, None, lambda: NOW)["events"], TAP)
    _, row = copied.row(SourceRecord("events", TAP), TAP)
    assert row.payload["profile"]["attributes"] == {"email": "ada@example.com"}
    (event,) = row.payload["events"]
    assert event["backfill"] is True
    assert event["unique_id"] == "77"
    assert event["properties"] == {"colour": "red", "pushed_by": "target-klaviyo"}


@pytest.mark.parametrize(
    ("metric", "left_out"),
    [("Opened Email", True), ("Received Text Message", True), ("Unsubscribed from List", True), ("Placed Order", False),
     ("Opened Text", True), ("Relayed Text Message", True), ("Unsubscribed from Text Messaging Marketing", True),
     ("SUBSCRIBED TO SMS TRANSACTIONAL", True), ("Subscribed to Text Messaging Transactional", True),
     ("Opened a Door", False), ("Received Order", False), ("Opened Text File", False)],
)  # fmt: skip
def test_klaviyos_own_metrics_are_left_out_of_a_copy(metric: str, left_out: bool) -> None:
    """An open that is copied would be counted twice; what the shop's own systems recorded is copied."""
    copied = with_column_defaults("events", parse_routes({}, None, lambda: NOW)["events"], TAP)
    record = {**TAP, "metric_name": metric}
    if not left_out:
        copied.row(SourceRecord("events", record), record)
        return
    with pytest.raises(RejectedRecord) as caught:
        copied.row(SourceRecord("events", record), record)
    assert caught.value.outcome.kind is OutcomeKind.LEFT_OUT


# What becomes of it ---------------------------------------------------------------------------------------------------


def test_a_request_has_one_entry_for_a_person() -> None:
    """Somebody's events go together, in their order, and each is accepted: Klaviyo says no more."""
    outcome_of, asked = outcomes(lambda _: respond(202), rows("a@x.io", "b@x.io", "a@x.io"))
    assert [len(entry["events"]["data"]) for entry in entries(asked[0])] == [2, 1]
    assert sent(asked[0]) == [("a@x.io", 0), ("a@x.io", 2), ("b@x.io", 1)]
    assert set(outcome_of.values()) == {Outcome(OutcomeKind.ACCEPTED, 202)}


def test_an_event_that_is_there_twice_is_sent_once() -> None:
    """Klaviyo refuses a whole request for one repeated id; both records have an outcome."""
    outcome_of, asked = outcomes(lambda _: respond(202), rows("a@x.io", "a@x.io", "b@x.io", unique=["u", "u", "u"]))
    assert sent(asked[0]) == [("a@x.io", 0), ("b@x.io", 2)]
    assert len(outcome_of) == 3


def test_events_that_a_400_points_at_are_dropped_and_the_rest_is_sent_again() -> None:
    """The pointer counts people and their events; one bad event sinks neither the rest of its person nor the batch."""
    requests: list[list[tuple[str, int]]] = []

    def wire(request: Request) -> Response:
        requests.append(sent(request))
        if len(requests) == 1:
            path = "/data/attributes/events-bulk-create/data/0/attributes/events/data/1/attributes/metric"
            return refused(400, path, "/data/attributes/events-bulk-create/data/1/attributes/profile/data")
        return respond(202)

    outcome_of, _ = outcomes(wire, rows("a@x.io", "b@x.io", "a@x.io", "c@x.io"))
    assert {n for n, outcome in outcome_of.items() if outcome.kind is OutcomeKind.REJECTED} == {1, 2}
    assert requests[1] == [("a@x.io", 0), ("c@x.io", 3)]


@pytest.mark.parametrize("status", [400, 409])
def test_a_bulk_that_is_refused_whole_goes_one_by_one(status: int) -> None:
    """A repeated id has no pointer; bisecting a thousand repeats would be two thousand requests."""

    def wire(request: Request) -> Response:
        if is_bulk(request):
            return refused(status, None)
        event = json.loads(request.body or b"")["data"]["attributes"]
        return refused(400, "/data/attributes/time") if event["properties"]["n"] == 1 else respond(202)

    outcome_of, asked = outcomes(wire, rows("a@x.io", "b@x.io", "a@x.io"))
    assert {n for n, outcome in outcome_of.items() if outcome.kind is OutcomeKind.REJECTED} == {1}
    assert [is_bulk(request) for request in asked] == [True, False, False, False]


def test_after_a_lost_answer_events_go_one_by_one() -> None:
    """Klaviyo may have them already: then a second bulk would be refused, and a single one is kept quietly."""
    lost: list[Request] = []

    def wire(request: Request) -> Response:
        if is_bulk(request):
            lost.append(request)
            raise TransportError("the connection broke", may_have_succeeded=True)
        return respond(202)

    outcome_of, asked = outcomes(wire, rows("a@x.io", "b@x.io"))
    assert len(lost) == 1
    assert len(asked) == 3
    assert {outcome.kind for outcome in outcome_of.values()} == {OutcomeKind.ACCEPTED}


def test_a_wrong_key_stops_the_run() -> None:
    """No event is to blame for it."""
    session, _ = scripted_session(lambda _: respond(401, {"errors": []}))
    with pytest.raises(InvalidKey):
        list(events.deliver(session, rows("a@x.io")))


def test_a_dropped_phone_number_is_reported() -> None:
    """Klaviyo takes the event and says in a header that it dropped the number."""
    record = {"phone_number": "+12025550123", **RECORD, "n": 0}
    row = route().row(SourceRecord("events", record), record)[1]
    outcome_of, _ = outcomes(lambda _: respond(202, x_klaviyo_partial_failure="phone_number"), [row])
    assert (outcome_of[0].kind, outcome_of[0].code) == (OutcomeKind.ACCEPTED, "partial_failure")


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 4), st.integers(0, 400)), max_size=40))
def test_requests_never_pass_a_limit(sizes: list[tuple[str, int, int]]) -> None:
    """However many events and bytes the rows have, no request holds more than its limits, and none is lost."""
    units = []
    for number, (name, count, size) in enumerate(sizes):
        made = [
            {"metric": {"data": {"type": "metric", "attributes": {"name": "m"}}}, "unique_id": f"{number}-{n}",
             "properties": {"x": "y" * size}}
            for n in range(count)
        ]  # fmt: skip
        profile = {"type": "profile", "attributes": {"email": f"{name}@x.io"}}
        payload = {"profile": profile, "events": made}
        units.append(Unit((), payload, encode_json(payload)))
    counts: Counter[str] = Counter()
    for part in events.split_into_requests(units, max_events=10, max_bytes=3000):
        entries = [entry.document for entry in events.group_by_profile(part)]
        sent = [event for entry in entries for event in entry["attributes"]["events"]["data"]]
        body = encode_json({"data": {"type": "x", "attributes": {"events-bulk-create": {"data": entries}}}})
        assert len(part) == 1 or (len(sent) <= 10 and len(body) <= 3000 + 100)
        counts.update(event["attributes"]["unique_id"] for event in sent)
    assert sum(counts.values()) == len(counts) == sum(count for _, count, _ in sizes)


def test_one_id_in_two_metrics_is_two_events() -> None:
    """Order 77 may be placed and fulfilled: Klaviyo tells ids apart within a person and metric only."""
    placed = rows("a@x.io", metric="Placed Order", unique=["77"])
    (fulfilled,) = rows("b@x.io", "a@x.io", metric="Fulfilled Order", unique=["1", "77"])[1:]
    outcome_of, asked = outcomes(lambda _: respond(202), [*placed, fulfilled])
    assert sent(asked[0]) == [("a@x.io", 0), ("a@x.io", 1)]
    assert {outcome.kind for outcome in outcome_of.values()} == {OutcomeKind.ACCEPTED}


@given(st.lists(st.integers(0, 2500), min_size=1, max_size=40))
def test_a_row_of_many_events_is_split_within_the_limits(sizes: list[int]) -> None:
    """None is lost or moved, and no piece is over a limit unless one event is."""
    (row,) = rows("a@x.io")
    (event,) = row.payload["events"]
    made = [{**event, "unique_id": str(n), "properties": {"x": "y" * size}} for n, size in enumerate(sizes)]
    payload = {**row.payload, "events": made}
    pieces = events.split_row(replace(row, payload=payload, body=encode_json(payload)), max_events=10, max_bytes=4000)
    assert [event for piece in pieces for event in piece.payload["events"]] == made
    assert all(len(piece.payload["events"]) <= 10 and len(piece.body) <= 4000 for piece in pieces)
