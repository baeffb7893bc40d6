"""How far a stream of tables was read, where it starts, and whether it reads the past again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_klaviyo.model import Collection, Table
from tap_klaviyo.reading.slices import SETTLE
from tap_klaviyo.rows.values import bookmark_text
from tap_klaviyo.settings import is_read_whole
from tap_klaviyo.streams import look_back, members
from tap_klaviyo.streams.base import AHEAD, PrefixBookmarkStream, parse_time


class BookmarkedStream(PrefixBookmarkStream):
    """A stream of tables, as far as its bookmark is concerned.

    Attributes:
        table: the one that is not a supplement.
        tables: what each of its collections gives to it.
        collections: these collections.
    """

    table: Table
    tables: Sequence[Table]
    collections: Sequence[Collection]
    _stream_version: int | None
    # Whether an earlier run read it, and whether this one reads the past again; None until it is the stream's turn.
    _had_bookmark: bool | None = None
    _looks_back: bool | None = None

    def start_in(self, collection: Collection) -> datetime | None:
        """Where to start in a collection: some time before the bookmark, not before the start date; None for all."""
        table = next(entry for entry in self.tables if entry.collection == collection)
        if collection.supplements is not None:
            # What becomes of whom it finds moves no time of its own, either.
            table = self.table
        is_full = self.replication_method == REPLICATION_FULL_TABLE or self._stream_version is not None
        if is_full or is_read_whole(table, self._tap.reread):
            return None
        reached = self.bookmark
        start_date = self.config.get("start_date")
        starts = [parse_time("start_date", start_date)] if start_date else []
        if reached is not None:
            state, looks_back = self.get_context_state(None), self._looks_back is not False
            starts.append(look_back.start(state, reached, self._lookback, looks_back=looks_back))
        return max(starts, default=None)

    @property
    def bookmark(self) -> datetime | None:
        """How far earlier runs have read; None where that is not asked for, or nothing was read."""
        text = self.get_context_state(None).get("replication_key_value")
        if not text or self.replication_method == REPLICATION_FULL_TABLE:
            return None
        return parse_time(f"the bookmark of {self.name}", text)

    def correct_bookmark(self, now: datetime) -> None:
        """Take a bookmark that is ahead of now (of another clock, another tool) back to now, and say so.

        Nothing is at or after it, and it would be moved by no row until its time has come.
        """
        if self.bookmark is not None and self.bookmark > now:
            state = self.get_context_state(None)
            self.logger.warning(AHEAD, self.name, state["replication_key_value"])
            state["replication_key_value"] = bookmark_text((now - SETTLE).replace(microsecond=0))
            look_back.forget(state)
            self.state_manager.is_flushed = False

    def advance_bookmark(self, bookmark: str) -> bool:
        """Move the bookmark, never back; whether it moved."""
        if self.replication_method == REPLICATION_FULL_TABLE or not self.replication_key:
            return False
        state = self.get_context_state(None)
        before = state.get("replication_key_value")
        if before and parse_time("bookmark", before) >= parse_time("bookmark", bookmark):
            return False
        state.update(replication_key=self.replication_key, replication_key_value=bookmark)
        return True

    # Members ----------------------------------------------------------------------------------------------------------

    def start_of_members(self, start: datetime | None, wanted: frozenset[str] | None) -> datetime | None:
        """Where to start in a collection of members: where it starts anyway, unless somebody's were never read.

        Args:
            start: as ``start_in`` gives it.
            wanted: the ids of those whose members are read; None for all.
        """
        if self.replication_method == REPLICATION_FULL_TABLE or not self.replication_key:
            return start
        state = self.get_context_state(None)
        is_behind = self.bookmark is not None and members.is_behind(state, wanted)
        if members.begin(state, wanted):
            self.state_manager.is_flushed = False
        if not is_behind:
            return start
        start_date = self.config.get("start_date")
        return parse_time("start_date", start_date) if start_date else None

    def note_members(self, wanted: frozenset[str] | None) -> None:
        """Note in the STATE, at the stream's end, whose members were read up to the bookmark."""
        if self.bookmark is not None and members.end(self.get_context_state(None), wanted):
            self.state_manager.is_flushed = False

    # The past ---------------------------------------------------------------------------------------------------------

    @property
    def _lookback(self) -> timedelta:
        """How far before its bookmark it is read again; all of its collections are, for the bookmark is theirs."""
        return max(map(self._tap.lookback, self.collections))

    def is_look_back_due(self, collection: Collection, now: datetime) -> bool:
        """Whether it is to read the past of a collection again in this run, which began now."""
        is_whole = self.bookmark is None or self.start_in(collection) is None
        if is_whole or self._lookback <= look_back.RECENT:
            return False
        return self._tap.always_looks_back or look_back.is_due(self.get_context_state(None), self._lookback, now)

    def set_looks_back(self, looks_back: bool) -> None:
        """Say whether this run reads the past again. What was said for its first collection holds for all."""
        if self._looks_back is None:
            self._looks_back = looks_back

    def note_run(self) -> None:
        """Note in the STATE, at the stream's end, whether the past was read, as a first run does, too."""
        if self.bookmark is None or self._lookback <= look_back.RECENT:
            return
        looked_back = self._looks_back or not self._had_bookmark
        state, began = self.get_context_state(None), self._tap.account.began()
        look_back.add_run(state, self._lookback if looked_back else None, began)
        self.state_manager.is_flushed = False
