"""Recipes of docs/recipes about operations: several accounts, schedules, alerts, and the copy of a shop."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.commands import run_command
from support.fast_clock import fast_command
from support.markdown import console_blocks
from support.recipes import RECIPES, ROOT, Message, blocks, read_with, rows

from klaviyo_sandbox.server import RunningSandbox


def test_each_account_has_its_own_entry_key_and_schema() -> None:
    """What the page pastes into meltano.yml fits it, and the variables of .env are those of the entries."""
    (block,) = map(yaml.safe_load, blocks("several-accounts.md", "yaml"))
    known = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]
    for kind, added in block["plugins"].items():
        assert {entry["inherit_from"] for entry in added} <= {entry["name"] for entry in known[kind]}
    loader = next(entry for entry in known["loaders"] if entry["name"] == "target-postgres")
    assert "default_target_schema" in {setting["name"] for setting in loader["settings"]}
    names = [entry["name"] for entries in block["plugins"].values() for entry in entries]
    assert sorted(" ".join(block["jobs"][0]["tasks"]).split()) == sorted(names)
    (variables,) = blocks("several-accounts.md", "sh")
    keys = {f"{name.upper().replace('-', '_')}_API_KEY" for name in names if name.startswith("tap-")}
    assert keys == set(re.findall(r"^(TAP_\w+)=", variables, re.MULTILINE))
    schemas = {entry["config"]["default_target_schema"] for entry in block["plugins"]["loaders"]}
    assert len(schemas) == len(block["plugins"]["loaders"])


def type_into_shell(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder, with the programs of its `.venv/bin` and `bin` first."""
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def make_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(0o755)


def test_the_line_of_cron_starts_no_second_run(tmp_path: Path) -> None:
    """It runs the job, and nothing while another holds the lock."""
    (block,) = blocks("schedule.md", "crontab")
    *times, command = block.strip().split(" ", 5)
    assert times == ["15", "2", "*", "*", "*"]
    (tmp_path / ".meltano").mkdir()
    make_program(tmp_path / ".venv" / "bin" / "meltano", 'echo "$@" >> runs; echo said >&2')
    command = command.replace("/srv/klaviyo", str(tmp_path))
    assert type_into_shell(command, tmp_path).returncode == 0
    with (tmp_path / ".meltano" / "nightly.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert type_into_shell(command, tmp_path).returncode == 1
    assert (tmp_path / "runs").read_text() == "--environment production run nightly\n"
    assert (tmp_path / "nightly.log").read_text() == "said\n"


def test_the_workflow_of_the_page_is_one() -> None:
    """It parses, keeps STATE elsewhere, and hands over secrets by variables of the settings that there are."""
    (block,) = blocks("schedule.md", "yaml")
    workflow = yaml.safe_load(block)
    (job,) = workflow["jobs"].values()
    assert workflow[True]["schedule"] == [{"cron": "15 2 * * *"}]
    assert "MELTANO_STATE_BACKEND_URI" in job["env"]
    secrets = {name: value for name, value in job["env"].items() if "secrets." in value}
    assert all(value == f"${{{{ secrets.{name} }}}}" for name, value in secrets.items())
    used = {step["uses"] for step in job["steps"] if "uses" in step}
    ours = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert [action for action in used if action not in ours] == []
    nightly = yaml.safe_load(blocks("nightly.md", "yaml")[0])
    assert job["steps"][-1]["run"] == f"meltano run {nightly['jobs'][0]['name']}"


def test_a_run_that_fails_sends_its_last_lines_and_fails(
    tmp_path: Path, received: tuple[str, list[dict[str, Any]]]
) -> None:
    """The webhook gets one message in JSON; the exit code still tells; a good run sends nothing."""
    address, messages = received
    export, line = console_blocks((RECIPES / "alerts.md").read_text())[0].commands
    script = f"{export.partition('=')[0]}={address}\n{line}"
    make_program(tmp_path / "bin" / "meltano", "echo fine >&2")
    assert type_into_shell(script, tmp_path).returncode == 0
    assert messages == []
    make_program(tmp_path / "bin" / "meltano", 'printf "%s\\n" one \'two "2"\' three four >&2; exit 2')
    assert type_into_shell(script, tmp_path).returncode == 1
    assert messages == [{"text": 'two "2"\nthree\nfour\n'}]


@pytest.fixture
def received() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a webhook, and what it got."""
    messages: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", messages
        server.shutdown()


def first_of_each(messages: list[Message], count: int) -> list[Message]:
    """All messages but RECORDs, and so many of these of each stream."""
    seen = Counter[str]()
    return [
        it for it in messages if it["type"] != "RECORD" or seen.update([it["stream"]]) or seen[it["stream"]] <= count
    ]


def test_a_shop_is_copied_and_its_report_read_as_the_pages_say(
    make_sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Coupons, free codes and the catalog go into another account by the streams of the page; jq finds the counts."""
    source, other = (
        make_sandbox(profiles=profiles, events=0, seed=seed, limits=False, job_seconds=0.05)
        for profiles, seed in ((20, 4), (0, 2))
    )
    plugins = yaml.safe_load(blocks("copy-shop.md", "yaml")[0])["plugins"]
    (entry,), (loader,) = plugins["extractors"], plugins["loaders"]
    messages = first_of_each(read_with(source.url, monkeypatch, entry), 8)
    config = {"api_key": "pk_copy", "api_url": other.url, "report_path": "run.json", **loader["config"]}
    (tmp_path / "copy.json").write_text(json.dumps(config))
    done = run_command([*fast_command("target_klaviyo"), "--config", "copy.json"], messages, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    coupons = {row["external_id"] for row in other.store.resources["coupon"].rows.values()}
    assert coupons >= {row["external_id"] for row in rows(messages, "coupons")} != set()
    items = {row["external_id"] for row in other.store.resources["catalog-item"].rows.values()}
    whole = [row for row in rows(messages, "catalog_items") if row["description"] and row["url"]]
    assert items >= {row["external_id"] for row in whole} != set()
    lines = (tmp_path / "target-klaviyo-rejects.jsonl").read_text().splitlines()
    rejected = sum(json.loads(line)["type"] == "RECORD" for line in lines)

    (line,) = console_blocks((RECIPES / "alerts.md").read_text())[1].commands
    count = sum(it["type"] == "RECORD" for it in messages)
    assert type_into_shell(line, tmp_path).stdout == f"done: {rejected} of {count} records rejected\n"
