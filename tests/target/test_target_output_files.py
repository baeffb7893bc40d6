"""Where a run's files go, and what comes of the rejected ones over several runs."""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import warm
from support.commands import run_command, singer_lines
from support.patience import PATIENCE, until
from support.threads import run_at_once
from target_support import PROFILE_SCHEMA, Command, Run, records

from klaviyo_client.errors import SettingsError
from klaviyo_client.privacy import private_files
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.reporting.output_files import writable_path

BAD = {"email": "not an address"}


@pytest.fixture
def target(target: Command) -> Command:
    """The command, which rejects a record for a bad address beside a good id."""
    target.config["streams"] = {"profiles": {"on_bad_value": "reject"}}
    return target


def bad(numbers: range) -> list[dict[str, Any]]:
    return [PROFILE_SCHEMA, *records("profiles", [{**BAD, "external_id": f"r{number}"} for number in numbers])]


def on_file(folder: Path) -> Counter[str]:
    """How often each record is in all the files together, by its external id.

    Not in the hidden files that a path is tried with: these may be gone before they are read.
    """
    rows = [
        json.loads(line) for file in folder.glob("target-klaviyo-rejects*") for line in file.read_text().splitlines()
    ]
    return Counter(row["record"]["external_id"] for row in rows if row["type"] == "RECORD")


def rejecting(folder: Path, config: dict[str, Any], numbers: range) -> warm.Popen:
    """A target that has these rejected, with a STATE behind, and its input still open."""
    folder.mkdir(exist_ok=True)
    if not (folder / "config.json").exists():  # another one may be reading it
        (folder / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
    process = warm.Popen(command, stdin=warm.PIPE, stdout=warm.PIPE, stderr=warm.PIPE, text=True, cwd=folder)
    assert process.stdin is not None
    lines = [*bad(numbers), {"type": "STATE", "value": {"at": numbers.stop}}]
    process.stdin.write(singer_lines(lines))
    process.stdin.flush()
    return process


def test_kills_and_resumes_lose_no_rejected_record(target: Command) -> None:
    """Whatever a STATE vouches for is on file after four runs, of which three were killed."""
    begun = 0
    for end in (70, 130, 200):
        with rejecting(target.folder, target.config, range(begun, end)) as process:
            assert process.stdout is not None
            begun = json.loads(process.stdout.readline())["at"]
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=PATIENCE)
    assert target(bad(range(begun, 250))).code == 1
    assert on_file(target.folder) == Counter({f"r{number}": 1 for number in range(250)})


def test_targets_in_one_folder_lose_no_rejected_record(target: Command) -> None:
    """Three at once, none of which has ended when the others write."""
    running = [rejecting(target.folder, target.config, range(start, start + 50)) for start in (0, 50, 100)]
    until(lambda: on_file(target.folder).total() == 150)
    for process in running:
        process.communicate(timeout=PATIENCE)
    assert on_file(target.folder) == Counter({f"r{number}": 1 for number in range(150)})
    assert len(list(target.folder.glob("target-klaviyo-rejects*"))) == 3


def test_a_retry_of_all_files_at_once_reads_none_of_its_own(target: Command) -> None:
    """``cat`` opens its files one after the other, while the run that reads them has its own rejected records."""
    for start in (0, 10):
        target(bad(range(start, start + 10)))
    files = sorted(target.folder.glob("target-klaviyo-rejects*.jsonl"))
    assert len(files) == 2
    before = [file.read_text() for file in files]
    run = target([line for text in before for line in text.splitlines()])
    assert run.code == 1, run.stderr
    assert [file.read_text() for file in files] == before
    assert set(on_file(target.folder).values()) == {2}
    assert "belongs to another run" in run.stderr


def in_the_way(folder: Path) -> Path:
    """A path below a file: nobody can write there, not even root."""
    (folder / "file").write_text("")
    return folder / "file" / "x.json"


@pytest.mark.parametrize("setting", ["rejects_path", "report_path", "plan_path"])
def test_a_place_is_tried_before_the_first_record(
    target: Command, account: RunningSandbox, tmp_path: Path, setting: str
) -> None:
    """Exit code 2 that names the setting and the path, and nothing was sent or asked."""
    for wrong in (in_the_way(tmp_path), tmp_path / "folder.json"):
        (tmp_path / "folder.json").mkdir(exist_ok=True)
        run = target([PROFILE_SCHEMA, *records("profiles", [{"email": "ada@example.com"}])],
                      **{setting: str(wrong)}, dry_run=setting == "plan_path")  # fmt: skip
        assert run.code == 2
        assert f"{setting} cannot be written: {wrong}" in run.stderr
        assert not account.requests


def test_the_page_beside_a_report_is_tried_too(target: Command, tmp_path: Path) -> None:
    """It is written at the end, when it is too late to say so."""
    (tmp_path / "run.html").mkdir()
    run = target([PROFILE_SCHEMA], report_path=str(tmp_path / "run.json"))
    assert run.code == 2
    assert f"report_path cannot be written: {tmp_path / 'run.html'}" in run.stderr


def test_trying_leaves_nothing_behind(target: Command, tmp_path: Path) -> None:
    """A run that went well has no file of rejected records, and none that it tried out with."""
    run = target([PROFILE_SCHEMA], rejects_path=str(tmp_path / "deep" / "rejects.jsonl"))
    assert run.code == 0
    assert list((tmp_path / "deep").iterdir()) == []


def test_the_default_works_where_the_folder_cannot_be_written(target: Command, tmp_path: Path) -> None:
    """As in a container: the file goes to the user's folder for such things, and the log says so."""
    config = tmp_path / "config.json"
    home = tmp_path / "home"
    config.write_text(json.dumps(target.config))
    completed = run_command(
        [sys.executable, "-m", "target_klaviyo", "--config", str(config)],
        bad(range(3)),
        folder="/proc",
        environment={"XDG_STATE_HOME": "", "HOME": str(home)},
    )
    run = Run(completed.returncode, completed.stdout, completed.stderr, home / ".local" / "state" / "target-klaviyo")
    assert run.code == 1, run.stderr
    assert len(run.rejected) == 3
    assert f"rejects_path is in {run.folder}" in run.stderr


def test_where_nothing_can_be_written_the_run_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last resort is the folder for passing files; what the user has named is never replaced by another place."""
    monkeypatch.chdir("/proc")
    default = "target-klaviyo-rejects.jsonl"
    nowhere = {"HOME": str(in_the_way(tmp_path))}
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert writable_path("rejects_path", default, nowhere, default=default) == tmp_path / "target-klaviyo-rejects.jsonl"
    with pytest.raises(SettingsError, match="rejects_path cannot be written: /proc/mine"):
        writable_path("rejects_path", "mine.jsonl", nowhere, default=default)
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    with pytest.raises(SettingsError, match="rejects_path cannot be written: /proc/target"):
        writable_path("rejects_path", default, nowhere, default=default)


def test_many_threads_get_files_of_their_own(tmp_path: Path) -> None:
    """As many processes would: whoever is second at the same moment takes another name."""

    def make() -> Path:
        path, file = private_files.create_private(tmp_path / "r.jsonl")
        file.close()
        return path

    assert len(set(run_at_once(20, make))) == 20
