"""Names in other spellings: databases such as Snowflake write capitals, and people write as they like. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from target_klaviyo.model.texts import is_blank

# What stands between the words of a name.
_SEPARATORS = re.compile(r"[\s_.-]+")
# A record may bring new names; so many are remembered.
_MAX_NAMES = 4096


def fold_name(name: str) -> str:
    """A name without what spellings differ in: `EMAIL`, `Email` and `E-Mail` are one. A `$` stays."""
    return _SEPARATORS.sub("", name.casefold())


def is_in_capitals(name: str) -> bool:
    """Whether a name has no small letter, but a capital one."""
    return name.isupper()


class KnownNames:
    """The names that mean something in an object, and what each of them means: several may mean the same."""

    def __init__(self, meanings: Mapping[str, str] | Iterable[str], *, in_capitals: bool = False) -> None:
        """``in_capitals``: no other spelling than capitals is looked through."""
        self._meanings = dict(meanings) if isinstance(meanings, Mapping) else {name: name for name in meanings}
        self._by_spelling = {fold_name(name): name for name in reversed(self._meanings)}
        self._in_capitals = in_capitals
        self._found: dict[str, str | None] = {}

    def find(self, name: str) -> str | None:
        """The known name that a name is, or is another spelling of."""
        if name in self._found:
            return self._found[name]
        if len(self._found) > _MAX_NAMES:
            self._found.clear()
        may_be_spelling = not self._in_capitals or is_in_capitals(name)
        by_spelling = self._by_spelling.get(fold_name(name)) if may_be_spelling else None
        return self._found.setdefault(name, name if name in self._meanings else by_spelling)

    def find_all(self, members: Iterable[str]) -> list[tuple[str, str]]:
        """(a name among these, what it means) for all that are known, those in another spelling behind the others."""
        found = [(name, known) for name in members if (known := self.find(name)) is not None]
        found.sort(key=lambda names: names[0] != names[1])
        return [(name, self._meanings[known]) for name, known in found]

    def rename(self, members: Mapping[str, Any]) -> Mapping[str, Any]:
        """The members, of which those in another spelling have the known name, behind all others.

        The first of a spelling counts, and only where no known name says the same: otherwise it stays as it is. One
        that says nothing is left out where its known name is there.
        """
        spellings = {name: known for name in members if (known := self.find(name)) is not None and known != name}
        if not spellings:
            return members
        renamed = {name: value for name, value in members.items() if name not in spellings}
        said = {
            self._meanings[name] for name, value in renamed.items() if name in self._meanings and not is_blank(value)
        }
        for name, known in spellings.items():
            value, meaning = members[name], self._meanings[known]
            if is_blank(value):
                renamed.setdefault(known, value)
            elif meaning in said:
                renamed[name] = value
            else:
                renamed[known] = value
                said.add(meaning)
        return renamed
