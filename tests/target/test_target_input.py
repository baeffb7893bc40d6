"""Input that is not what it should be: marks before the first line, no Singer at all, nothing that can be sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from target_support import ADA, Command, Run, records, schema_of

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.intake.records import parse_message

WRONG = {"email": "nobody"}


def lines(*rows: dict[str, Any]) -> list[Any]:
    return [schema_of("profiles"), *records("profiles", rows), {"type": "STATE", "value": {"at": 1}}]


def test_a_byte_order_mark_is_no_part_of_a_line(target: Command, account: RunningSandbox) -> None:
    """PowerShell and Excel write one before the first line; where files are put together it is before others, too."""
    schema, record, state = (json.dumps(line) for line in lines(ADA))
    run = target(["\ufeff" + schema, "\ufeff" + record, state])
    assert run.code == 0, run.stderr
    assert run.rejects == []
    assert ADA["email"] in {row["email"] for row in account.store.profiles.rows.values()}


@pytest.mark.parametrize("line", ['\ufeff{"type":"STATE","value":{}}', b'\xef\xbb\xbf{"type":"STATE","value":{}}'])
def test_it_is_none_in_texts_and_in_bytes(line: str | bytes) -> None:
    """The input is bytes on a pipe, and texts where a test or a notebook calls the target."""
    assert parse_message(line, {"STATE"})["value"] == {}


@pytest.mark.parametrize(
    "first",
    [
        "email,first_name",
        '"email"',
        "usage: tap-shop [-h] --config CONFIG",
        "[",
        '[{"email": "ada@example.com"}]',
        "INFO:root:ada@example.com",
        schema_of("profiles").__repr__().encode("utf-16").decode("latin-1"),
    ],
)
def test_a_first_line_that_is_no_json_is_not_singer(target: Command, account: RunningSandbox, first: str) -> None:
    """A CSV file, a tap's help, its log: exit code 2 with a sentence of help, and nothing on file."""
    run = target(["", first, *lines(ADA)])
    assert run.code == 2
    assert run.rejects == []
    assert run.states == []
    assert list(account.requests) == []
    [line] = run.said("CRITICAL")
    assert "Singer" in line
    assert "ada@example.com" not in run.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("people.csv", b"E-Mail,First Name\nada@example.com,Ada\n"),
        ("people.csv", b"\xef\xbb\xbfemail\r\nada@example.com\r\n"),
        ("people.csv", "email;Ort\nada@example.com;Köln\n".encode("cp1252")),
        ("people.tsv", "email\tCity\n".encode("utf-16")),
        ("people.csv", b"1\n2\n"),
        ("people.xlsx", b"PK\x03\x04\x14\x00\x06\x00\x08\x00\n\x00!"),
        ("people.parquet", b"PAR1\x15\x04\n\x15\x00PAR1"),
    ],
)
def test_a_file_of_people_is_sent_to_the_command_for_it(target: Command, name: str, content: bytes) -> None:
    """`--input people.csv` is the natural try: exit code 2 names `klaviyo-audience`, and nothing is on file."""
    (target.folder / name).write_bytes(content)
    (target.folder / "target.json").write_text(json.dumps(target.config))
    run = target(arguments=["--config", "target.json", "--input", name])
    assert run.code == 2
    assert "klaviyo-audience people.csv --list NAME" in run.said("CRITICAL")[0]
    assert run.rejects == []


def test_a_later_line_that_is_no_json_is_rejected_alone(target: Command) -> None:
    """A tap that prints now and then loses nothing, and neither does one whose first line was cut off."""
    run = target([*lines(ADA), "rows read: 1"])
    assert run.code == 0, run.stderr
    assert [line["code"] for line in run.rejected] == ["not_json"]
    cut_off = target(['{"type": "STATE", "val', *lines(ADA)])
    assert [line["code"] for line in cut_off.rejected] == ["not_json"]


def nothing_delivered(run: Run, rejected: int) -> None:
    assert run.code == 1
    [line] = run.said("CRITICAL")
    assert f"nothing was delivered, {rejected} rejected" in line


def test_a_run_that_delivers_nothing_and_rejects_something_fails(target: Command) -> None:
    """The cause is mostly one for all, such as a wrong mapping; all is on file, and the STATE vouches for it."""
    run = target(lines(WRONG, WRONG), report_path="report.json")
    nothing_delivered(run, 2)
    assert run.states == [{"at": 1}]
    assert len(run.rejected) == 2
    assert json.loads((run.folder / "report.json").read_text())["ending"] == "failed"
    nothing_delivered(target([*lines(), "{broken"]), 1)
    nothing_delivered(target(lines(WRONG), dry_run=True), 1)


def test_a_run_that_delivers_something_does_not(target: Command) -> None:
    """Nor does one to which nothing came, or all of whose records were left out."""
    assert target(lines(ADA, WRONG)).code == 0
    assert target(lines()).code == 0
    assert target(lines({**ADA, "_sdc_deleted_at": "2026-01-01T00:00:00Z"})).code == 0
