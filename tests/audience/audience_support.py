"""The command `klaviyo-audience` in a process of its own, and what it left in an account."""

from __future__ import annotations

import json
import os
import pty
import select
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import warm
from support.commands import run_command
from support.fast_clock import fast_command
from support.patience import PATIENCE

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
        return {str(profile.get("email")): profile for profile in profiles}

    def profile(self, email: str) -> dict[str, Any]:
        (found,) = (row for row in self.account.store.profiles.rows.values() if row.get("email") == email)
        return dict(found)

    @property
    def written(self) -> list[str]:
        """Method and path of every request that was no GET."""
        return [f"{request.method} {request.path}" for request in self.account.requests if request.method != "GET"]

    def settle(self) -> None:
        """Time goes by: who joined in the last seconds before a run is nobody's to remove."""
        for members in self.account.store.list_members.values():
            for row in list(members.rows.values()):
                members.put({**row, "joined_group_at": "2026-01-01T00:00:00+00:00"})

    def on_terminal(self, answers: str, *arguments: str) -> tuple[int, str]:
        """(exit code, what it showed) of the command on a terminal, where somebody types.

        Args:
            answers: what is typed.
            arguments: the command's.
        """
        ours, theirs = pty.openpty()
        settings = {"TARGET_KLAVIYO_API_KEY": KEY, "TARGET_KLAVIYO_API_URL": self.account.url}
        with warm.Popen(
            [*fast_command("klaviyo_audience", SPEED), *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=self.folder,
            env={**os.environ, **settings},
        ) as process:
            os.close(theirs)
            os.write(ours, answers.encode())
            shown = b""
            try:
                while select.select([ours], [], [], PATIENCE)[0] and (part := os.read(ours, 65536)):
                    shown += part
            except OSError:
                pass  # Linux tells the end so
            code = process.wait(PATIENCE)
        os.close(ours)
        return code, shown.decode().replace("\r\n", "\n")


def settings_of(done: warm.CompletedProcess[str]) -> dict[str, Any]:
    """The setting `streams` that `--print-singer` says."""
    (line,) = (line for line in done.stderr.splitlines() if "TARGET_KLAVIYO_STREAMS=" in line)
    streams: dict[str, Any] = json.loads(line.partition("TARGET_KLAVIYO_STREAMS='")[2].removesuffix("'"))
    return streams


def rows_of(done: warm.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The records that `--print-singer` prints."""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line["record"] for line in lines if line["type"] == "RECORD"]
