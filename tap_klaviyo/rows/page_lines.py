"""Lines of whole pages, or what else is written of their rows, by the fastest way that takes the page. Pure as chunks.

Almost every page is as Klaviyo documents it, and is decoded into types that were made for the selected columns. What is
odd (an id that is a number, half a surrogate pair) is for decoders that take more, and are slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property, partial
from typing import Generic

from klaviyo_client.api.pages import Page, TypedDecoder, decode_in_chunks
from tap_klaviyo.model import Collection, Lookup, PathEquals, SelectedTable, Slice
from tap_klaviyo.rows.chunks import CHUNK_ROWS, make_lines_in_chunks
from tap_klaviyo.rows.lookup_protocol import Lookups
from tap_klaviyo.rows.page_rows import RowMaker, RowProblems
from tap_klaviyo.rows.paths import parse_source, sources
from tap_klaviyo.rows.record_lines import E, Encoder
from tap_klaviyo.rows.roots import needs_of, required_roots
from tap_klaviyo.rows.shapes import resource_shape
from tap_klaviyo.rows.typed_rows import TypedResources, can_type
from tap_klaviyo.rows.values import KnownTimes


class LineMaker(Generic[E]):
    """Makes lines of the pages of one collection.

    Args:
        make_row_maker: makes what makes the rows of resources that are dictionaries; called when there are some.
        typed: makes those of resources of types of their own, and decodes pages into these; None where there are none.
        encoders: of each table.
        decode: decodes any page that can be decoded.
    """

    def __init__(
        self,
        make_row_maker: Callable[[], RowMaker],
        typed: tuple[RowMaker, TypedDecoder] | None,
        encoders: Mapping[str, Encoder[E]],
        decode: Callable[[bytes], Page],
    ) -> None:
        self._make_row_maker = make_row_maker
        self._typed = typed
        self._encoders = encoders
        self._decode = decode

    def make_lines(
        self, body: bytes, part: Slice, cut: str | None, lookups: Lookups, extracted: datetime
    ) -> tuple[dict[str, E], list[str | None], RowProblems]:
        """Make the lines of a page; the arguments are those of ``make_lines_in_chunks``.

        Returns:
            The lines by table, the bookmarks of the resources that are the slice's own, and what was met in the page.
        """
        make_lines = partial(
            make_lines_in_chunks, part=part, cut=cut, lookups=lookups, extracted=extracted, encoders=self._encoders
        )
        for row_maker, decode in self._ways():
            try:
                lines, times = make_lines(row_maker, decode(body))
            except ValueError:
                # Unusual: a slower decoder takes more. It counts all problems again.
                row_maker.take_problems()
            else:
                return lines, times, row_maker.take_problems()
        # The last one says what is wrong, if anything is.
        lines, times = make_lines(self._row_maker, [self._decode(body)])
        return lines, times, self._row_maker.take_problems()

    @cached_property
    def _row_maker(self) -> RowMaker:
        return self._make_row_maker()

    def _ways(self) -> Iterator[tuple[RowMaker, Callable[[bytes], Iterable[Page]]]]:
        if self._typed is not None:
            row_maker, decoder = self._typed
            yield row_maker, partial(decoder.decode_in_chunks, size=CHUNK_ROWS)
        yield self._row_maker, partial(decode_in_chunks, size=CHUNK_ROWS)


def typed_resources(
    collection: Collection, tables: Iterable[SelectedTable], exclude: PathEquals | None
) -> TypedResources | None:
    """Types for the resources of a collection of which these tables are read; None where they must be dictionaries."""
    needed = [parse_source("/id")]
    if exclude is not None:
        needed.append(parse_source(exclude.path))
    if collection.bookmark is not None:
        needed.append(parse_source(f"/attributes/{collection.bookmark}"))
    for entry in tables:
        columns = sources(entry.schema, entry.columns).values()
        roots = required_roots(entry.table, columns)
        if entry.table.gap is not None or not collection.has_order or not can_type(roots, columns):
            return None
        needed += columns
        for root in roots:
            needed += needs_of(root)
            if isinstance(root, Lookup):
                needed += map(parse_source, root.own_page_paths or ())
    try:
        return TypedResources(resource_shape(needed), KnownTimes())
    except ValueError:
        return None
