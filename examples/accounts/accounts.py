"""Several Klaviyo accounts, one process for each: what the Dagster job and the Airflow DAG beside this file share.

Klaviyo's limits are the account's, so accounts are loaded at the same time, and each by one process. The process is
``meltano run`` with the account's own key, settings and STATE. Needs PyYAML, which both orchestrators bring.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

FILE = Path(os.environ.get("KLAVIYO_ACCOUNTS", Path(__file__).with_name("accounts.yml")))
JOB = "extract"


class Misconfigured(Exception):
    """A file or a variable must change; to start again does not help."""


class Failed(Exception):
    """A run did not end well; the next one goes on from its STATE."""


@dataclass(frozen=True)
class Account:
    """One entry of the file.

    Attributes:
        name: a word; names the account's STATE and its task.
        api_key: the name of the environment variable that has its key.
        environment: variables of its run, such as where the rows go.
    """

    name: str
    api_key: str
    environment: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> dict[str, Account]:
    """The accounts of a file, by name.

    Raises:
        Misconfigured: an entry cannot be, or holds a key where the name of a variable should stand.
    """
    try:
        found = [Account(**entry) for entry in yaml.safe_load(text)["accounts"]]
    except (TypeError, KeyError, yaml.YAMLError) as error:
        raise Misconfigured(f"the file of accounts cannot be read: {error}") from None
    for account in found:
        if not re.fullmatch(r"[a-z0-9_]+", account.name):
            raise Misconfigured(f"the account {account.name!r} needs a name of a-z, 0-9 and _")
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", account.api_key):
            # Whatever stands there may be a key, and does not belong into a log.
            raise Misconfigured(f"api_key of {account.name} is not the name of an environment variable")
    if len({account.name for account in found}) < len(found):
        raise Misconfigured("two accounts have the same name, and so would have the same STATE")
    return {account.name: account for account in found}


def command(account: Account) -> list[str]:
    """What loads an account; the first time it installs the plugins."""
    return ["meltano", "run", "--state-id-suffix", account.name, JOB]


def environment(account: Account, accounts: Iterable[Account], variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of an account's process: its own key, settings and folder, and nobody else's key.

    Raises:
        Misconfigured: a variable that is needed is not set.
    """
    for needed in (account.api_key, "MELTANO_PROJECT_ROOT"):
        if not variables.get(needed):
            raise Misconfigured(f"{needed} is not set, which the account {account.name} needs")
    keys = {each.api_key for each in accounts}
    others = {name: value for name, value in variables.items() if name not in keys}
    own = {"TAP_KLAVIYO_API_KEY": variables[account.api_key], "MELTANO_SYS_DIR_ROOT": str(_folder(account, variables))}
    return {**others, **account.environment, **own}


def _folder(account: Account, variables: Mapping[str, str]) -> Path:
    """Where Meltano keeps the account's files.

    Two runs of one plugin in one folder that start together take each other's catalog and STATE: a suffix keeps apart
    what Meltano stores, and not the files that it hands to the tap.
    """
    shared = variables.get("MELTANO_SYS_DIR_ROOT") or Path(variables["MELTANO_PROJECT_ROOT"], ".meltano")
    return Path(shared, "accounts", account.name)


def execute(command: Sequence[str], environment: Mapping[str, str], folder: str | None = None) -> None:
    """Run a process in a folder, to its end; it writes where we write. If we are stopped, so is all that it started.

    Raises:
        Failed: its exit code is not 0.
    """
    process = subprocess.Popen(command, env=environment, cwd=folder, start_new_session=True)
    try:
        code = process.wait()
    except BaseException:
        # Plugins write their STATE when they are asked to end.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if code:
        raise Failed(f"`{' '.join(command)}` ended with exit code {code}")


def names() -> list[str]:
    """The accounts' names, in the order of the file."""
    return list(parse(FILE.read_text()))


def load(name: str) -> None:
    """Load one account, in a process of its own.

    Raises:
        Misconfigured: it cannot begin.
        Failed: it did not end well.
    """
    accounts = parse(FILE.read_text())
    account = accounts[name]
    variables = environment(account, accounts.values(), os.environ)
    # What `pip_url` says of a checkout is seen from here.
    execute(command(account), variables, variables["MELTANO_PROJECT_ROOT"])
