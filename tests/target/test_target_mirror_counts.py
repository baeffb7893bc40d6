"""A mirror's numbers are people, and add up with who is on the list in the sandbox's account."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from target_support import Command, Run, records
from test_target_mirror import MIRROR, Pusher, feed, numbered, on_list, people, schema

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.audience.completeness import Decision
from target_klaviyo.audience.feed import AudienceFeed
from target_klaviyo.audience.mirror import Mirror
from target_klaviyo.audience.result import MirrorResult


@pytest.fixture
def push(target: Command, account: RunningSandbox) -> Pusher:
    return Pusher(target, account)


UNSIZED = {name: value for name, value in MIRROR.items() if name != "size_field"}
VOUCHED = {**UNSIZED, "assume_complete": True, "on_bad_value": "reject"}


def address(number: int) -> str:
    return f"p{number}@example.com"


# What a record may have beside a good address: nothing, or what keeps it from being sent, here or at Klaviyo; or it has
# another spelling of the address.
KINDS: Mapping[str, Any] = {
    "good": lambda number: {"email": address(number)},
    "spelt otherwise": lambda number: {"email": f" P{number}@Example.com "},
    "rejected here": lambda number: {"email": address(number), "first_name": 5},
    "rejected there": lambda number: {"email": address(number), "phone_number": f"+1100200300{number}"},
    "of nobody": lambda number: {"first_name": f"N{number}"},
    "no address": lambda number: {"email": "N/A"},
}
ROWS = st.lists(st.tuples(st.integers(0, 8), st.sampled_from([*KINDS, "good", "good"])), max_size=14)


def put_on_list(account: RunningSandbox, name: str, numbers: Iterable[int], joined: str) -> None:
    """As a form would, or somebody in Klaviyo's pages: not through us."""
    store = account.store
    with store.lock:
        (list_id,) = [row["id"] for row in store.lists.rows.values() if row["name"] == name]
        ids = {row["email"]: row["id"] for row in store.profiles.rows.values() if row.get("email")}
        for number in numbers:
            store.list_members[list_id].put({"id": ids[address(number)], "joined_group_at": joined})


def facts_of(folder: Path, path: str = "run.json") -> dict[str, Any]:
    (section,) = json.loads((folder / path).read_text())["sections"]
    return dict(section["facts"])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.sets(st.integers(0, 8)), rows=ROWS, meanwhile=st.sets(st.integers(9, 11)))
def test_before_and_joined_less_left_is_after(
    target: Command, account: RunningSandbox, before: set[int], rows: list[tuple[int, str]], meanwhile: set[int]
) -> None:
    """With people twice, of nobody, rejected here or there, and joining meanwhile: as the list has it."""
    name = f"List {len(account.store.lists.rows)}"
    everybody = [KINDS["good"](number) for number in range(12)]
    add = {"vips": {"action": "list_members", "list": name, "create_list": True}}
    assert target(feed(everybody), streams=add).code == 0
    store = account.store
    (list_id,) = [row["id"] for row in store.lists.rows.values() if row["name"] == name]
    with store.lock:
        for member in list(store.list_members[list_id].rows):
            store.list_members[list_id].drop(member)
    put_on_list(account, name, before, "2026-01-01T00:00:00+00:00")
    put_on_list(account, name, meanwhile, datetime.now(UTC).isoformat())
    lines = [schema(), *records("vips", [KINDS[kind](number) for number, kind in rows])]

    mirror = {**VOUCHED, "list": name, "max_unidentified": "100%"}
    run = target(lines, streams={"vips": mirror}, report_path="run.json")

    facts, there = facts_of(target.folder), on_list(account, name)
    others = numbered(*meanwhile)
    assert facts["before"] == len(before), run.stderr
    assert facts["before"] + facts["joined"] - facts["left"] == facts["after"] == len(there - others)
    assert facts["left"] == len(numbered(*before) - there)
    assert facts["joined"] == len(there - others - numbered(*before))
    assert facts["unidentified"] == sum(kind in ("of nobody", "no address") for _, kind in rows)
    assert facts["came"] + facts["repeated"] + facts["unidentified"] == facts["records"] == len(rows)
    assert others <= there
    of_all = f" of {facts['absent']}" if facts["left"] != facts["absent"] else ""
    members = "member" if facts["before"] == 1 else "members"
    changes = f"{facts['left']}{of_all} removed, {facts['joined']} added, {len(there - others)} now"
    assert f"had {facts['before']} {members}: {changes}; " in run.stderr


def test_the_line_in_the_log_adds_up(push: Pusher) -> None:
    """It speaks of people, also where records and people are not the same number."""
    push(people(range(6)))
    rows = [*people([0, 1, 2, 9]), *people([2])]
    run = push_vouched(push, rows)
    assert run.code == 0, run.stderr
    assert "vips: list 'VIP' had 6 members: 3 removed, 1 added, 4 now; the audience has 4 people\n" in run.stderr
    assert "vips: 1 record is about a person of an earlier record; each person counts once.\n" in run.stderr


def push_vouched(push: Pusher, rows: Iterable[Mapping[str, Any]], **config: Any) -> Run:
    entry = {**VOUCHED, **config.pop("entry", {})}
    run = push._target(feed(rows), streams={"vips": entry}, **config)
    push.settle()
    return run


def test_who_is_refused_is_told_where_they_are(push: Pusher, target: Command) -> None:
    """On the list, where they stay, or not on it; whether it is known here or Klaviyo says it."""
    push(people(range(2)))
    kinds = ("rejected here", "rejected there")
    rows = [KINDS[kind](number) for number, kind in zip((0, 1, 7, 8), kinds * 2, strict=True)]
    run = push_vouched(push, [*rows, *people([9])], report_path="run.json")
    facts = facts_of(target.folder)
    assert (facts["refused_on_list"], facts["refused_elsewhere"], facts["joined"], facts["after"]) == (2, 2, 1, 3)
    assert "2 people could not be sent, and stay on the list.\n" in run.stderr
    assert "2 people could not be sent, and are not on it.\n" in run.stderr


def test_two_rows_of_one_person_are_told(push: Pusher, target: Command) -> None:
    """How many, in the log without a name; who, in the file that only the owner may read."""
    push(people(range(2)))
    rows = [{"email": "twice@example.com"}, {"email": "TWICE@example.com"}, *people([0, 1])]
    run = push_vouched(push, rows, dry_run=True)
    facts = facts_of(target.folder, "target-klaviyo-plan.json")
    assert (facts["repeated"], facts["came"]) == (1, 3)
    assert facts["repeated_examples"] == [{"email": "twice@example.com"}]
    assert "1 record is about a person of an earlier record" in run.stderr
    assert "twice@" not in run.stderr.lower()


@pytest.mark.parametrize(
    ("numbers", "entry", "line", "heading"),
    [
        ([0, 5], {}, "list 'VIP' has 3 members: 2 would be removed, 1 added, 2 then; the audience has 2 people",
         "2 people would be removed from 'VIP'"),
        ([0, 1], {}, "list 'VIP' has 3 members: 1 would be removed, 0 added, 2 then; the audience has 2 people",
         "1 person would be removed from 'VIP'"),
        ([0, 1, 2], {}, "list 'VIP' has 3 members: 0 would be removed, 0 added, 3 then; the audience has 3 people",
         "Nobody would have to be removed from 'VIP'"),
        ([0, 1], {"max_removals": 0},
         "list 'VIP' has 3 members: 0 of 1 would be removed, 0 added, 3 then; the audience has 2 people",
         "Nobody would be removed from 'VIP': 1 person not in the stream stays"),
    ],
)  # fmt: skip
def test_a_rehearsal_says_what_would_be(
    push: Pusher, account: RunningSandbox, numbers: list[int], entry: dict[str, Any], line: str, heading: str
) -> None:
    """Neither its line nor its heading says that anything was done."""
    push(people(range(3)))
    run = push_vouched(push, people(numbers), dry_run=True, entry=entry)
    assert f"vips: {line}\n" in run.stderr
    (section,) = json.loads((run.folder / "target-klaviyo-plan.json").read_text())["sections"]
    assert section["title"] == heading
    assert on_list(account) == numbered(0, 1, 2)


def test_the_heading_says_what_happened(push: Pusher, target: Command) -> None:
    """People were taken off, or nobody was, or nobody had to be."""
    push(people(range(4)))
    headings = []
    for entry in ({"max_removals": 0}, {}, {}):
        push_vouched(push, people([0, 1]), report_path="run.json", entry=entry)
        (section,) = json.loads((target.folder / "run.json").read_text())["sections"]
        headings.append(section["title"])
    assert headings == [
        "Nobody was removed from 'VIP': 2 people not in the stream stay",
        "2 people removed from 'VIP'",
        "Nobody had to be removed from 'VIP'",
    ]


def test_a_first_mirror_on_a_full_list_explains_itself(push: Pusher, account: RunningSandbox, target: Command) -> None:
    """Most members came from elsewhere: how many, what owns_list has to do with it, and what to set."""
    push(people(range(10)))
    put_on_list(account, "VIP", range(10), "2026-01-01T00:00:00+00:00")
    streams = {"vips": {name: value for name, value in VOUCHED.items() if name != "max_removals"}}
    run = target(feed(people([0, 50])), streams=streams)
    assert run.code == 3
    assert "had 10 members: 0 of 9 removed, 1 added, 11 now; " in run.stderr
    assert "9 of 10 members would be removed, and max_removals allows 1" in run.stderr
    for said in ("a form, an import or a person", "owns_list", "a list of its own", "set max_removals: 9"):
        assert said in run.stderr
    assert on_list(account) == numbered(*range(10), 50)


@pytest.mark.parametrize("is_rehearsal", [True, False])
def test_whoever_came_from_elsewhere_is_told_before_they_leave(push: Pusher, is_rehearsal: bool) -> None:
    """A rehearsal explains what it found although no cap is in the way; when they have left there is nothing to add."""
    push(people(range(10)))
    run = push_vouched(push, people([0]), dry_run=is_rehearsal)
    assert run.code == 0, run.stderr
    assert ("9 of its 10 members are not in this stream" in run.stderr) == is_rehearsal


def test_one_person_with_two_records_is_one_whatever_joins_them() -> None:
    """By address, by number, then by a record with both: one person, of whom two records are repetitions."""
    one = AudienceFeed()
    mail, phone = ("email", "a@example.com"), ("phone_number", "+12025550123")
    first, second = one.add([mail], None), one.add([phone], None)
    assert (one.distinct, one.repeated) == (2, 0)
    assert one.add([mail, phone], None) == first
    one.take(second)
    assert (one.distinct, one.repeated) == (1, 2)
    assert one.count_present({"01A": [mail]}) == 1
    assert one.count_strangers({}) == (1, 0)
    assert one.count_strangers({"01A": [phone]}) == (0, 0)


def test_a_removal_that_breaks_off_is_told_as_far_as_it_came() -> None:
    """Of three who were to leave two did: the numbers say so."""
    mirror = Mirror("vips", "VIP", "L1", {})
    mirror.members = {name: (("email", f"{name}@example.com"),) for name in "abc"}
    result = MirrorResult(mirror, Decision(("a", "b", "c")), removed=2)
    assert (result.heading, result.counts.after) == ("2 people removed from 'VIP'", 1)
    assert result.problem == "vips: Klaviyo refused 1 removal"
