"""What --state and --catalog may name."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from support.commands import run_command

from tap_klaviyo.streams.input_files import checked_file

STATE = {
    "bookmarks": {"profiles": {"replication_key": "updated", "replication_key_value": "2026-01-01T00:00:00+00:00"}}
}


def taken(name: str, document: Any) -> Any:
    found = checked_file(
        click.Context(click.Command("tap")), click.Option([f"--{name}"]), io.StringIO(json.dumps(document))
    )
    assert found is not None
    return json.load(found)


@pytest.mark.parametrize("document", [STATE, {"type": "STATE", "value": STATE}])
def test_a_state_may_stand_in_its_message(document: dict[str, Any]) -> None:
    """A user may keep the last line of the tap's output and go on from it; nothing is read again in silence."""
    assert taken("state", document) == STATE


@pytest.mark.parametrize(
    "document", [None, [1], {"bookmarks": [1]}, {"bookmarks": {"profiles": "2026"}}, {"type": "STATE", "value": 1}]
)
def test_what_is_no_state_is_refused(document: Any) -> None:
    """With the option's name, and nothing of what is in the file."""
    with pytest.raises(click.BadParameter, match="no Singer state"):
        taken("state", document)


def nested(depth: int) -> str:
    return '{"bookmarks": {"profiles": ' + '{"a": ' * depth + "1" + "}" * depth + "}}"


@pytest.mark.parametrize(
    ("option", "content", "said"),
    [
        ("state", json.dumps(STATE).encode("utf-16"), "is not UTF-8"),
        ("state", nested(100_000).encode(), "nested too deeply"),
        ("state", nested(900).encode(), "nested too deeply"),
        ("state", b"[" * 100_000, "nested too deeply"),
        ("state", b"", "is not JSON"),
        ("state", b'{"bookmarks": {"profi', "is not JSON"),
        ("state", b'{"bookmarks": {"profiles": {"a": 1' + b"0" * 5_000 + b"}}}", "is not JSON"),
        ("state", b'{"bookmarks": {"profiles": {"a": "\\ud800"}}}', "cannot be written"),
        ("catalog", b"\x00\xff\xfe", "is not UTF-8"),
        ("catalog", nested(100_000).encode(), "nested too deeply"),
        ("config", b"\x00\xff\xfe", "not a JSON object"),
        ("config", nested(100_000).encode(), "recursion"),
        ("config", nested(900).encode(), "recursion"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
def test_a_file_that_cannot_be_is_exit_code_2(tmp_path: Path, option: str, content: bytes, said: str) -> None:
    """One sentence that says what is wrong with which, before anything is asked of Klaviyo, and no traceback."""
    (tmp_path / "config.json").write_text(json.dumps({"api_key": "pk_x", "api_url": "http://127.0.0.1:9"}))
    (tmp_path / "wrong.json").write_bytes(content)
    arguments = ["--config", "config.json"] if option != "config" else []
    command = [sys.executable, "-m", "tap_klaviyo", *arguments, f"--{option}", "wrong.json"]
    done = run_command(command, (), folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert re.search(said, done.stderr)
    assert "Traceback" not in done.stderr
