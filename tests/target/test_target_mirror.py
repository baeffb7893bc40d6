"""A list that is made to equal a stream, in the sandbox's account."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from support import warm
from support.commands import singer_lines
from support.patience import PATIENCE, until
from target_support import KEY, SPEED, Command, Run, records

from klaviyo_sandbox import RunningSandbox

TEXT = {"type": ["string", "null"]}
COLUMNS = {
    **dict.fromkeys(("email", "phone_number", "external_id", "first_name", "_sdc_deleted_at", "list_name"), TEXT),
    "size": {"type": ["integer", "null"]},
}
MIRROR = {"action": "list_members", "mode": "mirror", "list": "VIP", "create_list": True, "owns_list": True,
          "size_field": "size", "max_removals": "100%"}  # fmt: skip
STATE = {"type": "STATE", "value": {"at": 1}}


def schema(stream: str = "vips", **more: Any) -> dict[str, Any]:
    properties = {**COLUMNS, **more}
    return {"type": "SCHEMA", "stream": stream, "key_properties": [],
            "schema": {"type": "object", "properties": properties}}  # fmt: skip


def people(numbers: Iterable[int], size: int | None = None, **more: Any) -> list[dict[str, Any]]:
    rows = [{"email": f"p{number}@example.com", **more} for number in numbers]
    return [{**one, "size": len(rows) if size is None else size} for one in rows]


def feed(rows: Iterable[Mapping[str, Any]], stream: str = "vips") -> list[dict[str, Any]]:
    return [schema(stream), *records(stream, rows), STATE]


def on_list(account: RunningSandbox, name: str = "VIP") -> set[str]:
    store = account.store
    (list_id,) = [row["id"] for row in store.lists.rows.values() if row["name"] == name]
    profiles = [store.profiles.rows[member] for member in store.list_members[list_id].rows]
    return {row.get("email") or row.get("phone_number") for row in profiles}


def numbered(*numbers: int) -> set[str]:
    return {f"p{number}@example.com" for number in numbers}


def deletes(account: RunningSandbox) -> int:
    return sum(1 for asked in account.requests if asked.method == "DELETE")


class Pusher:
    """Mirrors an audience to the list VIP, whose members have been on it for a while."""

    def __init__(self, target: Command, account: RunningSandbox) -> None:
        self._target = target
        self._account = account

    def __call__(self, rows: Iterable[Mapping[str, Any]], **entry: Any) -> Run:
        run = self._target(feed(rows), streams={"vips": {**MIRROR, **entry}})
        self.settle()
        return run

    def settle(self) -> None:
        """Time goes by: who joined in the last seconds before a run is nobody's to remove."""
        for members in self._account.store.list_members.values():
            for row in list(members.rows.values()):
                members.put({**row, "joined_group_at": "2026-01-01T00:00:00+00:00"})


@pytest.fixture
def push(target: Command, account: RunningSandbox) -> Pusher:
    return Pusher(target, account)


def test_the_list_follows_the_stream(push: Pusher, account: RunningSandbox) -> None:
    """From nothing it grows, shrinks, and swaps its people."""
    for numbers in ([1, 2, 3], [1, 2, 3, 4], [2, 4], [7, 8, 9]):
        run = push(people(numbers))
        assert run.code == 0, run.stderr
        assert on_list(account) == numbered(*numbers)
        assert run.states == [{"at": 1}]
    assert all("size" not in row["properties"] for row in account.store.profiles.rows.values())


def test_leaving_is_neither_unsubscribing_nor_deletion(push: Pusher, account: RunningSandbox) -> None:
    """Who leaves an audience is a profile as before."""
    push(people([1, 2]))
    before = {row["email"]: row["subscriptions"] for row in account.store.profiles.rows.values() if row.get("email")}
    push(people([1]))
    after = {row["email"]: row["subscriptions"] for row in account.store.profiles.rows.values() if row.get("email")}
    assert after == before


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (people([1, 2], size=3), "2 people came, and 3 were to come"),
        ([*people([1], size=2), *people([2], size=3)], "disagree"),
        ([*people([1], size=2), {"email": "p2@example.com", "size": None}], "disagree"),
        ([*people([1, 2], size=3), *people([2], size=3)], "1 more records were about people seen before"),
    ],
)
def test_half_a_feed_adds_and_removes_nobody(
    push: Pusher, account: RunningSandbox, rows: list[dict[str, Any]], said: str
) -> None:
    """The additions stand, the removals do not happen, and the run says why and fails."""
    push(people([1, 5, 6, 7]))
    run = push(rows)
    assert run.code == 1
    assert said in run.stderr
    assert on_list(account) == numbered(1, 2, 5, 6, 7)
    assert deletes(account) == 0


def test_without_any_proof_nobody_is_removed(push: Pusher, account: RunningSandbox) -> None:
    """End of input is no proof: a tap that crashed ends, too. The user may vouch for the source."""
    push(people([1, 2]))
    run = push_without_size(push, [1])
    assert run.code == 1
    assert "size_field" in run.stderr
    assert on_list(account) == numbered(1, 2)
    assert push_without_size(push, [1], assume_complete=True).code == 0
    assert on_list(account) == numbered(1)


def push_without_size(push: Pusher, numbers: Iterable[int], **entry: Any) -> Run:
    streams = {"vips": {name: value for name, value in MIRROR.items() if name != "size_field"} | entry}
    run = push._target(feed(people(numbers)), streams=streams)
    push.settle()
    return run


def test_a_version_that_ended_after_its_records_is_proof(push: Pusher, account: RunningSandbox) -> None:
    """An ACTIVATE_VERSION before the first record says nothing; one behind the last one does."""
    streams = {"vips": {name: value for name, value in MIRROR.items() if name != "size_field"}}
    over = {"type": "ACTIVATE_VERSION", "stream": "vips", "version": 7}
    rows = [{**line, "version": 7} for line in records("vips", people([1]))]
    push(people([1, 2]))
    for lines, code, left in (
        ([schema(), over, *rows], 1, {1, 2}),
        ([schema(), *rows, over, *rows], 1, {1, 2}),
        ([schema(), *rows, over], 0, {1}),
    ):
        run = push._target(lines, streams=streams)
        assert run.code == code, run.stderr
        assert on_list(account) == numbered(*left)


def test_a_manifest_says_how_many_come(push: Pusher, target: Command, account: RunningSandbox) -> None:
    """A control stream beside the audience, before it or after it."""
    streams = {"vips": {name: value for name, value in MIRROR.items() if name != "size_field"}}
    properties = {"list": TEXT, "expected_count": {"type": "integer"}, "run_id": TEXT}
    control = [
        {"type": "SCHEMA", "stream": "audience_manifest", "key_properties": [],
         "schema": {"type": "object", "properties": properties}},
        *records("audience_manifest", [{"list": "VIP", "expected_count": 2, "run_id": "r1"}]),
    ]  # fmt: skip
    push(people([1, 2, 3]))
    assert target([*control, *feed(people([1, 2]))], streams=streams).code == 0
    assert on_list(account) == numbered(1, 2)
    run = target([*feed(people([1])), *control], streams=streams)
    assert run.code == 1
    assert on_list(account) == numbered(1, 2)


def test_only_a_manifest_can_empty_a_list(push: Pusher, target: Command, account: RunningSandbox) -> None:
    """An empty stream is mostly a broken one: it takes a manifest that says 0, and the option allow_empty."""
    properties = {"list": TEXT, "expected_count": {"type": "integer"}}
    manifest = [
        {"type": "SCHEMA", "stream": "audience_manifest", "key_properties": [],
         "schema": {"type": "object", "properties": properties}},
        *records("audience_manifest", [{"list": "VIP", "expected_count": 0}]),
    ]  # fmt: skip
    push(people([1, 2]))
    tries = [([], {}), (manifest, {}), ([], {"allow_empty": True, "assume_complete": True})]
    for control, entry in tries:
        run = target([*control, schema(), STATE], streams={"vips": {**MIRROR, **entry}})
        assert run.code == 1, run.stderr
        assert "nobody came" in run.stderr
        assert on_list(account) == numbered(1, 2)
    assert target([*manifest, schema(), STATE], streams={"vips": {**MIRROR, "allow_empty": True}}).code == 0
    assert on_list(account) == set()


@pytest.mark.parametrize(("cap", "code"), [(None, 3), (2, 3), ("50%", 3), ("3, 90%", 0), (3, 0)])
def test_a_cap_stops_before_the_first_removal(
    push: Pusher, account: RunningSandbox, cap: str | int | None, code: int
) -> None:
    """Above it there is not one DELETE, and the exit code is 3; by default it is a tenth of the list."""
    push(people([1, 2, 3, 4, 5]))
    entry = {"max_removals": cap} if cap is not None else {}
    streams = {"vips": {**{name: value for name, value in MIRROR.items() if name != "max_removals"}, **entry}}
    run = push._target(feed(people([1, 2])), streams=streams)
    assert run.code == code, run.stderr
    assert on_list(account) == (numbered(1, 2) if code == 0 else numbered(1, 2, 3, 4, 5))
    assert (deletes(account) > 0) == (code == 0)


def test_additions_do_not_widen_the_cap(push: Pusher, account: RunningSandbox) -> None:
    """The cap is a part of those who were on the list before: a wrong audience that is large takes nobody off."""
    push(people(range(10)))
    run = push(people(range(100, 300)), max_removals="10%")
    assert run.code == 3
    assert numbered(*range(10)) <= on_list(account)


def test_people_are_known_by_any_of_their_names(push: Pusher, account: RunningSandbox) -> None:
    """By phone only, or by their own id with a new address: they stay."""
    first = [
        {"phone_number": "+12025550123", "size": 2},
        {"email": "old@example.com", "external_id": "c1", "size": 2},
    ]
    push(first)
    run = push([first[0], {"email": "new@example.com", "external_id": "c1", "size": 2}])
    assert run.code == 0, run.stderr
    assert on_list(account) == {"+12025550123", "new@example.com"}


def test_who_is_refused_is_not_taken_off(push: Pusher, account: RunningSandbox) -> None:
    """A record with a bad phone number is rejected, but its person is in the audience all the same."""
    push(people([1, 2, 3]))
    rows = [*people([1], size=2), {"email": "p2@example.com", "phone_number": "123", "size": 2}]
    run = push._target(feed(rows), streams={"vips": {**MIRROR, "on_bad_value": "reject"}})
    assert run.code == 0, run.stderr
    assert [line["code"] for line in run.rejected] == ["invalid_phone"]
    assert on_list(account) == numbered(1, 2)


NOBODY = {"first_name": "Ada"}
# As spreadsheets have them: of none of these it can be known whose they are.
NAMELESS = [NOBODY, {"email": "N/A"}, {"email": "N/A"}, {"phone_number": "N/A"}, {"email": " "}]


def test_a_few_records_of_nobody_do_not_keep_everybody_on_the_list(push: Pusher, account: RunningSandbox) -> None:
    """Their number is known and small: of those who leave, no more can be meant by them, and the run says that."""
    push(people([1, 2, 3]))
    run = push([{**row, "size": 6} for row in (*people([1]), *NAMELESS)])
    assert run.code == 0, run.stderr
    assert on_list(account) == numbered(1)
    assert "5 records are without an e-mail, phone or id, so up to 2 of the removals may be wrong" in run.stderr
    assert len(run.rejected) == 5


@pytest.mark.parametrize(
    ("more", "entry"), [([NOBODY], {}), ([], {"max_unidentified": 4}), ([], {"max_unidentified": "4, 90%"})]
)
def test_more_records_of_nobody_leave_the_list_alone(
    push: Pusher, account: RunningSandbox, more: list[dict[str, Any]], entry: dict[str, Any]
) -> None:
    """Whoever they were about might be on the list."""
    push(people([1, 2, 3]))
    rows = [*people([1]), *NAMELESS, *more]
    run = push([{**row, "size": len(rows)} for row in rows], **entry)
    assert run.code == 1
    assert f"{len(rows) - 1} of its {len(rows)} records have no e-mail" in run.stderr
    assert "max_unidentified" in run.stderr
    assert on_list(account) == numbered(1, 2, 3)


@pytest.mark.parametrize("is_rehearsal", [False, True])
def test_every_reason_is_told_by_one_run(push: Pusher, account: RunningSandbox, is_rehearsal: bool) -> None:
    """Not known to be whole, records of nobody, and too many would leave: all of it, each with what to set."""
    push(people(range(20)))
    streams = {"vips": {key: value for key, value in MIRROR.items() if key not in ("size_field", "max_removals")}}
    run = push._target(feed([*people([0, 30]), *[NOBODY] * 6]), streams=streams, dry_run=is_rehearsal)
    assert run.code == 1, run.stderr
    for said in ("for 3 reasons: (1) ", "6 of its 8 records have no e-mail", "set max_unidentified", "set size_field",
                 "19 of 20 members would be removed", "set max_removals: 19", "19 people stay"):  # fmt: skip
        assert said in run.stderr
    assert on_list(account) == numbered(*range(20), *([] if is_rehearsal else [30]))


def test_a_rehearsal_tells_owns_list_with_the_rest(push: Pusher, account: RunningSandbox, tmp_path: Path) -> None:
    """A push would not begin without it; a rehearsal ends as the push would, and has said everything by then."""
    push(people([1, 2, 3]))
    streams = {"vips": {**MIRROR, "owns_list": False, "max_removals": 0}}
    run = push._target(feed(people([1], size=7)), streams=streams, dry_run=True)
    assert run.code == 2
    for said in ("owns_list: true", "2 of its 3 members are not in this stream", "7 were to come", "max_removals: 2"):
        assert said in run.stderr
    (section,) = json.loads((tmp_path / "target-klaviyo-plan.json").read_text())["sections"]
    assert [reason["code"] for reason in section["facts"]["reasons"]] == ["not_owned", "wrong_size", "over_cap"]
    assert all(any(reason["advice"] in note for note in section["notes"]) for reason in section["facts"]["reasons"])


@pytest.mark.parametrize("is_rehearsal", [False, True])
@pytest.mark.parametrize("left", [range(20), range(1, 20)])
def test_too_many_rejected_records_hide_no_other_reason(
    push: Pusher, account: RunningSandbox, tmp_path: Path, left: range, is_rehearsal: bool
) -> None:
    """They keep everybody on the list, and what else does is told with them; also where nobody is absent."""
    push(people(range(20)))
    streams = {"vips": {**MIRROR, "max_removals": 0}}
    rows = [*people(left, size=len(left) + 1), {**NOBODY, "size": len(left) + 1}]
    settings = {"max_rejects": "1%", "dry_run": is_rehearsal, "report_path": "run.json"}
    run = push._target(feed(rows), streams=streams, **settings)
    assert run.code == 1
    assert f"1 of {len(rows)} records were rejected, more than" in run.stderr
    path = "target-klaviyo-plan.json" if is_rehearsal else "run.json"
    (section,) = json.loads((tmp_path / path).read_text())["sections"]
    reasons = ["over_cap", "too_many_rejects"] if len(left) < 20 else []
    assert [reason["code"] for reason in section["facts"]["reasons"]] == reasons
    assert ("set max_removals: 1 for one run" in run.stderr) == bool(reasons)
    assert on_list(account) == numbered(*range(20))


@pytest.mark.parametrize("column", ["missing", "first_name"])
def test_a_size_that_is_none_is_told_as_such(push: Pusher, account: RunningSandbox, column: str) -> None:
    """A column that is not there, or holds no number, is no audience of minus one."""
    push(people([1, 2]))
    run = push(people([1], first_name="Ada"), size_field=column)
    assert run.code == 1
    assert f"the column '{column}' is missing from its records, or is not a whole number" in run.stderr
    assert "-1 were" not in run.stderr
    assert on_list(account) == numbered(1, 2)


def test_a_deleted_record_leaves(push: Pusher, target: Command, account: RunningSandbox) -> None:
    """`_sdc_deleted_at` means gone: out of the audience in a mirror, off the list in mode add, never an addition."""
    push(people([1, 2]))
    gone = {"email": "p2@example.com", "_sdc_deleted_at": "2026-01-01T00:00:00Z", "size": 1}
    assert push([*people([1]), gone]).code == 0
    assert on_list(account) == numbered(1)
    streams = {"vips": {"action": "list_members", "list": "VIP"}}
    assert target(feed([{"email": "p1@example.com", "_sdc_deleted_at": "2026-01-01"}]), streams=streams).code == 0
    assert on_list(account) == set()


def test_a_changed_schema_keeps_who_was_seen(target: Command, push: Pusher, account: RunningSandbox) -> None:
    """The SDK makes a new sink; the audience is one."""
    push(people([1, 2, 3]))
    lines = [
        schema(), *records("vips", people([1], size=2)),
        schema(plan=TEXT), *records("vips", people([2], size=2, plan="pro")),
    ]  # fmt: skip
    assert target(lines, streams={"vips": MIRROR}).code == 0
    assert on_list(account) == numbered(1, 2)


def test_two_audiences_go_to_two_lists(target: Command, account: RunningSandbox) -> None:
    """Each list has its own people; one over its cap keeps all removals from happening."""
    streams = {"vips": MIRROR, "news": {**MIRROR, "list": "News", "max_removals": 0}}
    settle = Pusher(target, account).settle
    both = lambda a, b: [*feed(people(a)), *feed(people(b), "news")]  # noqa: E731
    assert target(both([1, 2], [2, 3]), streams=streams).code == 0
    assert (on_list(account), on_list(account, "News")) == (numbered(1, 2), numbered(2, 3))
    settle()
    assert target(both([1], [3]), streams=streams).code == 3
    assert (on_list(account), on_list(account, "News")) == (numbered(1, 2), numbered(2, 3))


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        ({"vips": {**MIRROR, "owns_list": False}}, "owns_list must be true"),
        ({"vips": {"action": "list_members", "list": "VIP", "size_field": "size"}}, "size_field is for mode: mirror"),
        ({"vips": {**MIRROR, "max_removals": "many"}}, "max_removals must be"),
        ({"vips": {**MIRROR, "max_unidentified": "some"}}, "max_unidentified must be"),
        (
            {"vips": {"action": "list_members", "list": "VIP", "max_unidentified": 5}},
            "max_unidentified is for mode: mirror",
        ),
        ({"vips": MIRROR, "news": MIRROR}, "another stream mirrors the list"),
    ],
)
def test_a_mirror_must_be_meant(target: Command, streams: dict[str, Any], said: str) -> None:
    """Settings that could take people off a list by mistake stop the run before it begins."""
    run = target([*feed(people([1])), *feed(people([1]), "news")], streams=streams)
    assert run.code == 2
    assert said in run.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_feed_that_is_cut_off_removes_nobody(
    push: Pusher, account: RunningSandbox, tmp_path: Path, number: signal.Signals
) -> None:
    """Neither a signal nor a kill in the middle is an end of the audience."""
    push(people([1, 2, 3]))
    before = len(account.requests)
    config = {"api_key": KEY, "api_url": account.url, "streams": {"vips": {**MIRROR, "assume_complete": True}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
    with warm.Popen(command, stdin=warm.PIPE, stderr=warm.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(singer_lines(feed(people([1]))))
        process.stdin.flush()
        # The list is read while its audience comes.
        until(lambda: len(account.requests) > before)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert on_list(account) == numbered(1, 2, 3)


@pytest.mark.parametrize("size", [6_000, pytest.param(20_000, marks=pytest.mark.exhaustive)])
def test_many_members(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, size: int) -> None:
    """A large list is read page by page while its audience comes, and only who is gone leaves."""
    account = make_sandbox(profiles=5, events=0, limits=False, job_seconds=0.02, speed=SPEED)
    push = Pusher(Command(tmp_path, {"api_key": KEY, "api_url": account.url}), account)
    assert push(people(range(size))).code == 0
    run = push(people(range(1_500, size)), max_removals="2000")
    assert run.code == 0, run.stderr
    assert len(on_list(account)) == size - 1_500
    assert "p1499@example.com" not in on_list(account)


def test_who_would_leave_is_in_the_report(push: Pusher, account: RunningSandbox, tmp_path: Path) -> None:
    """Without a proof the removals are listed, with the reason, for somebody to look at."""
    push(people([1, 5, 6]))
    run = push._target(feed(people([1], size=9)), streams={"vips": MIRROR}, report_path=str(tmp_path / "run.json"))
    assert run.code == 1
    (section,) = json.loads((tmp_path / "run.json").read_text())["sections"]
    assert any("were to come" in note for note in section["notes"])
    column = section["table"]["columns"].index("email")
    assert {row[column] for row in section["table"]["rows"]} == numbered(5, 6)
    assert "p5@example.com" not in run.stderr


def test_a_mirror_can_be_rehearsed(push: Pusher, account: RunningSandbox, tmp_path: Path) -> None:
    """The plan names who would come and who would leave, not who is there, and nothing is sent or said to be done."""
    push(people([1, 2, 3, 4]))
    asked = len([request for request in account.requests if request.method != "GET"])
    refused = {"email": "p4@example.com", "phone_number": "12", "size": 3}
    entry = {**MIRROR, "on_bad_value": "reject"}
    run = push._target(feed([*people([1, 9], size=3), refused]), streams={"vips": entry}, dry_run=True)
    assert run.code == 0, run.stderr
    assert len([request for request in account.requests if request.method != "GET"]) == asked
    assert on_list(account) == numbered(1, 2, 3, 4)
    (plan,) = json.loads((tmp_path / "target-klaviyo-plan.json").read_text())["lists"]
    assert set(plan["removals"]["identifiers"]) == numbered(2, 3)
    assert set(plan["additions"]["identifiers"]) == numbered(9)
    assert (plan["additions"]["count"], plan["already_on_it"]) == (1, 1)
    assert "list 'VIP' has 4 members: 2 would be removed, 1 added, 3 then; the audience has 3 people\n" in run.stderr
    assert "        1  would be put on it: p***@e***.com\n" in run.stderr
    assert "        1  on it already\n" in run.stderr
    assert "  not sent (the size of the audience): size\n" in run.stderr
    assert "        2  would be removed from it: p***@e***.com, p***@e***.com\n" in run.stderr


def test_a_rehearsal_with_nobody_new_adds_nobody(push: Pusher) -> None:
    """All who come are on the list: the log says that, and not so many additions."""
    push(people(range(27)))
    run = push._target(feed(people(range(27))), streams={"vips": MIRROR}, dry_run=True)
    assert run.code == 0, run.stderr
    assert "        0  would be put on it\n" in run.stderr
    assert "       27  on it already\n" in run.stderr
    assert "0 would be removed, 0 added, 27 then; " in run.stderr


@pytest.mark.parametrize("lost", ['{"type": "RECORD", "stream": "vips", "rec', "no list", "stream map"])
def test_a_record_that_cannot_be_placed_stops_removals(push: Pusher, account: RunningSandbox, lost: str) -> None:
    """Even where the user vouches for the source: whoever it was about may be on the list."""
    push(people([1, 2, 3]))
    entry = {name: value for name, value in MIRROR.items() if name not in ("size_field", "list")}
    settings: dict[str, Any] = {"streams": {"vips": {**entry, "assume_complete": True, "on_bad_value": "reject"}}}
    rows = [{"email": "p1@example.com", "list_name": "VIP"}]
    if lost == "stream map":
        settings["stream_maps"] = {
            "vips": {"email": "email", "list_name": "list_name", "size": "1 // int(external_id)"}
        }
        rows = [{**rows[0], "external_id": "1"}, {**rows[0], "email": "p2@example.com", "external_id": "0"}]
    bad = {"email": "p2@example.com", "phone_number": "12", "list_name": "VIP"}
    lines = [
        schema(),
        *records("vips", [*rows, *([bad] if lost == "no list" else [])]),
        *([lost] if "{" in lost else []),
    ]
    run = push._target(lines, **settings)
    assert run.code == 1, run.stderr
    assert on_list(account) == numbered(1, 2, 3)
