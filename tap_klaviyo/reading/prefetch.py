"""Starts to read small collections before their turn, while others are read: each operation has limits of its own."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

from klaviyo_client.api.operations import operation
from tap_klaviyo.model import Collection
from tap_klaviyo.reading.page_reader import PageReader

# The threads of one collection, and the requests a minute that so many can spend. What Klaviyo gives faster is read in
# its turn, with all threads.
THREADS = 4
MAX_STEADY = 750
# Bytes of packed pages that each collection may have waiting.
MEMORY = 4_000_000


def is_prefetchable(collection: Collection, reread: Container[str]) -> bool:
    """Whether a collection is read whole in every run, and slowly.

    Args:
        collection: the collection.
        reread: names of the collections that are read whole although they have a bookmark.
    """
    is_whole = collection.bookmark is None or (collection.reread and collection.name in reread)
    return is_whole and operation(collection.operation).steady <= MAX_STEADY


class Prefetcher:
    """The readers that were started before their collection's turn.

    Args:
        open_reader: opens the reader of a collection, whole.
    """

    def __init__(self, open_reader: Callable[[Collection], PageReader]) -> None:
        self._open_reader = open_reader
        self._handled: set[str] = set()
        self._readers: dict[str, PageReader] = {}

    def start(self, collections: Iterable[Collection]) -> None:
        """Start to read these, unless they were started or taken before."""
        for collection in collections:
            if collection.name not in self._handled:
                self._handled.add(collection.name)
                self._readers[collection.name] = self._open_reader(collection)
                self._readers[collection.name].start()

    def take(self, collection: Collection) -> PageReader | None:
        """The reader of a collection whose turn it is, None where none was started; none is from now on."""
        self._handled.add(collection.name)
        return self._readers.pop(collection.name, None)

    def close(self) -> None:
        """Request nothing more of what was not taken."""
        while self._readers:
            self._readers.popitem()[1].close()
