"""The files that the command line names, looked at before the SDK reads them."""

from __future__ import annotations

import io
import json
from typing import IO

import click


def checked(ctx: click.Context, param: click.Parameter, value: IO[str] | None) -> IO[str] | None:  # noqa: ARG001
    """The STATE, bare or in its message, or the catalog that an option names, when it can be one.

    Raises:
        BadParameter: it cannot; the message quotes nothing of it.
    """
    if value is None:
        return None
    text = value.read()
    try:
        document = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"the {param.name} file is not JSON", param=param) from error
    if isinstance(document, dict) and document.get("type") == "STATE" and "value" in document:
        # The last line of the tap's own output, which the SDK would take for a state without bookmarks.
        document = document["value"]
        text = json.dumps(document)
    entries = document.get("bookmarks", {}) if isinstance(document, dict) else None
    usable = isinstance(entries, dict) and all(isinstance(entry, dict) for entry in entries.values())
    if param.name == "catalog":
        entries = document.get("streams") if isinstance(document, dict) else None
        usable = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    if not usable:
        raise click.BadParameter(f"the {param.name} file is JSON, but no Singer {param.name}", param=param)
    return io.StringIO(text)
