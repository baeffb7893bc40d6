"""When the files of a run are announced, and what happens when one of them fails."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from batch_support import rows_in

from tap_klaviyo.files.destination import destination
from tap_klaviyo.files.open_files import FilesBroken, FinishedFile
from tap_klaviyo.files.rows import FileRows, StreamShape
from tap_klaviyo.files.run_files import RunFiles

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LISTS = StreamShape("lists", {"properties": {"id": {"type": "string"}, "size": {"type": ["integer", "null"]}}}, ("id",))


class Written:
    """Keeps the messages that are written."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def write_lines(self, lines: bytes) -> None:
        self.messages += map(json.loads, lines.splitlines())

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        yield


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def files(tmp_path: Path, written: Written, clock: Clock) -> Iterator[RunFiles]:
    goal = destination(
        {"encoding": {"format": "parquet"}, "storage": {"root": str(tmp_path / "files")}, "batch_size": 3}
    )
    assert goal is not None
    made = RunFiles(goal, written, clock)
    made.declare(LISTS)
    yield made
    made.close()


def rows(*ids: str) -> FileRows:
    return FileRows([{"id": row_id, "size": 1} for row_id in ids], NOW)


def test_files_are_due_when_they_have_enough_rows_or_a_minute_is_over(files: RunFiles, clock: Clock) -> None:
    """Of one table, in whichever process; each announcement begins anew."""
    files.add("lists", rows("A", "B"))
    assert not files.is_due
    files.add_count("lists", 1)
    assert files.is_due
    files.announce()
    assert not files.is_due
    clock.now = 59.9
    assert not files.is_due
    clock.now = 60.0
    assert files.is_due
    files.announce()
    assert not files.is_due


def test_rows_of_messages_and_of_pages_are_in_one_file(files: RunFiles, written: Written) -> None:
    """In their order; what fits no column is null and counted, and an announcement of nothing says nothing."""
    files.announce()
    assert not written.messages
    files.add_message("lists", FileRows([{"id": "A", "size": "large"}], NOW, is_conformed=False))
    files.add_message("lists", FileRows([{"id": "B", "size": 2}], NOW, is_conformed=False))
    files.announce()
    [batch] = written.messages
    assert rows_in(batch) == [{"id": "A", "size": None}, {"id": "B", "size": 2}]
    assert dict(files.misfits) == {("lists", "size"): 1}


def test_a_file_that_cannot_be_finished_ends_all_announcements(files: RunFiles, written: Written) -> None:
    """Of another process, say: its rows were counted as written, so nothing may vouch for them any more."""

    def fail() -> list[FinishedFile]:
        raise FilesBroken("it is gone")

    def go() -> None:
        with files.finishing_also(fail):
            files.add_count("lists", 5)

    with pytest.raises(FilesBroken, match="it is gone"):
        go()
    for _ in range(2):
        with pytest.raises(FilesBroken, match="resume from the last STATE"):
            files.announce()
    assert not written.messages


def test_what_others_have_written_is_announced_when_they_end(files: RunFiles, written: Written, tmp_path: Path) -> None:
    """Also when they end with an error, which is then the one that is seen."""
    left = tmp_path / "files" / ".left"

    def finish() -> list[FinishedFile]:
        left.write_text("rows")
        return [FinishedFile("lists", str(left), 1)]

    def go() -> None:
        with files.finishing_also(finish):
            raise ValueError("a page cannot be read")

    with pytest.raises(ValueError, match="a page cannot be read"):
        go()
    [batch] = written.messages
    assert Path(batch["manifest"][0].removeprefix("file://")).read_text() == "rows"
    files.announce()
    assert len(written.messages) == 1


def test_many_columns_in_memory_are_written_before_they_are_too_many(
    files: RunFiles, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As row groups of the one file, in which nothing lacks."""
    monkeypatch.setattr("tap_klaviyo.files.open_files.MAX_KEPT_BYTES", 20_000)
    for page in range(10):
        files.add("lists", rows(*(f"{page}-{number}" for number in range(500))))
    files.announce()
    [batch] = written.messages
    assert [row["id"] for row in rows_in(batch)] == [f"{page}-{number}" for page in range(10) for number in range(500)]
