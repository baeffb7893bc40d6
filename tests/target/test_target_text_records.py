"""Records of nothing but text, numbers in the wrong type, blanks and objects in texts: each has its one outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from target_support import EVERY, Command, records

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.actions import ACTIONS

# Columns with their values, and whether a record that has them can be sent.
Part = tuple[dict[str, Any], bool]
Parts = st.SearchStrategy[Part]

BLANK = ("", " ", "\t", None)
ANY_TEXT = st.text(max_size=12)
NUMBERS = st.one_of(
    st.integers(-10_000, 10_000).map(lambda number: number / 100),
    st.integers(-10_000, 10_000).map(lambda number: f"{number / 100:.2f}"),
    st.integers(0, 99).map(lambda number: f" {number} "),
    st.sampled_from(BLANK),
)
IDS = st.one_of(
    st.integers(1, 10**12), st.integers(1, 10**12).map(str), st.sampled_from(["a-1", 7.0, "None", "N/A", *BLANK])
)
TEXTS = st.one_of(ANY_TEXT, st.integers(0, 99), st.sampled_from(BLANK))
TIMES = st.sampled_from(["2026-01-01", "2026-01-01T10:00:00Z", 1_767_225_600, " 1767225600 ", *BLANK])
OBJECTS = st.one_of(
    st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(ANY_TEXT, st.integers(0, 9)), max_size=2).flatmap(
        lambda value: st.sampled_from([value, json.dumps(value), f" {json.dumps(value)}\n"])
    ),
    st.sampled_from(["null", [], *BLANK]),
)
NO_NUMBERS = st.sampled_from(["1,5", "much", "nan", "1e999", "$3", True, [1]])
NO_TEXTS = st.sampled_from([True, ["a"], {"a": 1}])
NO_TIMES = st.sampled_from(["soon", "2026-13-01", "1812-01-01"])
NO_OBJECTS = st.sampled_from(['{"a"', "nope", "[1]", 7, True, ["a"]])
NO_ADDRESSES = st.sampled_from(["somebody", "a@", "a b@example.com", *BLANK])


# Into whom others are merged.
STAYS = {"email": "p9999@example.com"}


def part(names: str, good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any] | None = None) -> Parts:
    """One of these columns; a bad value comes seldom, so that most records can be sent."""
    chosen = st.sampled_from(names.split("|"))
    wanted: Parts = st.tuples(chosen, good).map(lambda pair: (dict([pair]), True))
    if bad is None:
        return wanted
    unwanted: Parts = st.tuples(chosen, bad).map(lambda pair: (dict([pair]), False))
    return st.integers(0, 19).flatmap(lambda at: unwanted if at == 0 else wanted)


def group(*parts: Parts, needed: Parts | None = None) -> Parts:
    """Some of these parts, with the needed one."""
    optional = [st.one_of(st.just(({}, True)), each) for each in parts]
    drawn = st.tuples(*([needed] if needed is not None else []), *optional)
    return drawn.flatmap(st.permutations).map(
        lambda found: (
            {name: value for columns, _ in found for name, value in columns.items()},
            all(is_good for _, is_good in found),
        )
    )


PERSON = (
    part("first_name|FIRST_NAME|First Name", TEXTS, NO_TEXTS),
    part("location_latitude|LOCATION_LATITUDE", NUMBERS),
    part("location_zip|$zip", IDS, NO_TEXTS),
    part("location", st.sampled_from(['{"city": "London"}', {"country": "GB"}, "{}", *BLANK]), NO_OBJECTS),
    part("note|NOTE", TEXTS),
)
PROPERTIES = part("properties|PROPERTIES", OBJECTS, NO_OBJECTS)
EVENT = (
    part("value|VALUE|$value", NUMBERS, NO_NUMBERS),
    part("value_currency", st.sampled_from(["EUR", *BLANK]), st.sampled_from(["euro", 5])),
    part("unique_id|UNIQUE_ID", IDS, NO_TEXTS),
    part("time|TIMESTAMP|datetime", TIMES, NO_TIMES),
    part("profile_first_name", TEXTS, NO_TEXTS),
    part("properties|event_properties", OBJECTS, NO_OBJECTS),
)
ORDER = (
    part("total|TOTAL_PRICE", NUMBERS, NO_NUMBERS),
    part("created_at|Ordered At", TIMES, NO_TIMES),
    part(
        "items|LINE_ITEMS",
        st.sampled_from(['[{"sku": 1, "price": "2.5"}]', [{"sku": "A", "quantity": "2"}], '{"sku": 1}', "[]", *BLANK]),
        st.sampled_from(["nope", "[1]", '[{"sku"', 7]),
    ),
    PROPERTIES,
)
FORM_EVENT = group(
    part("event[value]|EVENT[VALUE]|event[VALUE]", NUMBERS, NO_NUMBERS),
    part("event[timestamp]|event[time]|EVENT[TIME]", TIMES, NO_TIMES),
    part("event[event_id]|event[unique_id]|EVENT[EVENT_ID]", IDS, NO_TEXTS),
    part("event[extra]|EVENT[EXTRA]", OBJECTS, NO_OBJECTS),
    part("event[Foo]|event[utm][source]", TEXTS),
    needed=part("event|event[name]|EVENT|EVENT[NAME]", st.just("Waved")),
)
LISTS = part("list|lists[]|$lists", st.sampled_from([*BLANK, [], "[]", [""]]))
CHANNELS = part("channels|CHANNELS", st.sampled_from(["email", "EMAIL", '["email"]', *BLANK]), st.just("fax"))
# For each action what its records may have beside an address and a number of their own.
CONTENTS: dict[str, Parts] = {
    "upsert_profile": group(*PERSON, PROPERTIES),
    "list_members": group(*PERSON, PROPERTIES, part("list_name|LIST_ID", st.sampled_from(BLANK))),
    "identify": group(*PERSON, PROPERTIES, LISTS),
    "update_profile": group(*PERSON, part("extra|EXTRA", OBJECTS, NO_OBJECTS), LISTS, FORM_EVENT),
    "track_event": group(*EVENT, needed=part("metric|EVENT_NAME", st.sampled_from(["Waved", " Waved", 5]))),
    "track": group(
        *EVENT,
        part("customer_properties|CUSTOMER_PROPERTIES", OBJECTS, NO_OBJECTS),
        needed=part("event|Metric", st.just("Waved")),
    ),
    "order_completed": group(*ORDER),
    "subscribe": group(CHANNELS, part("custom_source", TEXTS, NO_TEXTS), part("consented_at", st.sampled_from(BLANK))),
    "unsubscribe": group(CHANNELS, part("note", TEXTS)),
    "consent": group(
        CHANNELS,
        part("consented_at", TIMES),
        part("custom_source", TEXTS, NO_TEXTS),
        part("whatsapp_status|SMS_STATUS", st.sampled_from(BLANK), st.sampled_from(["opted in", 5])),
        needed=part(
            "status|email_status|Email Status|EMAIL_MARKETING_CONSENT",
            st.sampled_from(["subscribed", " SUBSCRIBED", True, 1, "yes"]),
            st.sampled_from(["active", 5, ["subscribed"]]),
        ),
    ),
    "suppress": group(part("note", TEXTS)),
    "unsuppress": group(part("note", TEXTS)),
    "delete_profile": group(part("external_id|EXTERNAL_ID", st.sampled_from(BLANK)), part("note", TEXTS)),
    "merge_profiles": group(part("note", TEXTS), needed=part("email|EMAIL", st.just(STAYS["email"]), NO_ADDRESSES)),
}
ENTRIES: dict[str, dict[str, Any]] = {
    "delete_profile": {"allow_deletion": True},
    "merge_profiles": {"allow_merging": True, "max_merges": 10_000},
    "list_members": {"list": "Made", "create_list": True},
}
# What must have been done with people before this can be done.
BEFORE = {
    "suppress": ("upsert_profile",),
    "unsuppress": ("upsert_profile", "suppress"),
    "delete_profile": ("upsert_profile",),
    "merge_profiles": ("upsert_profile",),
}


def make_records(action: str, size: int) -> list[tuple[int, dict[str, Any], bool]]:
    """So many different people's records, each with its number and whether it can be sent."""
    made: list[tuple[int, dict[str, Any], bool]] = []
    columns = "merged_email|MERGED_EMAIL" if action == "merge_profiles" else "email|EMAIL|E-Mail|$email"
    address = part(columns, st.just("p{}@example.com"), NO_ADDRESSES)

    @settings(max_examples=size, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None)
    @given(address, CONTENTS[action])
    def collect(who: Part, what: Part) -> None:
        if len(made) < size:
            at = len(made)
            person = {name: value.format(at) if isinstance(value, str) else value for name, value in who[0].items()}
            record = {**person, **what[0], "n": at, **({"order_id": at} if action == "order_completed" else {})}
            made.append((at, record, who[1] and what[1]))

    collect()
    assert len(made) == size
    return made


def numbers_there(account: RunningSandbox, action: str, total: int) -> set[int]:
    """The numbers of the people, of so many, with whom the action has been done."""
    with account.store.lock:
        people = json.loads(json.dumps(list(account.store.profiles.rows.values())))
        events = json.loads(json.dumps(list(account.store.events.rows.values())))
    if action in ("track_event", "track", "order_completed"):
        return {event["event_properties"]["n"] for event in events}
    if action in ("upsert_profile", "list_members", "identify", "update_profile"):
        return {person["properties"]["n"] for person in people}
    if action in ("delete_profile", "merge_profiles"):
        return set(range(total)) - {_number(person) for person in people}
    by_consent = {"subscribe": "SUBSCRIBED", "consent": "SUBSCRIBED", "unsubscribe": "UNSUBSCRIBED"}
    marketing = {_number(person): person["subscriptions"]["email"]["marketing"] for person in people}
    if action in by_consent:
        return {number for number, held in marketing.items() if held["consent"] == by_consent[action]}
    return {number for number, held in marketing.items() if bool(held["suppression"]) == (action == "suppress")}


def _number(person: Mapping[str, Any]) -> int:
    return int(person["email"].partition("@")[0][1:])


@pytest.mark.parametrize("size", [50, pytest.param(300, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("action", CONTENTS)
def test_every_record_has_its_one_outcome(target: Command, account: RunningSandbox, action: str, size: int) -> None:
    """The good ones are there, the others on file as they came, and none is both or neither."""
    with account.store.lock:
        account.store.profiles.rows.clear()
    made = make_records(action, size)
    schema = {"type": "SCHEMA", "stream": "s", "key_properties": [], "schema": {"properties": {}}}
    everybody = [{"email": f"p{at}@example.com"} for at, _, _ in made]
    everybody += [STAYS] if action == "merge_profiles" else []
    for first in BEFORE.get(action, ()):
        before = target([schema, *records("s", everybody)], streams={"s": {"action": first}})
        assert (before.code, before.rejected) == (0, [])
    state = {"type": "STATE", "value": {"at": size}}
    run = target(
        [schema, *records("s", [record for _, record, _ in made]), state],
        streams={"s": {"action": action, "on_bad_value": "reject", **ENTRIES.get(action, {})}},
        report_path="report.json",
    )
    totals = json.loads((run.folder / "report.json").read_text())["totals"]
    good = {at for at, _, is_good in made if is_good}
    assert (run.code, run.states) == (0, [state["value"]])
    assert [line["record"] for line in run.rejected] == [record for at, record, _ in made if at not in good]
    assert (totals["delivered"] + totals["accepted"], totals["rejected"]) == (len(good), size - len(good))
    assert numbers_there(account, action, size) == good
    assert good


def test_every_action_is_among_them() -> None:
    """A new one about people, too; what is made of other actions has its fields checked as theirs are."""
    needed = {name for name in EVERY if ACTIONS[name].is_about_people and ACTIONS[name].deliver}
    assert needed <= CONTENTS.keys(), "".join(
        f"\nadd to CONTENTS in tests/target/test_target_text_records.py what a record of {name!r} may have besides its "
        f'e-mail address: "{name}": group(part("note", TEXTS)),'
        for name in sorted(needed - CONTENTS.keys())
    )
    assert CONTENTS.keys() <= EVERY.keys()
