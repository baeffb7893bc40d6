"""What a run knows of the gaps of tables: the ids that are no gap, and the rows that filled one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import Refused, Unavailable
from tap_klaviyo.model import Collection, SelectedTable, SlicePage
from tap_klaviyo.reading.lookups import LookupCache
from tap_klaviyo.rows.gaps import GapRows
from tap_klaviyo.rows.page_rows import RowMaker

logger = logging.getLogger("tap-klaviyo")


@dataclass(frozen=True)
class Gaps:
    """The gaps of one run.

    Args:
        selected: every table that is wanted.
        incomplete: the collections of which something was skipped.
        read_ids: reads the ids that a table has, for one whose collection was not read whole in this run.
    """

    selected: Sequence[SelectedTable]
    incomplete: Container[str]
    read_ids: Callable[[SelectedTable], Iterable[str]]
    # Ids by table and collection, of tables that were read whole.
    _ids: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _rows: dict[str, GapRows] = field(default_factory=dict)

    def ids_to_keep(self, tables: Iterable[SelectedTable]) -> dict[str, set[str]]:
        """An empty set for each of these tables whose gaps are filled, which is to hold its ids."""
        filled = {entry.table.name for entry in self.selected if entry.table.gap is not None}
        names = (entry.table.name for entry in tables if entry.table.gap is None and entry.since is None)
        return {name: set() for name in names if name in filled}

    def keep_ids(self, collection: Collection, ids: Mapping[str, set[str]]) -> None:
        """Called with all ids of ``ids_to_keep`` when the collection was read whole."""
        self._ids.update({(name, collection.name): ids_of_table for name, ids_of_table in ids.items()})

    def known(self, tables: Iterable[SelectedTable]) -> dict[str, frozenset[str]]:
        """Those of these tables that fill gaps -> the ids that are no gap. Without those of which that is not known."""
        known = {}
        for entry in tables:
            name = entry.table.name
            if entry.table.gap is not None and name not in known:
                try:
                    known[name] = frozenset().union(*map(self._ids_of, self._others(name)))
                except (Refused, Unavailable) as error:
                    logger.warning("%s: no rows for objects that only events mention, because %s", name, error)
        return known

    def rows(self, entry: SelectedTable) -> GapRows:
        """The rows that fill the table's gaps."""
        return self._rows.setdefault(entry.table.name, GapRows(entry))

    def _others(self, name: str) -> list[SelectedTable]:
        return [entry for entry in self.selected if entry.table.name == name and entry.table.gap is None]

    def _ids_of(self, entry: SelectedTable) -> Iterable[str]:
        place = (entry.table.name, entry.table.collection.name)
        if place not in self._ids:
            self._ids[place] = set(self.read_ids(entry))
        return self._ids[place]


def ids_in(pages: Iterable[SlicePage], entry: SelectedTable, client: KlaviyoClient) -> Iterator[str]:
    """The ids that the rows of a table have, of these pages of its collection."""
    (key,) = entry.table.key
    row_maker = RowMaker(entry.table.collection, [replace(entry, columns=entry.table.key, since=None)])
    nothing = LookupCache({}, lambda _lookup, _owners: iter(()), lambda _lookup, _error: None)
    for read in pages:
        page = client.decode(entry.table.collection.operation, read.page)
        made = row_maker.make_rows(page, read.slice, None, nothing, datetime.now(UTC))
        yield from (row[key] for row in made.rows[entry.table.name])
