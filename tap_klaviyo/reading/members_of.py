"""The setting ``members_of``: names and ids of lists and segments become the ids of those whose members are read."""

from __future__ import annotations

import contextlib
import difflib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from klaviyo_client.errors import Refused, SettingsError, Unavailable
from tap_klaviyo.model import Collection, Resource, SelectedTable, Table

logger = logging.getLogger("tap-klaviyo")

# Collections of members -> those whose members they are.
PARENTS = {"list_profiles": "lists", "segment_profiles": "segments"}
_LISTED_NAMES = 20


@dataclass(frozen=True)
class MembersOf:
    """Whose members are read.

    Args:
        wanted: the setting; empty for all.
        selected: the tables that are read.
        resources: ``lists`` or ``segments`` -> all of the account, with their names.
    """

    wanted: Sequence[str]
    selected: Sequence[SelectedTable]
    resources: Callable[[str], Sequence[Resource]]

    @property
    def kinds(self) -> list[str]:
        """Of ``lists`` and ``segments``, those whose members are read."""
        names = {entry.table.collection.name for entry in self.selected}
        return [parent for collection, parent in PARENTS.items() if collection in names] if self.wanted else []

    @property
    def by_name(self) -> list[str]:
        """The collections whose names are needed; a name may be one of either."""
        return [*PARENTS.values()] if self.kinds else []

    def of_table(self, table: Table) -> frozenset[str] | None:
        """The ids of those of whose members the table has rows; None for all.

        Raises:
            SettingsError: the account has no list or segment of one of the names.
            Refused, Unavailable: the account's cannot be read.
        """
        is_of_members = any(
            entry.table.name == table.name and entry.table.collection.name in PARENTS for entry in self.selected
        )
        return self._ids[table.collection.parent] if self.wanted and is_of_members and table.collection.parent else None

    def of_collection(self, collection: Collection) -> frozenset[str] | None:
        """The ids of those whose members are read of a collection; None for all. Raises as ``of_table``."""
        tables = [entry.table for entry in self.selected if entry.table.collection == collection]
        found = [self.of_table(table) for table in tables]
        return None if None in found or not found else frozenset().union(*(ids for ids in found if ids is not None))

    def check(self) -> None:
        """Find out whether there are such lists and segments, unless they cannot be read, which is told in their turn.

        Raises:
            SettingsError: as ``of_table``.
        """
        if self.kinds:
            with contextlib.suppress(Refused, Unavailable):
                self._ids  # noqa: B018 - kept for the members' turn

    @cached_property
    def _ids(self) -> Mapping[str, frozenset[str]]:
        groups = {kind: self.resources(kind) for kind in self.kinds}
        if any(not _matching(entry, groups) for entry in self.wanted):
            # Perhaps one whose members are not selected.
            for kind in {*PARENTS.values()} - {*groups}:
                with contextlib.suppress(Refused, Unavailable):
                    groups[kind] = self.resources(kind)
        found = {entry: _matching(entry, groups) for entry in self.wanted}
        for entry, matches in found.items():
            if not matches:
                raise SettingsError(
                    f"members_of: the account has no {_either(groups)} called {entry}{_suggestion(entry, groups)}"
                )
            if len(matches) > 1:
                several = ", ".join(f"{kind.removesuffix('s')} {name}" for kind, name in matches)
                logger.info("members_of: %s stands for %d: %s", entry, len(matches), several)
        ids = {kind: frozenset(name for pairs in found.values() for of, name in pairs if of == kind) for kind in groups}
        for kind in self.kinds:
            if not ids[kind]:
                logger.info("members_of: it names none of the %s, so the tap reads no members of them", kind)
        return ids


def _matching(entry: str, groups: Mapping[str, Iterable[Resource]]) -> list[tuple[str, str]]:
    """(kind, id) of each list and segment that an entry names."""
    return [
        (kind, one["id"])
        for kind, resources in groups.items()
        for one in resources
        if one["id"] == entry.strip() or _plain(_name(one)) == _plain(entry)
    ]


def _name(group: Resource) -> str:
    return str((group.get("attributes") or {}).get("name") or "")


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _either(groups: Iterable[str]) -> str:
    return " or ".join(kind.removesuffix("s") for kind in sorted(groups))


def _suggestion(entry: str, groups: Mapping[str, Iterable[Resource]]) -> str:
    """The names that are most like it, or those that there are, as far as they can be listed."""
    names = {_plain(_name(one)): _name(one) for resources in groups.values() for one in resources if _name(one)}
    if close := difflib.get_close_matches(_plain(entry), names, n=3):
        return f": did you mean {' or '.join(names[name] for name in close)}?"
    listed, more = sorted(names.values())[:_LISTED_NAMES], len(names) - _LISTED_NAMES
    return f"; there are {', '.join(listed)}{f' and {more} more' if more > 0 else ''}" if listed else ""
