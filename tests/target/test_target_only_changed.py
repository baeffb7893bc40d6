"""Only what changed: rows that an earlier run has delivered are left out while they say the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from target_support import Command, Run, records, rows_of, schema_of

from klaviyo_client.errors import SettingsError
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.actions import ACTIONS
from target_klaviyo.delivery.fingerprint_files import Digests, FingerprintFile, Hasher, file_name
from target_klaviyo.delivery.fingerprints import Fingerprints, StreamFingerprints
from target_klaviyo.model.records import Outcome, OutcomeKind

UPSERT = {"action": "upsert_profile", "only_changed": True}
FOLDER = "target-klaviyo-fingerprints"
ADA, BOB, EVE = ({"email": f"{name}@example.com", "first_name": name} for name in ("ada", "bob", "eve"))
DELIVERED = Outcome(OutcomeKind.DELIVERED, 202)


def push(target: Command, people: Iterable[Mapping[str, Any]], entry: Mapping[str, Any] = UPSERT, **config: Any) -> Run:
    run = target([schema_of("people"), *records("people", people)], streams={"people": dict(entry)}, **config)
    assert run.code == 0, run.stderr
    return run


def written(account: RunningSandbox) -> int:
    """How many people were written since this was last called."""
    count = sum(request.items for request in account.requests if request.method != "GET")
    account.requests.clear()
    return count


def test_what_was_delivered_is_left_out_until_it_changes(
    target: Command, account: RunningSandbox, tmp_path: Path
) -> None:
    """The second night sends who changed; plan, log, report and outcomes count the rest; no file says who they are."""
    bad = {"email": "nobody", "first_name": "x"}
    push(target, [ADA, BOB, bad])
    assert written(account) == 2
    ada = {**ADA, "first_name": "Ada"}
    plan = push(target, [ada, BOB, bad], dry_run=True)
    assert "1 would be left out" in " ".join(plan.stderr.split())
    assert written(account) == 0
    run = push(target, [ada, BOB, bad], report_path="run.json", outcomes_path="outcomes.jsonl")
    assert written(account) == 1
    assert "1 delivered, 0 accepted, 1 rejected, 1 left out (1 unchanged)" in run.stderr
    report = json.loads((tmp_path / "run.json").read_text())
    assert [(why["outcome"], why["count"]) for why in report["reasons"] if why["code"] == "unchanged"] == [
        ("left out", 1)
    ]
    [section] = [section for section in report["sections"] if section["title"] == "Unchanged in people"]
    assert str(tmp_path / FOLDER / "people.sqlite") in section["notes"][0]
    assert '"unchanged"' in (tmp_path / "outcomes.jsonl").read_text()
    for file in (tmp_path / FOLDER).iterdir():
        assert file.stat().st_mode & 0o077 == 0
        assert not any(name in file.read_bytes() for name in (b"ada", b"bob", b"example"))
    (tmp_path / FOLDER / "people.sqlite").unlink()
    push(target, [ada, BOB])
    assert written(account) == 2


def test_unchanged_people_and_rejected_ones_are_no_failed_run(target: Command) -> None:
    """Where nothing had to be delivered, a bad row that comes every night does not fail the run."""
    push(target, [ADA])
    assert "0 delivered, 0 accepted, 1 rejected, 1 left out (1 unchanged)" in push(target, [ADA, {"email": "x"}]).stderr


@pytest.mark.parametrize(
    ("entry", "config"),
    [
        ({"update_only": True}, {}),
        ({"list": "New", "create_list": True}, {}),
        ({"mapping": {"title": {"value": "x"}}}, {}),
        ({}, {"api_key": "pk_another0123456789"}),
    ],
)
def test_other_options_make_all_rows_new(
    target: Command, account: RunningSandbox, entry: dict[str, Any], config: dict[str, Any]
) -> None:
    """What was delivered by another action, to another list or account says nothing of this one."""
    push(target, [ADA])
    written(account)
    push(target, [ADA], {**UPSERT, **entry}, **config)
    assert written(account)


def test_a_mirror_puts_back_whoever_is_not_on_its_list(target: Command, account: RunningSandbox) -> None:
    """Membership is what the account says, and those who are unchanged are in the audience."""
    mirror = {"action": "list_members", "mode": "mirror", "list": "VIP", "create_list": True, "owns_list": True,
              "assume_complete": True, "max_removals": "100%", "only_changed": True}  # fmt: skip
    push(target, [ADA, BOB, EVE], mirror)
    [list_id] = [row["id"] for row in account.store.lists.rows.values() if row["name"] == "VIP"]
    members = account.store.list_members[list_id]
    for person in list(members.rows):
        members.put({"id": person, "joined_group_at": "2026-01-01T00:00:00+00:00"})
    [ada] = [row["id"] for row in account.store.profiles.rows.values() if row["email"] == ADA["email"]]
    members.drop(ada)
    written(account)
    run = push(target, [ADA, BOB], {**mirror, "max_removals": "90%"})
    assert "1 delivered, 0 accepted, 0 rejected, 1 left out (1 unchanged)" in run.stderr
    on_list = {account.store.profiles.rows[person]["email"] for person in members.rows}
    assert on_list == {ADA["email"], BOB["email"]}


def test_it_is_refused_where_unchanged_does_not_mean_done(target: Command) -> None:
    """Whoever was taken off a list can be on it again."""
    entry = {"action": "list_members", "list": "VIP", "mode": "remove", "only_changed": True}
    run = target([], streams={"people": entry})
    assert run.code == 2
    assert "only_changed does not work with mode: remove" in run.stderr


# The fingerprints of one stream ---------------------------------------------------------------------------------------


class Nights:
    """Runs of one stream, one after the other, on one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, **options: Any) -> tuple[Fingerprints, StreamFingerprints]:
        run = Fingerprints(self.folder, "account", **options)
        return run, run.of_stream("people", {"action": "upsert_profile"})

    def send(self, *people: Mapping[str, Any], outcome: Outcome = DELIVERED, **options: Any) -> list[bool]:
        """Which of the people a run sends, one after the other."""
        run, stream = self.begin(**options)
        are_sent = []
        for row in rows_of({"action": "upsert_profile"}, *people):
            digests = stream.digests(ACTIONS["upsert_profile"], row, None)
            are_sent.append(not stream.is_unchanged(digests))
            if are_sent[-1]:
                stream.begin(row.source, digests)
                stream.settle(row.source, outcome)
        run.close()
        return are_sent


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path / "prints")


def test_the_last_word_about_each_identifier_counts(nights: Nights) -> None:
    """A value that came between, also under another identifier, or in another order of columns."""
    both = {**ADA, "external_id": "7"}
    assert nights.send(both) == [True]
    assert nights.send(dict(reversed(both.items()))) == [False]
    assert nights.send({**ADA, "first_name": "A"}) == [True]
    assert nights.send(both) == [True]
    assert nights.send({"external_id": "7", "first_name": "A"}) == [True]
    assert nights.send(both) == [True]
    assert nights.send({**both, "email": "ADA@example.com"}, both) == [True, True]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(OutcomeKind.REJECTED, 400, "invalid"),
        Outcome(OutcomeKind.ACCEPTED, 202, "unattributed"),
        Outcome(OutcomeKind.DELIVERED, 202, "partial_failure"),
        Outcome(OutcomeKind.DELIVERED, 202, "value_left_out"),
    ],
)
def test_only_what_was_delivered_whole_is_remembered(nights: Nights, outcome: Outcome) -> None:
    """What was refused, perhaps failed, or went without a part is sent and told again, and so is what it replaced."""
    nights.send(ADA)
    assert nights.send({**ADA, "first_name": "A"}, outcome=outcome) == [True]
    assert nights.send(ADA) == [True]


def test_a_kill_leaves_nothing_that_may_be_wrong(nights: Nights) -> None:
    """A row that was sent and has no outcome yet is forgotten on file before it goes out."""
    nights.send(ADA, BOB)
    _, stream = nights.begin()
    [row] = rows_of({"action": "upsert_profile"}, {**ADA, "first_name": "A"})
    stream.begin(row.source, stream.digests(ACTIONS["upsert_profile"], row, None))
    stream._file._database.close()
    assert nights.send(ADA, BOB) == [True, False]


def test_of_two_rows_on_their_way_the_later_one_counts(nights: Nights) -> None:
    """Also when the first has its outcome only after the second was sent."""
    first, second = rows_of({"action": "upsert_profile"}, ADA, {**ADA, "first_name": "A"})
    run, stream = nights.begin()
    for row in (first, second):
        digests = stream.digests(ACTIONS["upsert_profile"], row, None)
        assert not stream.is_unchanged(digests)
        stream.begin(row.source, digests)
    stream.settle(first.source, DELIVERED)
    stream.settle(second.source, Outcome(OutcomeKind.REJECTED))
    run.close()
    assert nights.send(ADA) == [True]


def test_a_row_that_comes_twice_in_a_run_is_sent_twice(nights: Nights) -> None:
    """What a run sends does not depend on how soon its outcomes come."""
    assert nights.send(ADA, ADA) == [True, True]
    assert nights.send(ADA, ADA) == [False, False]


def test_a_rehearsal_leaves_the_file_as_it_was(nights: Nights) -> None:
    """And makes none; within it, it sees what a push would."""
    assert nights.send(ADA, keeps=False) == [True]
    assert not nights.folder.exists()
    nights.send(ADA)
    changed = {**ADA, "first_name": "A"}
    assert nights.send(changed, ADA, keeps=False) == [True, True]
    assert nights.send(ADA) == [False]


def test_another_context_begins_anew(nights: Nights) -> None:
    """So does another key, which makes every digest another one."""
    nights.send(ADA)
    (nights.folder / "key").unlink()
    assert nights.send(ADA) == [True]
    assert nights.send(ADA) == [False]


def test_two_runs_of_a_stream_at_once_are_refused(nights: Nights) -> None:
    """Each would remember what the other has overwritten."""
    run, _ = nights.begin()
    with pytest.raises(SettingsError, match="another run uses"):
        nights.begin()
    run.close()


def test_a_file_that_is_none_is_told(nights: Nights) -> None:
    """With what to do about it."""
    nights.send(ADA)
    (nights.folder / "people.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(SettingsError, match="delete the file, and everything is sent again"):
        nights.begin()
    (nights.folder / "key").write_bytes(b"short")
    with pytest.raises(SettingsError, match="is not a key"):
        nights.begin()


def test_a_list_has_its_own_members(tmp_path: Path) -> None:
    """Whoever was put on one list is new to another, and whoever was taken off is new to the first."""
    file = FingerprintFile(tmp_path, "people", b"")
    stream = StreamFingerprints(Hasher(tmp_path), file)
    action = ACTIONS["list_members"]

    def is_sent(list_id: str, **more: Any) -> bool:
        [row] = rows_of({"action": "list_members", "list": "x"}, {**ADA, **more})
        digests: Digests = stream.digests(action, row, list_id)
        is_new = not stream.is_unchanged(digests)
        if is_new:
            stream.begin(row.source, digests)
            stream.settle(row.source, DELIVERED)
            file._write()
            file._run += 1
        return is_new

    off = {"_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    assert [is_sent("L1"), is_sent("L2"), is_sent("L1"), is_sent("L2")] == [True, True, False, False]
    assert [is_sent("L1", **off), is_sent("L2"), is_sent("L1", **off), is_sent("L1")] == [True, False, False, True]


def test_no_two_streams_share_a_file() -> None:
    """Names that differ only in what a file's name cannot hold, or in capitals, differ."""
    names = ["people", "People", "my people", "my/people", "", ".", "é" * 300]
    assert len({file_name(name) for name in names}) == len(names)
    assert all(len(file_name(name)) < 120 for name in names)
