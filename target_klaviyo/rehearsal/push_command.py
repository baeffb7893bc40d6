"""The command that does what a rehearsal has planned. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise

_VARIABLE = "TARGET_KLAVIYO_DRY_RUN"
_MODULE = "__main__.py"


def push_command(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The command, from how this process was called.

    >>> push_command(["/bin/target-klaviyo", "--config", "ENV", "--input", "people.jsonl"], {})
    'TARGET_KLAVIYO_DRY_RUN=false target-klaviyo --config ENV --input people.jsonl'
    >>> push_command(["/bin/target-klaviyo", "--config", "my.json"], {})
    '... | target-klaviyo --config my.json   (with "dry_run": false in its config)'
    """
    if "MELTANO_PROJECT_ROOT" in environment:
        return f"{_VARIABLE}=false meltano ...   (the same command as now)"
    program, *options = arguments
    folder, _, name = program.rpartition("/")
    module = folder.rpartition("/")[2]
    words = ["python", "-m", module] if name == _MODULE else [name or "target-klaviyo"]
    command = shlex.join([*words, *options])
    configs = _values_of("--config", options)
    is_heard = any(value.upper() == "ENV" for value in configs)
    if is_heard:
        command = f"{_VARIABLE}=false {command}"
    if not _values_of("--input", options):
        command = f"... | {command}"
    return command if is_heard else f'{command}   (with "dry_run": false in its config)'


def _values_of(option: str, words: Sequence[str]) -> list[str]:
    """The values of an option that stand behind it, or behind ``=``."""
    apart = [after for word, after in pairwise(words) if word == option]
    return [*apart, *(word.partition("=")[2] for word in words if word.startswith(f"{option}="))]
