"""Decides which stream reads a collection that several have rows of, and in which order it reads its own. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tap_klaviyo.model import Collection


def reading_plan(streams: Mapping[str, Sequence[Collection]]) -> dict[str, list[tuple[Collection, list[str]]]]:
    """Stream -> the collections that it leads, in the order in which it reads them, each with the streams of its rows.

    The first stream that has rows of a collection leads it, and all that must be read before it: what stands before it
    among the collections of one of its streams, and so on. So a stream's collections are read in its own order: of two
    rows of one key that of the later collection comes last, and the bookmark, which holds for all of them, moves while
    the last one is read.

    Args:
        streams: the selected ones in the catalog's order, by name, each with the collections that it has rows of.
    """
    readers: dict[str, list[str]] = {}
    for name, collections in streams.items():
        for collection in collections:
            readers.setdefault(collection.name, []).append(name)
    plan: dict[str, list[tuple[Collection, list[str]]]] = {name: [] for name in streams}
    planned: set[str] = set()

    def add(collection: Collection, leader: str) -> None:
        if collection.name in planned:
            return
        planned.add(collection.name)
        for name in readers[collection.name]:
            for entry in streams[name][: streams[name].index(collection)]:
                add(entry, leader)
        plan[leader].append((collection, readers[collection.name]))

    for leader, own in streams.items():
        for collection in own:
            add(collection, leader)
    return plan
