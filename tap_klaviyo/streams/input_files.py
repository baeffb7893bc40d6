"""Checks the files that --state and --catalog name, before the SDK reads them."""

from __future__ import annotations

import io
import json
from typing import IO, Any

import click

# How deep a file may be nested. No tap writes half of that, and recursive functions bear some times as much.
_MAX_DEPTH = 100


def checked_file(ctx: click.Context, param: click.Parameter, value: IO[str] | None) -> IO[str] | None:  # noqa: ARG001
    """The file of an option, when it can be a STATE (bare, or in its message) or a catalog.

    Raises:
        BadParameter: it cannot; the error message quotes nothing of the file.
    """
    if value is None:
        return None
    try:
        text = value.read()
    except UnicodeDecodeError:
        # Not chained: the error holds the file.
        raise click.BadParameter(f"the {param.name} file is not UTF-8", param=param) from None
    try:
        document = json.loads(text)
        is_deep = _depth(document) > _MAX_DEPTH
        # What is kept of it goes out again with the tap's own.
        json.dumps("" if is_deep else document, ensure_ascii=False).encode()
    except RecursionError:
        is_deep, document = True, None
    except UnicodeEncodeError:
        raise click.BadParameter(f"the {param.name} file holds a text that cannot be written", param=param) from None
    except ValueError as error:
        raise click.BadParameter(f"the {param.name} file is not JSON", param=param) from error
    if is_deep:
        raise click.BadParameter(f"the {param.name} file is nested too deeply", param=param)
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


def _depth(document: Any) -> int:
    """How deep arrays and objects are nested, found without recursion."""
    depth, level = 0, [document]
    while level := [entry for entry in level if isinstance(entry, dict | list)]:
        depth += 1
        level = [inner for entry in level for inner in (entry.values() if isinstance(entry, dict) else entry)]
    return depth
