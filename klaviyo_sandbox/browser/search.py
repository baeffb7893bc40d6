"""Searches through the rows of a table, the latest first, of which each looks at a bounded number of rows.

The caller holds ``store.lock``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from klaviyo_sandbox.account.rows import IDENTIFIERS, Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.browser.model import Pager
from klaviyo_sandbox.browser.tables import PAGE_SIZE, full_name

# Rows that one page looks at: either number takes some tenths of a second.
_MAX_HELD, _MAX_COMPUTED = 100_000, 1_000
_PHONE_LIKE = re.compile(r"[\d\s()./+-]*\d[\d\s()./+-]*", re.ASCII)
_NO_DIGIT = re.compile(r"\D", re.ASCII)


@dataclass(frozen=True)
class Found:
    """Rows that were found, and where: at positions from ``start`` on and before ``end``, of ``total``, counted from 0.

    What stands at ``end`` and after it was not looked at.
    """

    rows: list[Row]
    start: int
    end: int
    total: int

    @property
    def is_whole(self) -> bool:
        """Was the whole table looked at?"""
        return self.start == 0 and self.end == self.total

    def pager(self, path: str, query: dict[str, str]) -> Pager:
        """Says how much was searched, and leads on from there with the same query."""
        if self.start >= self.total:
            text = f"None of {self.total:,} searched"
        else:
            text = f"{self.start + 1:,} to {self.end:,} of {self.total:,} searched, the latest first"
        first = f"{path}?{urlencode(query)}" if self.start else None
        further = f"{path}?{urlencode({**query, 'start': self.end})}" if self.end < self.total else None
        return Pager(text, first, further, "From the first", "Search on")


def find_rows(table: Table, field: str, fits: Callable[[Row], bool], start: int) -> Found:
    """The first rows that fit, at most a page of them, in descending order of a field; ``start`` are left out."""
    total = len(table)
    is_computed = len(table.in_memory) < total
    limit = min(total, start + (_MAX_COMPUTED if is_computed else _MAX_HELD))
    found: list[Row] = []
    position = min(start, total)
    for row in table.rows_at(field, range(total - 1 - position, total - 1 - limit, -1)):
        position += 1
        if fits(row):
            found.append(row)
            if len(found) == PAGE_SIZE:
                break
    return Found(found, start, max(position, start), total)


def find_profiles(store: Store, wanted: str, start: int) -> Found:
    """Profiles with a part of a name, an e-mail address, a phone number or an external id, the latest changed first.

    Before these, and only from the start, those that are identified by the whole text.
    """
    identified = _identified_by(store, wanted)
    ids = {row["id"] for row in identified}
    found = find_rows(store.profiles, "updated", _profile_matcher(wanted), start)
    others = [row for row in found.rows if row["id"] not in ids]
    return Found(others if start else identified + others, start, found.end, found.total)


def _identified_by(store: Store, text: str) -> list[Row]:
    """Profiles with this id, e-mail address, phone number or external id."""
    ids = [text] if text in store.profiles else []
    ids += [row_id for name in IDENTIFIERS if (row_id := store.find_profile_id(name, text))]
    return [row for row_id in dict.fromkeys(ids) if (row := store.profiles.get(row_id)) is not None]


def _profile_matcher(wanted: str) -> Callable[[Row], bool]:
    """Whether a profile fits: every word is somewhere in its texts, or the digits are in its phone number, in a row."""
    if not _PHONE_LIKE.fullmatch(wanted):
        words = _fold(wanted).split()
        return lambda row: _has_all(_fold("\n".join(_texts(row))), words)
    phrase, digits = _fold(wanted), _NO_DIGIT.sub("", wanted)
    # A number as it is dialled begins with zeros that the international form does not have.
    digit_forms = {digits, digits.lstrip("0") or digits}

    def fits(row: Row) -> bool:
        phone = _NO_DIGIT.sub("", str(row.get("phone_number") or ""))
        return any(form in phone for form in digit_forms) or phrase in _fold("\n".join(_texts(row)))

    return fits


def _has_all(text: str, words: Iterable[str]) -> bool:
    return all(word in text for word in words)


def _texts(row: Row) -> list[str]:
    """What a profile is found by, but for its id: one text for each thing, so that no word spans two of them."""
    values = (
        full_name(row),
        row.get("email"),
        *(row.get("other_emails") or ()),
        row.get("phone_number"),
        row.get("external_id"),
    )
    return [str(value) for value in values if value]


def _fold(text: str) -> str:
    """Text without case and accents, as people type it."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold()).casefold()
    return "".join(character for character in decomposed if not unicodedata.combining(character))
