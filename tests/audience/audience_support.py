"""The command `klaviyo-audience` in a process of its own, and what it left in an account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import warm
from support.commands import run_command
from support.fast_clock import fast_command

from klaviyo_sandbox import RunningSandbox

KEY = "pk_0123456789abcdef"
SPEED = 50.0


@dataclass
class Audience:
    """The command in a folder of its own, with the settings in its environment."""

    folder: Path
    account: RunningSandbox
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, **variables: str) -> warm.CompletedProcess[str]:
        settings = {"TARGET_KLAVIYO_API_KEY": KEY, "TARGET_KLAVIYO_API_URL": self.account.url}
        environment = {**settings, **self.environment, **variables}
        return run_command(
            [*fast_command("klaviyo_audience", SPEED), *arguments], (), folder=self.folder, environment=environment
        )

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def members(self, name: str) -> dict[str, dict[str, Any]]:
        """E-mail address -> profile, of everybody on a list; empty where there is no such list."""
        store = self.account.store
        found = [row["id"] for row in store.lists.rows.values() if row["name"] == name]
        profiles = [store.profiles.rows[member] for list_id in found for member in store.list_members[list_id].rows]
        return {str(profile["email"]): profile for profile in profiles}

    def profile(self, email: str) -> dict[str, Any]:
        (found,) = (row for row in self.account.store.profiles.rows.values() if row["email"] == email)
        return dict(found)

    @property
    def written(self) -> list[str]:
        """Method and path of every request that was no GET."""
        return [f"{request.method} {request.path}" for request in self.account.requests if request.method != "GET"]


def settings_of(done: warm.CompletedProcess[str]) -> Mapping[str, Any]:
    """The setting `streams` that `--print-singer` says."""
    (line,) = (line for line in done.stderr.splitlines() if "TARGET_KLAVIYO_STREAMS=" in line)
    streams: Mapping[str, Any] = json.loads(line.partition("TARGET_KLAVIYO_STREAMS='")[2].removesuffix("'"))
    return streams


def rows_of(done: warm.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The records that `--print-singer` prints."""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line["record"] for line in lines if line["type"] == "RECORD"]
