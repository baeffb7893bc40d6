"""The results of a run: counts, the last lines of the log, and the rejects file."""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path

import pytest
from support.threads import run_at_once

from klaviyo_client.privacy import private_files
from target_klaviyo.model.records import Outcome, OutcomeKind, SourceRecord
from target_klaviyo.reporting.rejects_file import RejectsFile
from target_klaviyo.reporting.results import RunResults

NO = Outcome(OutcomeKind.REJECTED, 400, "invalid", "/data", "No.")
YES = Outcome(OutcomeKind.DELIVERED, 201)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "rejects.jsonl"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_no_file_without_a_rejected_record(path: Path) -> None:
    """A run that went well leaves nothing behind."""
    results = RunResults(RejectsFile(path))
    results.add(SourceRecord("s", {}), "upsert_profile", YES)
    results.close()
    assert not path.exists()


def test_a_rejected_record_can_be_piped_in_again(path: Path) -> None:
    """The file holds the stream's SCHEMA once, then the record as it came, with the reason; only its owner reads it."""
    results = RunResults(RejectsFile(path))
    message = {"type": "SCHEMA", "stream": "s", "schema": {"properties": {}}}
    results.remember_schema(message)
    for _ in range(2):
        results.add(SourceRecord("s", {"email": "ada"}), "upsert_profile", NO)
    results.sync()
    record = {
        "type": "RECORD",
        "stream": "s",
        "record": {"email": "ada"},
        "action": "upsert_profile",
        "status": 400,
        "code": "invalid",
        "pointer": "/data",
        "reason": "No.",
    }
    assert lines(path) == [message, record, record]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    results.close()


def test_no_run_touches_the_file_of_another(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each has a file of its own, whether the others have ended or not, and the log says which; nothing is deleted."""
    runs = [RunResults(RejectsFile(path)) for _ in range(3)]
    for number in range(6):
        runs[number % 3].add(SourceRecord("s", {"run": number % 3}), "", NO)
    for results in runs:
        results.close()
    later = RunResults(RejectsFile(path))
    with caplog.at_level(logging.INFO):
        later.add(SourceRecord("s", {"run": 3}), "", NO)
        later.close()
    files = sorted(path.parent.iterdir())
    assert len(files) == 4
    assert path in files
    assert all(file.name.startswith("rejects.") and file.suffix == ".jsonl" for file in files)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    records = {file: [line["record"] for line in lines(file)] for file in files}
    assert sorted(map(str, records.values())) == [
        *(str([{"run": number}] * 2) for number in range(3)),
        str([{"run": 3}]),
    ]
    (own,) = [file for file, rows in records.items() if rows == [{"run": 3}]]
    assert f"(see {own})" in caplog.messages[-1]


def test_every_line_is_whole_at_once(path: Path) -> None:
    """A kill breaks no line that is not being written: half a line would take the next file's first one with it."""
    results = RunResults(RejectsFile(path))
    for size in (10, 20_000):
        results.add(SourceRecord("s", {"text": "x" * size}), "", NO)
        assert path.read_text().endswith("\n")
        assert lines(path)
    results.close()


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """`/dev/null`, or a pipe: what is written there is somebody else's business."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    private_files.check_writable(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    results = RunResults(RejectsFile(pipe))
    results.add(SourceRecord("s", {"email": "ada"}), "", NO)
    results.sync()
    results.close()
    private_files.write_private(pipe, "end\n")
    written = os.read(reader, 10_000).decode().splitlines()
    os.close(reader)
    assert json.loads(written[0])["record"] == {"email": "ada"}
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]


def test_a_line_that_nobody_can_read_is_kept_in_a_safe_form(path: Path) -> None:
    """It is quoted, so that the replay of the file does not stumble over it."""
    results = RunResults(RejectsFile(path))
    results.add_line('{"broken', NO)
    results.close()
    assert lines(path)[0]["type"] == "REJECTED"
    assert lines(path)[0]["line"] == '{"broken'


def test_the_last_lines_give_counts_per_stream_and_in_total(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a person reads at the end is every record's outcome, and where the rejected ones are."""
    results = RunResults(RejectsFile(path))
    with caplog.at_level(logging.INFO):
        results.add(SourceRecord("a", {}), "upsert_profile", YES)
        results.add(SourceRecord("b", {}), "list_members", YES)
        results.add(SourceRecord("b", {}), "list_members", NO)
        results.close()
    assert caplog.messages[-3:] == [
        "a (upsert_profile): 1 delivered, 0 accepted, 0 rejected",
        "b (list_members): 1 delivered, 0 accepted, 1 rejected",
        f"done: 2 delivered, 0 accepted, 1 rejected (see {path})",
    ]


def test_one_reason_is_logged_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand equal rejections are one line in the log, and a thousand in the file."""
    results = RunResults(RejectsFile(path))
    for _ in range(1000):
        results.add(SourceRecord("a", {}), "upsert_profile", NO)
    assert len(caplog.messages) == 1
    results.close()
    assert len(lines(path)) == 1000


def test_threads_lose_no_outcome(path: Path) -> None:
    """Counting and writing from many threads is safe."""
    results = RunResults(RejectsFile(path))

    def work() -> None:
        for _ in range(200):
            results.add(SourceRecord("a", {}), "x", NO)

    run_at_once(8, work)
    results.close()
    assert len(lines(path)) == 1600
