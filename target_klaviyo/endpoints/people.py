"""Finds people in the account by their identifiers, a hundred at a time.

Nothing is kept between calls: who is not there now may be there in a minute. Threads may share a session for this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from klaviyo_client.api.filters import condition
from klaviyo_client.api.operations import operation
from target_klaviyo.delivery.action import Row, Unit
from target_klaviyo.delivery.parallel import overlapped
from target_klaviyo.delivery.requests import Attempt, alone, attempt
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.identifiers import IDENTIFIERS, identifiers_of
from target_klaviyo.model.records import Call, Outcome

_ALL, _ON_LIST = "get_profiles", "get_profiles_for_list"
# Klaviyo's bound of a filter's list, and a bound of the address that holds it: many servers take 8,000 bytes.
_VALUES = 100
_URL_BYTES = 6000
# Questions of one batch at once. One after another, a batch of ten thousand people would take a minute.
_AT_ONCE = 8


def find(purpose: str, *, on_list: bool = False, **occasion: Any) -> Call:
    """What it takes to find people, of all or on a list; ``occasion`` is as ``Call`` has it."""
    return Call(_ON_LIST if on_list else _ALL, purpose, **occasion)


@dataclass(frozen=True)
class Found:
    """What is known of rows' people.

    Attributes:
        ids: row -> Klaviyo's id of its person.
        refused: row -> why Klaviyo did not look for its person.
    """

    ids: dict[Row, str] = field(default_factory=dict)
    refused: dict[Row, Outcome] = field(default_factory=dict)


def found(session: Session, rows: Iterable[Row]) -> Found:
    """Whom the rows are about, by their strongest identifier that Klaviyo knows.

    Rows that are in neither of the answer's parts are about nobody that the account has.

    Raises:
        Refused: the key or a scope is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    answer = Found()
    left = list(rows)
    for name in IDENTIFIERS:
        named = looked_up(session, name, left)
        answer.ids.update(named.ids)
        # Refused by one identifier, a person may still be found by the next.
        answer.refused.update(named.refused)
        left = [row for row in left if row not in named.ids]
    for row in answer.ids:
        answer.refused.pop(row, None)
    return answer


def looked_up(session: Session, name: str, rows: Iterable[Row], list_id: str | None = None) -> Found:
    """The rows' people by one identifier; with a list, only those who are on it.

    Raises:
        Refused: the key or a scope is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    answer = Found()
    with_it = [row for row in rows if name in identifiers_of(row.payload)]

    def ask(part: Sequence[Row]) -> Attempt[dict[str, str]]:
        return attempt([alone(row) for row in part], lambda units: _asked(session, name, units, list_id))

    for done in overlapped(ask, list(_parts(name, with_it)), at_once=_AT_ONCE):
        for unit, outcome in done.settled:
            answer.refused.update(dict.fromkeys(unit.rows, outcome))
        for units, ids in done.taken:
            of_row = {row: ids.get(identifiers_of(row.payload)[name]) for unit in units for row in unit.rows}
            answer.ids.update({row: profile_id for row, profile_id in of_row.items() if profile_id})
    return answer


def _asked(session: Session, name: str, units: Sequence[Unit], list_id: str | None) -> dict[str, str]:
    """Identifier, in the form that can be compared -> Klaviyo's id, for those that the account has."""
    op = operation(_ALL if list_id is None else _ON_LIST)
    values = dict.fromkeys(text for unit in units for row in unit.rows for text in _spellings(name, row))
    query = {
        "filter": condition("any", name, values),
        "fields[profile]": "email,phone_number,external_id",
        "page[size]": str(op.page_size),
    }
    pages = session.client.pages(op.id, path={} if list_id is None else {"id": list_id}, query=query)
    people: Iterator[Mapping[str, Any]] = (entry for page in pages for entry in page.data)
    return {known[name]: entry["id"] for entry in people if name in (known := identifiers_of(entry))}


def _spellings(name: str, row: Row) -> tuple[str, ...]:
    """The identifier as it came, and an e-mail address in small letters too: Klaviyo may have it either way."""
    value = str(row.payload["id"] if name == "id" else row.payload["attributes"][name])
    small = identifiers_of(row.payload)[name]
    return (value,) if small == value else (value, small)


def _parts(name: str, rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows whose identifiers fit into one filter, and the filter into one address."""
    part: list[Row] = []
    values: set[str] = set()
    size = 0
    for row in rows:
        new = {text for text in _spellings(name, row) if text not in values}
        cost = sum(len(quote(f'"{text}",', safe="")) for text in new)
        if part and (len(values) + len(new) > _VALUES or size + cost > _URL_BYTES):
            yield part
            part, values, size = [], set(), 0
        part.append(row)
        values |= new
        size += cost
    if part:
        yield part
