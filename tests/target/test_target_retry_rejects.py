"""`retry_rejects`: what an earlier run rejected is sent first, and set aside then."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support import warm
from support.commands import singer_lines
from support.patience import PATIENCE, until
from target_support import Command, records, schema_of
from test_target_mirror import Pusher, on_list

from klaviyo_client.privacy import private_files
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.intake.permissions import TEST_STREAM

NATIONAL = {"phone_number": "(415) 555-0100"}
SENT_AS = "+14155550100"
DEFAULT = "target-klaviyo-rejects.jsonl"


def phones(account: RunningSandbox) -> list[str]:
    found = [row.get("phone_number") for row in account.store.profiles.rows.values()]
    return [number for number in found if number == SENT_AS]


def emails(account: RunningSandbox) -> set[str]:
    return {row.get("email") for row in account.store.profiles.rows.values()}


def waiting(folder: Path) -> list[Path]:
    """The files that the next run would send."""
    return sorted(folder.glob("target-klaviyo-rejects*.jsonl"))


def set_aside(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sent"))


def people(*rows: Mapping[str, Any], stream: str = "profiles") -> list[dict[str, Any]]:
    return [schema_of(stream), *records(stream, rows)]


def test_what_was_rejected_is_sent_first_and_once(target: Command, account: RunningSandbox) -> None:
    """A setting is mended, the next run sends the record of before, and the one after that no more."""
    assert target(people(NATIONAL)).code == 1
    config = {"retry_rejects": True, "default_region": "US"}

    run = target(people({"email": "new@example.com"}), **config)

    assert run.code == 0, run.stderr
    assert len(phones(account)) == 1
    assert "new@example.com" in emails(account)
    assert waiting(target.folder) == []
    [aside] = set_aside(target.folder)
    assert aside.stat().st_mode & 0o777 == 0o600
    assert aside.name in run.stderr
    assert "done: 2 delivered, 0 accepted, 0 rejected" in run.stderr
    later = target(people({"email": "newer@example.com"}), **config)
    assert "done: 1 delivered" in later.stderr
    assert set_aside(target.folder) == [aside]


def test_without_the_setting_the_file_stays(target: Command, account: RunningSandbox) -> None:
    """Nothing is sent that nobody asked for."""
    target(people(NATIONAL))
    [before] = waiting(target.folder)
    text = before.read_text()
    target(people({"email": "new@example.com"}), default_region="US")
    assert (before.read_text(), phones(account)) == (text, [])


def test_what_is_rejected_again_waits_in_a_new_file(target: Command) -> None:
    """Once, however often it is tried, and with the SCHEMA that it needs."""
    target(people(NATIONAL))
    for _ in range(3):
        run = target(people({"email": "new@example.com"}), retry_rejects=True)
        assert run.code == 0, run.stderr
        [file] = waiting(target.folder)
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [line["type"] for line in lines] == ["SCHEMA", "RECORD"]
        assert lines[1]["record"] == NATIONAL
    assert len(set_aside(target.folder)) == 3


def test_a_record_that_stays_bad_stops_nobody(target: Command, account: RunningSandbox) -> None:
    """Limits are about what is new: a run that only has old bad records is done, and one with others goes on."""
    target(people(NATIONAL))
    config = {"retry_rejects": True, "on_reject": "fail"}
    assert target([], **config).code == 0
    run = target(people({"email": "new@example.com"}), **config)
    assert run.code == 0, run.stderr
    assert "new@example.com" in emails(account)
    assert "1 rejected" in run.stderr


def test_every_file_that_is_there_is_sent(target: Command, account: RunningSandbox) -> None:
    """A run that was killed leaves its own beside the one that it was sending; what is in both is sent once."""
    target(people(NATIONAL))
    target(people(NATIONAL, {"phone_number": "(415) 555-0101"}))
    assert len(waiting(target.folder)) == 2
    run = target([], retry_rejects=True, default_region="US")
    assert "done: 2 delivered" in run.stderr
    assert (len(phones(account)), waiting(target.folder)) == (1, [])


def test_files_that_only_look_like_it_are_left_alone(target: Command) -> None:
    """A name of somebody's own beside it, or a copy, is nobody's to send."""
    target(people(NATIONAL))
    others = [target.folder / f"target-klaviyo-rejects{part}" for part in ("-kept.jsonl", ".old.jsonl", ".jsonl.bak")]
    for other in others:
        other.write_text((target.folder / DEFAULT).read_text())
    target([], retry_rejects=True, default_region="US")
    assert all(other.exists() for other in others)


def test_a_file_that_another_run_writes_is_left_to_it(target: Command) -> None:
    """It may get more records; set aside, they would be lost."""
    (target.folder / "config.json").write_text(json.dumps(target.config))
    command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
    with warm.Popen(
        command, stdin=warm.PIPE, stdout=warm.PIPE, stderr=warm.PIPE, text=True, cwd=target.folder
    ) as other:
        assert other.stdin is not None
        other.stdin.write(singer_lines(people(NATIONAL)))
        other.stdin.flush()
        until((target.folder / DEFAULT).exists)
        run = target([], retry_rejects=True)
        assert run.code == 0, run.stderr
        assert waiting(target.folder) == [target.folder / DEFAULT]
        assert "another run" in run.stderr
        other.communicate(timeout=PATIENCE)
    run = target([], retry_rejects=True, default_region="US")
    assert "done: 1 delivered" in run.stderr


def test_the_input_is_not_sent_twice(target: Command) -> None:
    """Who pipes the file in by hand has it read as the input, and it stays."""
    target(people(NATIONAL))
    arguments = ("--config", "config.json", "--input", DEFAULT)
    run = target(arguments=arguments, retry_rejects=True, default_region="US")
    assert "done: 1 delivered" in run.stderr
    assert waiting(target.folder) == [target.folder / DEFAULT]


@pytest.mark.parametrize(
    "first", ["a,b", json.dumps({"type": "SCHEMA", "stream": TEST_STREAM, "schema": {"properties": {}}})]
)
def test_a_mistake_or_a_test_of_the_settings_sends_nothing(target: Command, first: str) -> None:
    """`meltano config test`, and an input that is no Singer at all, leave the file."""
    target(people(NATIONAL))
    target([first], retry_rejects=True, default_region="US")
    assert waiting(target.folder) == [target.folder / DEFAULT]


def test_a_rehearsal_counts_them_and_leaves_the_file(target: Command, account: RunningSandbox) -> None:
    """The plan has what the push would send; only the push sets it aside."""
    target(people(NATIONAL))
    run = target(people({"email": "new@example.com"}), retry_rejects=True, default_region="US", dry_run=True)
    assert run.code == 0, run.stderr
    plan = json.loads((target.folder / "target-klaviyo-plan.json").read_text())
    assert "phone_number" in json.dumps(plan)
    assert SENT_AS in json.dumps(plan)
    assert phones(account) == []
    assert waiting(target.folder) == [target.folder / DEFAULT]
    assert set_aside(target.folder) == []


def test_a_stream_that_is_no_longer_set_up_keeps_its_records(target: Command, account: RunningSandbox) -> None:
    """They are on file again, with the reason, and the rest of the run goes on."""
    target(people(NATIONAL, stream="old"), streams={"old": {"action": "upsert_profile"}})
    run = target(people({"email": "new@example.com"}), retry_rejects=True)
    assert run.code == 0, run.stderr
    assert "new@example.com" in emails(account)
    [line] = run.rejected
    assert (line["stream"], line["record"], line["code"]) == ("old", NATIONAL, "unusable_stream")


def test_lines_that_nobody_can_read_are_left_aside(target: Command) -> None:
    """The half line of a kill is on file again; what was one already is told, and stays in the file set aside."""
    target([*people(NATIONAL), "{broken"])
    with (target.folder / DEFAULT).open("a") as file:
        file.write('{"type": "RECORD", "stream": "prof')
    run = target([], retry_rejects=True, default_region="US")
    assert run.code == 0, run.stderr
    assert [line["type"] for line in run.rejected] == ["REJECTED"]
    assert "could not read were skipped" in run.stderr
    [aside] = set_aside(target.folder)
    assert "{broken" in aside.read_text()


def test_a_kill_in_the_middle_loses_nothing(target: Command, account: RunningSandbox) -> None:
    """The file is there until all of it has its outcome."""
    people_of_before = [{"phone_number": f"(415) 555-0{number}"} for number in range(100, 140)]
    target(people(*people_of_before))
    config = {**target.config, "retry_rejects": True, "default_region": "US", "batch_size_rows": 5, "concurrency": 1}
    (target.folder / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
    with warm.Popen(command, stdin=warm.PIPE, stdout=warm.PIPE, stderr=warm.PIPE, text=True, cwd=target.folder) as run:
        assert run.stdin is not None
        run.stdin.write(singer_lines([schema_of("profiles")]))
        run.stdin.flush()
        until(lambda: phones(account))
        run.send_signal(signal.SIGKILL)
        run.communicate(timeout=PATIENCE)
    done = target([], retry_rejects=True, default_region="US")
    assert done.code == 0, done.stderr
    sent = {row.get("phone_number") for row in account.store.profiles.rows.values()}
    assert {f"+14155550{number}" for number in range(100, 140)} <= sent
    assert waiting(target.folder) == []


# Mirrors


def mirrored(*addresses: str, version: int) -> list[dict[str, Any]]:
    rows = [{**record, "version": version} for record in records("vips", [{"email": email} for email in addresses])]
    return [schema_of("vips"), *rows, {"type": "ACTIVATE_VERSION", "stream": "vips", "version": version}]


MIRROR = {"vips": {"action": "list_members", "mode": "mirror", "list": "VIP", "create_list": True, "owns_list": True,
                   "max_removals": "100%"}}  # fmt: skip


def mended(path: Path, **columns: str) -> None:
    """Mend the records of a rejects file, as somebody would by hand."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["type"] == "RECORD":
            line["record"].update(columns)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_mirror_is_what_its_feed_says_today(target: Command, account: RunningSandbox) -> None:
    """Who was rejected yesterday and is not in the feed today does not join; who is gone leaves all the same."""
    target(mirrored("a@example.com", "b@example.com", "no address", version=1), streams=MIRROR)
    Pusher(target, account).settle()
    [file] = waiting(target.folder)
    mended(file, email="yesterday@example.com")

    run = target(mirrored("b@example.com", "c@example.com", version=2), streams=MIRROR, retry_rejects=True)

    assert run.code == 0, run.stderr
    assert on_list(account) == {"b@example.com", "c@example.com"}
    assert "1 left out" in run.stderr
    assert waiting(target.folder) == []


def test_a_mirror_without_a_feed_today_is_not_begun(target: Command, account: RunningSandbox) -> None:
    """Only the rejects of a mirrored stream, and no word of it from the tap: nobody is on or off, and nothing fails."""
    target(mirrored("a@example.com", "no address", version=1), streams=MIRROR)
    Pusher(target, account).settle()
    run = target(people({"email": "new@example.com"}), streams=MIRROR, retry_rejects=True)
    assert run.code == 0, run.stderr
    assert on_list(account) == {"a@example.com"}


def test_an_empty_feed_of_a_known_stream_begins_its_mirror(target: Command, account: RunningSandbox) -> None:
    """The SCHEMA of before does not stand for the tap's own."""
    target(mirrored("a@example.com", "no address", version=1), streams=MIRROR)
    Pusher(target, account).settle()
    run = target([schema_of("vips")], streams=MIRROR, retry_rejects=True)
    assert run.code == 1
    assert "nobody came" in run.stderr


def test_the_size_of_an_audience_is_todays(target: Command, account: RunningSandbox) -> None:
    """A manifest that was rejected yesterday says nothing of today."""
    control = {
        "type": "SCHEMA",
        "stream": "audience_manifest",
        "key_properties": [],
        "schema": {"properties": {"list": {}, "expected_count": {}}},
    }
    target([control, *records("audience_manifest", [{"list": "VIP", "expected_count": "some"}])])
    [file] = waiting(target.folder)
    mended(file, expected_count="7")
    run = target(mirrored("a@example.com", version=2), streams=MIRROR, retry_rejects=True)
    assert run.code == 0, run.stderr


def test_a_run_that_holds_its_file_lets_nobody_else_have_it(tmp_path: Path) -> None:
    """As long as it is open; then the next may."""
    path, file = private_files.create_private(tmp_path / "r.jsonl")
    with private_files.exclusively(path) as held:
        assert held is None
    file.close()
    with private_files.exclusively(path) as held:
        assert held is not None
