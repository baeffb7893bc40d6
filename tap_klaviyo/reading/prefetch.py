"""Small collections are read before their turn comes, while others are: each operation has a budget of its own."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

from klaviyo_client.api.operations import operation
from tap_klaviyo.model import Collection
from tap_klaviyo.reading.page_reader import Reading

# Requests a minute that so many threads can spend. What Klaviyo gives faster is read in its turn, with all threads.
SLOW = 750
THREADS = 4
# Bytes of packed pages that each may have waiting.
MEMORY = 4_000_000


def is_small(collection: Collection, whole: Container[str]) -> bool:
    """Whether it is read whole in every run (``whole`` names those with a bookmark that are), and slowly."""
    is_whole = collection.bookmark is None or (collection.reread and collection.name in whole)
    return is_whole and operation(collection.operation).steady <= SLOW


class Ahead:
    """Readings that have begun and wait for their turn.

    Args:
        open_: opens the reading of a collection, whole.
    """

    def __init__(self, open_: Callable[[Collection], Reading]) -> None:
        self._open = open_
        self._known: set[str] = set()
        self._waiting: dict[str, Reading] = {}

    def begin(self, collections: Iterable[Collection]) -> None:
        """Begin to read these, unless they were begun or taken before."""
        for collection in collections:
            if collection.name not in self._known:
                self._known.add(collection.name)
                self._waiting[collection.name] = self._open(collection)
                self._waiting[collection.name].begin()

    def take(self, collection: Collection) -> Reading | None:
        """The reading of a collection whose turn it is, None where none has begun; it begins no more."""
        self._known.add(collection.name)
        return self._waiting.pop(collection.name, None)
