"""What the demo leaves to be looked at: nothing that runs, or with KEEP=1 an account and a database until Ctrl-C."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from support.demo import DEMO, ROOT, load
from support.patience import SCRIPT_PATIENCE

# The demo with its steps left out and the database of the tests, since others test these; what is kept is its own.
PROGRAM = """
import contextlib, sys

@contextlib.contextmanager
def postgres():
    yield {database!r}
    print("database closed")

sys.path.insert(0, {folder!r})
import demo
demo.WORK = demo.Path({work!r})
demo.Meltano.run = lambda *arguments, **named: 0.0
demo.extract = demo.rehearse = demo.push = lambda *arguments: None
demo.build = lambda connection: 0
demo.postgres = postgres
sys.argv[1:] = ["--profiles", "12", "--events", "5", "--keep"]
sys.exit(demo.main())
"""


@pytest.fixture
def kept(tmp_path: Path, database: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A demo that is kept, and all that it said until it waits."""
    program = PROGRAM.format(folder=str(DEMO.parent), database=database, work=str(tmp_path / ".demo"))
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "target-klaviyo --config" in line:
            break
    yield process, said
    if process.poll() is None:
        process.kill()
        process.wait()


def test_what_is_kept_can_be_looked_at_until_it_is_stopped(kept: tuple[subprocess.Popen[str], str]) -> None:
    """It says where account and database are; both answer; Ctrl-C ends them, and that is no failure."""
    process, said = kept
    assert "Ctrl-C" in said
    (url,) = re.findall(r"The account +(\S+)", said)
    assert "<html" in requests.get(url, headers={"Accept": "text/html"}, timeout=SCRIPT_PATIENCE).text
    (psql,) = re.findall(r"The database +(.*)", said)
    asked = subprocess.run([*shlex.split(psql), "-Atc", "select 40 + 2"], capture_output=True, text=True, check=True)
    assert asked.stdout == "42\n"

    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=SCRIPT_PATIENCE)
    assert (process.returncode, errors) == (0, "")
    assert rest.index("database closed") < rest.index("Nothing is left running")
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=SCRIPT_PATIENCE)


def test_without_keep_nothing_runs_and_the_end_says_what_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends by itself, and names the report, the rejects, the plan and how to keep the account."""
    demo = load()
    for name, value in {
        "WORK": tmp_path / ".demo",
        "serve": lambda **_: nullcontext(SimpleNamespace(url="http://127.0.0.1:9")),
        "postgres": lambda: nullcontext("postgresql://x@/y?host=/tmp"),
        "psycopg": SimpleNamespace(connect=lambda *_, **__: nullcontext()),
        **dict.fromkeys(("extract", "build", "rehearse", "push"), lambda *_: None),
    }.items():
        monkeypatch.setattr(demo, name, value)
    monkeypatch.setattr(demo.Meltano, "run", lambda *_, **__: 0.0)
    demo.demo(12, 5)
    output = capsys.readouterr().out
    for word in ("Nothing is left running", "report.html", "rejects.jsonl", "plan.json", "make demo KEEP=1"):
        assert word in output


def test_the_push_leaves_a_report(tmp_path: Path) -> None:
    """The page that the end of the demo names is one that the target writes."""
    demo = load()
    demo.WORK = tmp_path
    environment = demo.Meltano("http://127.0.0.1:9", "postgresql://x@/y?host=/tmp").environment
    assert environment["TARGET_KLAVIYO_REPORT_PATH"] == str(tmp_path / "report.json")


@pytest.mark.parametrize(
    ("environment", "opened"),
    [
        ({"DISPLAY": ":0"}, ["a", "b"]),
        ({"WAYLAND_DISPLAY": "wayland-0"}, ["a", "b"]),
        ({"BROWSER": "code-helper"}, ["a", "b"]),
        ({}, []),
        ({"DISPLAY": ":0", "CI": "true"}, []),
    ],
)
def test_pages_are_opened_where_there_is_a_screen(
    environment: dict[str, str], opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not without one, where a browser for terminals would take over this one, and not in CI."""
    seen: list[Any] = []
    monkeypatch.setattr(webbrowser, "open", seen.append)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    load().show(["a", "b"])
    assert seen == opened


@pytest.mark.parametrize(("keep", "option"), [("", False), ("KEEP=1", True), ("KEEP=0", False)])
def test_make_hands_keep_on(keep: str, option: bool) -> None:
    """`make demo KEEP=1` keeps; KEEP=0 is as good as none."""
    command = ["make", "--dry-run", "demo", *filter(None, [keep])]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ("demo.py --keep" in said) is option


def test_the_commands_for_a_second_terminal_are_right() -> None:
    """The configuration that they write is JSON, and the example needs no more settings than it has."""
    demo = load()
    said = demo.KEPT.format(url="http://127.0.0.1:9", key=demo.KEY, psql="psql")
    (config,) = re.findall(r"echo '(.*)'", said)
    assert json.loads(config) == {"api_key": demo.KEY, "api_url": "http://127.0.0.1:9"}
    (example,) = re.findall(r"< (\S+)", said)
    first = json.loads((ROOT / example).read_text().splitlines()[0])
    assert first["stream"] == "events"
