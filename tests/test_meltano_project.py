"""A Meltano project of one's own, made from nothing, and what runs in it against a sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.demo import ROOT
from support.environments import provide_plugins
from support.patience import SCRIPT_PATIENCE
from support.second_path import truth

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.tables import BY_DEFAULT

HUB = ROOT / "docs" / "meltano-hub"
# A loader that takes no installation: keeps what it reads, and confirms every STATE.
KEEPS_LINES = f"""\
#!{sys.executable}
import json, pathlib, sys
with pathlib.Path("lines.jsonl").open("w") as kept:
    for line in sys.stdin:
        kept.write(line)
        message = json.loads(line)
        if message["type"] == "STATE":
            print(json.dumps(message["value"]), flush=True)
"""


class Project:
    """A project as `meltano init` makes it, with a loader, and an account that its plugins find."""

    def __init__(self, folder: Path, account: RunningSandbox) -> None:
        self.folder, self.account = folder / "my-project", account
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "MELTANO_CLI_DISABLE_VERSION_CHECK": "1",
            "NO_COLOR": "1",
            "TAP_KLAVIYO_API_URL": account.url,
            "TARGET_KLAVIYO_API_URL": account.url,
        }
        self.run("meltano init my-project --no-usage-stats", folder=folder)

    def run(self, *lines: str, folder: Path | None = None) -> str:
        """The lines in one shell, which hits Return at every prompt; what they wrote to stdout.

        Raises:
            AssertionError: a line failed.
        """
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
            cwd=folder or self.folder,
            env=self.environment,
            input="\n" * 20,
            capture_output=True,
            text=True,
            timeout=SCRIPT_PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    @property
    def file(self) -> Path:
        return self.folder / "meltano.yml"

    def add_loader(self, name: str) -> None:
        """A loader by the name that a document has for that of its reader."""
        program = self.folder / "keeps_lines.py"
        program.write_text(KEEPS_LINES)
        program.chmod(0o755)
        loader = {"name": name, "namespace": name.replace("-", "_"), "executable": f"./{program.name}"}
        project = yaml.safe_load(self.file.read_text())
        project.setdefault("plugins", {}).setdefault("loaders", []).append(loader)
        self.file.write_text(yaml.safe_dump(project, sort_keys=False))

    def provide(self, declared: str) -> None:
        """Let Meltano find our plugins, which a text of YAML declares, where the tests run: they take no network."""
        provide_plugins(self.folder / ".meltano", declared, "tap-klaviyo", "target-klaviyo")

    def messages(self) -> list[dict[str, Any]]:
        """What the loader read."""
        return [json.loads(line) for line in (self.folder / "lines.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=30, events=200, seed=6, limits=False, job_seconds=0.05)


def check_what_came(messages: list[dict[str, Any]], account: RunningSandbox) -> None:
    """The tables that are read by default, without the columns that must be asked for, and everybody."""
    schemas: Mapping[str, Any] = {m["stream"]: m["schema"]["properties"] for m in messages if m["type"] == "SCHEMA"}
    assert schemas.keys() == set(BY_DEFAULT)
    assert "attributes" not in schemas["profiles"]
    came = {m["record"]["profile_id"] for m in messages if m["type"] == "RECORD" and m["stream"] == "profiles"}
    assert came == {key for (key,) in truth(account, "profiles")}


def test_plugins_that_are_added_from_their_definitions_run(tmp_path: Path, account: RunningSandbox) -> None:
    """`meltano add --from-ref`, with Return at every prompt, ends with our plugins and the default tables."""
    project = Project(tmp_path, account)
    for name in ("tap-klaviyo", "target-klaviyo"):
        project.run(f"meltano add --no-install --from-ref {HUB / name}.yml {name}")
    plugins = yaml.safe_load(project.file.read_text())["plugins"]
    for plugin in (*plugins["extractors"], *plugins["loaders"]):
        definition = yaml.safe_load((HUB / f"{plugin['name']}.yml").read_text())
        assert plugin == {key: definition[key] for key in plugin}
    project.add_loader("target-warehouse")
    project.provide(project.file.read_text())

    project.environment |= {"TAP_KLAVIYO_API_KEY": "pk_reader", "TARGET_KLAVIYO_API_KEY": "pk_writer"}
    project.run("meltano run tap-klaviyo target-warehouse")

    check_what_came(project.messages(), account)
