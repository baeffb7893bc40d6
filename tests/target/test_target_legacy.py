"""Track, Identify and klaviyoConnect: what their records become today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import ListRef, RejectedRecord, SourceRecord

Step = tuple[str, Mapping[str, Any], ListRef | None]


def steps(action: str, record: Mapping[str, Any], **entry: Any) -> list[Step]:
    """What is done with a record, one after the other."""
    route = parse_routes({"s": {"action": action, **entry}}, "US")["s"]
    origin = SourceRecord("s", record)
    done, row = route.row(origin, record)
    found = [(done.name, row.payload, row.list)]
    while row.next_step is not None:
        done, row = row.next_step
        found.append((done.name, row.payload, row.list))
    assert origin.pending == len(found)
    return found


def tracked(record: Mapping[str, Any], **entry: Any) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The person's attributes and the event."""
    ((_, payload, _),) = steps("track", record, **entry)
    return payload["profile"]["attributes"], payload["events"][0]


def name_of(event: Mapping[str, Any]) -> str:
    return str(event["metric"]["data"]["attributes"]["name"])


def test_daasitys_event_id_is_the_name() -> None:
    """Daasity's Track calls the event's name `$event_id`."""
    person, event = tracked({"$email": "ada@example.com", "$event_id": "Won Back", "$value": 3})
    assert person == {"email": "ada@example.com"}
    assert (name_of(event), event["value"]) == ("Won Back", 3)
    assert event["unique_id"] != "Won Back"


@pytest.mark.parametrize("column", ["event", "metric_name"])
def test_beside_a_name_the_event_id_is_the_unique_id(column: str) -> None:
    """As Klaviyo's own Track had it."""
    _, event = tracked({"$email": "ada@example.com", column: "Bought", "properties": {"$event_id": "77", "a": 1}})
    assert (name_of(event), event["unique_id"]) == ("Bought", "77")
    assert event["properties"] == {"a": 1, "pushed_by": "target-klaviyo"}


def test_customer_properties_are_the_persons() -> None:
    """Identifiers, fields of the profile, the place, and custom properties, each where it belongs today."""
    customer = {"$email": "ada@example.com", "$id": "c1", "$first_name": "Ada", "$city": "London", "plan": "pro"}
    record = {"token": "AbCdEf", "event": "Bought", "time": 1_777_629_600, "customer_properties": customer}
    person, event = tracked({**record, "properties": {"$value": 5, "$extra": {"x": 1}}})
    assert person == {
        "email": "ada@example.com",
        "external_id": "c1",
        "first_name": "Ada",
        "location": {"city": "London"},
        "properties": {"plan": "pro"},
    }
    assert (event["time"], event["value"]) == ("2026-05-01T10:00:00+00:00", 5)
    assert event["properties"] == {"$extra": {"x": 1}, "pushed_by": "target-klaviyo"}


def test_a_track_without_any_name_is_refused() -> None:
    """Nothing says what happened."""
    with pytest.raises(RejectedRecord, match=r"\$event_id"):
        steps("track", {"$email": "ada@example.com", "$value": 3})


def test_identify_is_a_profile() -> None:
    """Whatever stands at the top or among the properties."""
    record = {"token": "AbCdEf", "properties": {"$email": "ada@example.com", "$last_name": "L", "plan": "pro"}}
    assert steps("identify", record) == [
        (
            "upsert_profile",
            {
                "type": "profile",
                "attributes": {"email": "ada@example.com", "last_name": "L", "properties": {"plan": "pro"}},
            },
            None,
        )
    ]


def test_identify_with_lists_joins_each() -> None:
    """A list may be named by its name or its id."""
    found = steps("identify", {"$email": "ada@example.com", "lists": ["News", "VIP"]}, create_list=True)
    assert [(action, ref) for action, _, ref in found] == [
        ("list_members", ListRef("News", "News", create=True)),
        ("list_members", ListRef("VIP", "VIP", create=True)),
    ]


def test_consent_that_comes_along_counts_only_when_asked_for() -> None:
    """Nobody is subscribed by a column; with the option, e-mail and SMS mean what they meant."""
    record = {"$email": "ada@example.com", "$consent": ["email", "web"]}
    assert [action for action, *_ in steps("identify", record)] == ["upsert_profile"]
    found = steps("identify", record, consent="subscribe")
    assert [action for action, *_ in found] == ["upsert_profile", "subscribe"]
    assert list(found[1][1]["attributes"]["subscriptions"]) == ["email"]


FORM = {
    "email": "ada@example.com",
    "id": "c1",
    "city": "London",
    "extra[colour]": "red",
    "lists[]": ["News"],
    "event[name]": "Signed Up",
    "event[event_id]": "77",
    "event[value]": 3,
    "event[extra]": {"page": "home"},
    "forward": "/thanks",
}


def test_a_form_is_a_profile_its_lists_and_an_event() -> None:
    """klaviyoConnect's field names, brackets and all; `id` is the shop's own id."""
    (joined, person, ref), (tracked_, event, _) = steps("update_profile", FORM)
    assert (joined, tracked_) == ("list_members", "track_event")
    assert ref == ListRef("News", "News")
    assert person["attributes"] == {
        "email": "ada@example.com",
        "external_id": "c1",
        "location": {"city": "London"},
        "properties": {"colour": "red"},
    }
    assert event["events"][0]["unique_id"] == "77"
    assert event["events"][0]["properties"] == {"page": "home", "pushed_by": "target-klaviyo"}


@pytest.mark.parametrize(
    ("value", "subscribes"),
    [
        *((value, True) for value in ("1", True, 1, "Yes", " TRUE", "on", "y")),
        *((value, False) for value in ("0", None, False, 0, "", " ", "False", "No", "FALSE", "n", "null", " 0", "0.0")),
    ],
)
def test_only_a_form_that_asks_for_opt_in_subscribes(value: Any, subscribes: bool) -> None:
    """`confirmOptIn` subscribes with the list's opt-in; without it people are added to the list, and no more."""
    found = [action for action, *_ in steps("update_profile", {**FORM, "confirmOptIn": value})]
    assert ("subscribe" in found) == subscribes


@pytest.mark.parametrize("value", ["perhaps", "2", 2, -1, [], ["no"], {"no": 1}])
def test_a_form_that_asks_for_opt_in_in_no_words_that_are_known_is_refused(value: Any) -> None:
    """The rejection names the field and the words."""
    with pytest.raises(RejectedRecord, match="confirm_opt_in must be one of true, yes") as caught:
        steps("update_profile", {**FORM, "confirmOptIn": value})
    assert (caught.value.code, caught.value.pointer) == ("invalid_field", "/confirm_opt_in")


@pytest.mark.parametrize(
    ("said", "channels"),
    [
        *((said, ["email", "sms"]) for said in ("email,sms", "Email; SMS", " email  sms ", '["email", "SMS"]')),
        *((said, ["email"]) for said in ("EMAIL", ["email", "Email"], "email,web", ["email", "directmail"])),
        *((said, None) for said in ("web", [], "[]", " ", None)),
    ],
)
def test_consent_in_one_text_is_understood(said: Any, channels: list[str] | None) -> None:
    """No consent that was given is lost for how it was written."""
    record = {"$email": "ada@example.com", "$phone_number": "+14155550100", "$consent": said}
    found = steps("identify", record, consent="subscribe")
    assert [action for action, *_ in found] == ["upsert_profile"] + ["subscribe"] * (channels is not None)
    if channels is not None:
        assert list(found[1][1]["attributes"]["subscriptions"]) == channels


@pytest.mark.parametrize("said", ["yes", "email,fax", ["e-mail"], True, '["email"', [None]])
def test_consent_in_words_that_nobody_knows_is_refused(said: Any) -> None:
    """Rather than that it is taken for none, and the record for delivered."""
    record = {"$email": "ada@example.com", "$consent": said}
    with pytest.raises(RejectedRecord) as caught:
        steps("identify", record, consent="subscribe")
    assert (caught.value.code, caught.value.pointer) in {
        ("invalid_field", "/consent"),
        ("invalid_field", "/consent/0"),
    }


@pytest.mark.parametrize("action", ["identify", "update_profile"])
def test_a_list_that_is_named_twice_is_joined_once(action: str) -> None:
    """And its opt-in asked for once. A text may be the JSON of a list; a list's own name may hold a comma."""
    for said in (["News", "News", " News"], '["News", "News"]', "News"):
        found = steps(action, {"email": "ada@example.com", "$lists": said})
        assert [ref for _, _, ref in found] == [ListRef("News", "News")]
    [(_, _, ref)] = steps(action, {"email": "ada@example.com", "$lists": "News, daily"})
    assert ref == ListRef("News, daily", "News, daily")


@pytest.mark.parametrize("missing", [{"email": None}, {"event[name]": None}])
def test_a_form_without_what_it_needs_is_refused(missing: Mapping[str, Any]) -> None:
    """klaviyoConnect demands an address, and an event a name."""
    with pytest.raises(RejectedRecord):
        steps("update_profile", {**FORM, **missing})
