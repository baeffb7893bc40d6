"""`outcomes_path`: what became of each record, as Singer lines for the warehouse that it came from."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from singer_sdk.sinks import RecordSink
from singer_sdk.target_base import Target
from support import warm
from support.commands import singer_lines
from support.patience import PATIENCE, until
from target_support import PROFILE_SCHEMA, Command, Run, records

from klaviyo_client.errors import SettingsError
from target_klaviyo.model.records import Outcome, OutcomeKind, SourceRecord
from target_klaviyo.reporting.outcomes_file import OutcomesFile
from target_klaviyo.reporting.rejects_file import RejectsFile
from target_klaviyo.reporting.results import RunResults
from target_klaviyo.reporting.run_report import RunReport

SECRETS = {"email": "ada@example.com", "first_name": "Augusta", "phone_number": "+14155550100"}
COLUMNS = ["run", "stream", "key", "action", "outcome", "code", "reason", "time"]


def keyed(*rows: dict[str, Any], keys: tuple[str, ...] = ("id",)) -> list[dict[str, Any]]:
    schema = {"type": "object", "properties": {**PROFILE_SCHEMA["schema"]["properties"], "id": {}, "shop": {}}}  # type: ignore[dict-item]
    head = {"type": "SCHEMA", "stream": "profiles", "key_properties": list(keys), "schema": schema}
    return [head, *records("profiles", rows)]


def landed(path: Path) -> list[dict[str, Any]]:
    """The records of a file that is Singer as it stands, held to its own SCHEMA."""
    schema, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert (schema["type"], schema["stream"], schema["key_properties"]) == ("SCHEMA", "klaviyo_outcomes", [])
    validator = Draft202012Validator(schema["schema"], format_checker=FormatChecker())
    for line in lines:
        assert set(line) <= {"type", "stream", "record", "time_extracted"}
        assert (line["type"], line["stream"]) == ("RECORD", "klaviyo_outcomes")
        validator.validate(line["record"])
        assert list(line["record"]) == COLUMNS
        assert datetime.fromisoformat(line["record"]["time"]).utcoffset() is not None
    return [line["record"] for line in lines]


def push(target: Command, messages: list[Any], **config: Any) -> tuple[Run, list[dict[str, Any]]]:
    run = target(messages, outcomes_path="out/outcomes.jsonl", **config)
    return run, landed(target.folder / "out" / "outcomes.jsonl")


def test_each_record_has_one_line(target: Command) -> None:
    """Delivered, rejected, or with something left out: its key, its action, why, and nothing of the person."""
    rows = [{"id": 1, **SECRETS}, {"id": 2, "email": "nobody here"}, {"id": 3, "email": "b@example.com", "spent": "x"}]
    run, found = push(target, [*keyed(*rows), "{broken"])
    assert run.code == 0, run.stderr
    assert {record["key"]: record["outcome"] for record in found} == {
        "1": "delivered",
        "2": "rejected",
        "3": "delivered",
        None: "rejected",
    }
    by_key = {record["key"]: record for record in found}
    assert by_key["2"]["code"]
    assert by_key["2"]["reason"]
    assert by_key["3"]["code"]
    assert by_key["1"]["code"] is None
    assert {record["action"] for record in found} == {"upsert_profile", None}
    assert len({record["run"] for record in found}) == 1
    text = (run.folder / "out" / "outcomes.jsonl").read_text()
    assert not any(value in text for value in ("ada@", "Augusta", "0100", "nobody here", "broken"))
    assert stat.S_IMODE((run.folder / "out" / "outcomes.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("keys", "record", "key"),
    [
        ((), {"email": "a@example.com"}, None),
        (("id",), {"id": "C-7"}, "C-7"),
        (("id",), {"id": 12345678901}, "12345678901"),
        (("id",), {"id": None}, None),
        (("id",), {}, None),
        (("id",), {"id": True}, "true"),
        (("email",), {"email": "a@example.com"}, "a@example.com"),
        (("shop", "id"), {"id": 7, "shop": "Å"}, '["Å", 7]'),
    ],
)
def test_the_key_is_that_of_the_source(tmp_path: Path, keys: tuple[str, ...], record: Any, key: str | None) -> None:
    """As it came, so that it joins; several are a JSON array; without one there is none."""
    results = RunResults(RejectsFile(tmp_path / "r.jsonl"), outcomes=OutcomesFile(tmp_path / "o.jsonl"))
    results.remember_schema({"type": "SCHEMA", "stream": "s", "key_properties": list(keys), "schema": {}})
    results.add(SourceRecord("s", record), "track_event", Outcome(OutcomeKind.ACCEPTED, 202))
    results.close()
    [found] = landed(tmp_path / "o.jsonl")
    assert (found["key"], found["outcome"], found["action"]) == (key, "accepted", "track_event")


def test_reasons_name_nobody(tmp_path: Path) -> None:
    """Klaviyo's answers may quote an address; a line is one line whatever they hold."""
    results = RunResults(RejectsFile(tmp_path / "r.jsonl"), outcomes=OutcomesFile(tmp_path / "o.jsonl"))
    reason = "ada@example.com\nor +14155550100 \ud800 is not valid"
    results.add(SourceRecord("s", {}), "", Outcome(OutcomeKind.REJECTED, 400, "ada@example.com", "/x", reason))
    results.close()
    [found] = landed(tmp_path / "o.jsonl")
    assert found["code"] == "<email>"
    assert found["reason"].startswith("<email>\nor <phone>")


def test_a_run_replaces_the_file(target: Command) -> None:
    """Landed twice they would count twice; the run of one is told from that of the other, as in the report."""
    _, first = push(target, keyed({"id": 1, **SECRETS}))
    run, second = push(target, keyed({"id": 2, "email": "b@example.com"}), report_path="run.json")
    assert [record["key"] for record in second] == ["2"]
    assert first[0]["run"] != second[0]["run"]
    assert json.loads((run.folder / "run.json").read_text())["run"] == second[0]["run"]
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", second[0]["run"])


def test_a_run_without_a_record_leaves_an_empty_stream(target: Command) -> None:
    """Else the outcomes of yesterday would be landed again."""
    push(target, keyed({"id": 1, **SECRETS}))
    assert push(target, [])[1] == []


def test_a_rehearsal_leaves_it_alone(target: Command) -> None:
    """Nothing became of anybody."""
    _, first = push(target, keyed({"id": 1, **SECRETS}))
    assert push(target, keyed({"id": 2, "email": "b@example.com"}), dry_run=True)[1] == first


def test_a_kill_leaves_whole_lines(target: Command) -> None:
    """Each is written as its outcome comes."""
    config = {**target.config, "outcomes_path": "outcomes.jsonl"}
    (target.folder / "config.json").write_text(json.dumps(config))
    path = target.folder / "outcomes.jsonl"
    command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
    with warm.Popen(command, stdin=warm.PIPE, stdout=warm.PIPE, stderr=warm.PIPE, text=True, cwd=target.folder) as run:
        assert run.stdin is not None
        run.stdin.write(singer_lines(keyed(*({"id": number, "email": "nobody"} for number in range(200)))))
        run.stdin.flush()
        until(lambda: path.exists() and path.read_text().count("\n") > 100)
        run.send_signal(signal.SIGKILL)
        run.communicate(timeout=PATIENCE)
    assert path.read_text().endswith("\n")
    assert len(landed(path)) >= 100


def test_it_may_be_a_pipe(tmp_path: Path) -> None:
    """Another target may read it while it is written."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.extend(path.read_text().splitlines()))
    reader.start()
    results = RunResults(RejectsFile(tmp_path / "r.jsonl"), outcomes=OutcomesFile(path))
    results.add(SourceRecord("s", {}), "", Outcome(OutcomeKind.DELIVERED))
    results.close()
    reader.join(PATIENCE)
    assert [json.loads(line)["type"] for line in read] == ["SCHEMA", "RECORD"]


def test_it_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Two settings that name one file are a mistake."""
    for other in ("run.json", "run.html", "r.jsonl"):
        with pytest.raises(SettingsError, match="outcomes_path"):
            RunResults(
                RejectsFile(tmp_path / "r.jsonl"),
                report=RunReport(tmp_path / "run.json"),
                outcomes=OutcomesFile(tmp_path / other),
            )


def test_a_place_that_cannot_be_written_is_told_first(target: Command, tmp_path: Path) -> None:
    """Exit code 2, before anything is sent."""
    (tmp_path / "folder.json").mkdir()
    run = target(keyed({"id": 1, **SECRETS}), outcomes_path=str(tmp_path / "folder.json"))
    assert run.code == 2
    assert "outcomes_path cannot be written" in run.stderr


class _Landing(RecordSink):
    rows: list[dict[str, Any]] = []  # noqa: RUF012 - the class is the test's only way to it

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        self.rows.append(record)


class _Warehouse(Target):
    name = "target-warehouse"
    config_jsonschema = {"type": "object", "properties": {}}  # noqa: RUF012 - the SDK's
    default_sink_class = _Landing


def test_any_target_takes_it(target: Command) -> None:
    """One of the SDK's, with its own checks of records and dates."""
    push(target, keyed({"id": 1, **SECRETS}, {"id": 2, "email": "nobody"}))
    _Landing.rows.clear()
    with (target.folder / "out" / "outcomes.jsonl").open() as file:
        _Warehouse(config={}).listen(file)
    assert sorted((row["key"], row["outcome"]) for row in _Landing.rows) == [("1", "delivered"), ("2", "rejected")]
