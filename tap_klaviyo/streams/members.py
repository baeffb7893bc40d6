"""Which lists and segments a stream of members has read up to its bookmark, by its STATE. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# In a stream's STATE: the ids of those whose members were read up to the bookmark; not there where it was all of them.
READ = "members_of"


def is_behind(state: Mapping[str, Any], wanted: frozenset[str] | None) -> bool:
    """Whether the bookmark does not hold for all whose members are wanted (None: everybody's).

    One that was not among those of earlier runs has older members that nobody read.
    """
    read = _read(state)
    return read is not None and (wanted is None or not wanted <= read)


def begin(state: dict[str, Any], wanted: frozenset[str] | None) -> bool:
    """Note for which of those the bookmark holds while a run goes on, however it ends; whether that is new."""
    if wanted is None:
        return False
    read = _read(state)
    return _note(state, wanted if read is None else read & wanted)


def end(state: dict[str, Any], wanted: frozenset[str] | None) -> bool:
    """Note that those were read up to the bookmark; whether that is new."""
    if wanted is None:
        return state.pop(READ, None) is not None
    return _note(state, wanted)


def _note(state: dict[str, Any], ids: frozenset[str]) -> bool:
    before, state[READ] = state.get(READ), sorted(ids)
    return bool(before != state[READ])


def _read(state: Mapping[str, Any]) -> frozenset[str] | None:
    said = state.get(READ)
    if said is None:
        return None
    return frozenset(entry for entry in said if isinstance(entry, str)) if isinstance(said, list) else frozenset()
