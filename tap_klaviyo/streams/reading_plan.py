"""Decides which stream reads a collection that several have rows of, and in which order it reads its own. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tap_klaviyo.model import Collection


def reading_plan(streams: Mapping[str, Sequence[Collection]]) -> dict[str, list[tuple[Collection, list[str]]]]:
    """Stream -> the collections that it leads, in the order in which it reads them, each with the streams of its rows.

    The first stream that has rows of a collection leads it, and those that stand before it among the collections of one
    of its streams. So a stream's collections are read in its own order: of two rows of one key that of the later
    collection comes last, and the bookmark, which holds for all of them, moves while the last one is read.

    Args:
        streams: the selected ones in the catalog's order, by name, each with the collections that it has rows of.
    """
    readers: dict[str, list[str]] = {}
    for name, collections in streams.items():
        for collection in collections:
            readers.setdefault(collection.name, []).append(name)
    plan: dict[str, list[tuple[Collection, list[str]]]] = {name: [] for name in streams}
    planned: set[str] = set()
    for leader, own in streams.items():
        for collection in own:
            lists = (streams[name] for name in readers[collection.name])
            before = (entry for entries in lists for entry in entries[: entries.index(collection)])
            for entry in (*before, collection):
                if entry.name not in planned:
                    planned.add(entry.name)
                    plan[leader].append((entry, readers[entry.name]))
    return plan
