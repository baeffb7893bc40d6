"""People in the account: finds profiles by their identifiers, a hundred at a time.

Nothing is kept between calls: who is not there now may be there in a minute. Threads may share a session for this.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from klaviyo_client.api.filters import condition
from klaviyo_client.api.operations import operation
from target_klaviyo.delivery.action import Row, Unit
from target_klaviyo.delivery.batches import split_by_size
from target_klaviyo.delivery.parallel import map_parallel
from target_klaviyo.delivery.requests import SendResult, send_splitting, single
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.identifiers import ATTRIBUTE_IDENTIFIERS, IDENTIFIERS, identifiers_of
from target_klaviyo.model.records import Call, Outcome

_ALL, _ON_LIST = "get_profiles", "get_profiles_for_list"
# Klaviyo's bound of a filter's list, and a bound of the address that holds it: many servers take 8,000 bytes.
_MAX_VALUES = 100
_MAX_URL_BYTES = 6000
# Requests of one batch at once. One after another, a batch of ten thousand people would take a minute.
_THREADS = 8


def find_call(purpose: str, *, on_list: bool = False, **used_when: Any) -> Call:
    """The call that finds people, of all or on a list; ``used_when`` is the option or field, as ``Call`` has them."""
    return Call(_ON_LIST if on_list else _ALL, purpose, **used_when)


@dataclass(frozen=True)
class Matches:
    """The profiles of rows' people.

    Attributes:
        ids: row -> Klaviyo's id of its person.
        refused: row -> why Klaviyo did not look for its person.
        attributes: row -> what was asked for of its person.
    """

    ids: dict[Row, str] = field(default_factory=dict)
    refused: dict[Row, Outcome] = field(default_factory=dict)
    attributes: dict[Row, Mapping[str, Any]] = field(default_factory=dict)


def find_profiles(session: Session, rows: Iterable[Row], attributes: Collection[str] = ()) -> Matches:
    """Whom the rows are about, by their strongest identifier that Klaviyo knows.

    Rows that are in neither of the answer's parts are about nobody that the account has. ``attributes`` are those that
    are wanted of each, beside identifiers.

    Raises:
        Refused: the key or a scope is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    matches = Matches()
    unmatched = list(rows)
    for name in IDENTIFIERS:
        matches_by_name = find_by(session, name, unmatched, attributes=attributes)
        matches.ids.update(matches_by_name.ids)
        matches.attributes.update(matches_by_name.attributes)
        # Refused by one identifier, a person may still be found by the next.
        matches.refused.update(matches_by_name.refused)
        unmatched = [row for row in unmatched if row not in matches_by_name.ids]
    for row in matches.ids:
        matches.refused.pop(row, None)
    return matches


def find_by(
    session: Session, name: str, rows: Iterable[Row], list_id: str | None = None, attributes: Collection[str] = ()
) -> Matches:
    """The profiles of the rows' people by one identifier; with a list, only those who are on it.

    ``attributes`` are those that are wanted of each, beside identifiers.

    Raises:
        Refused: the key or a scope is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    matches = Matches()

    def query(chunk: Sequence[Sequence[Row]]) -> SendResult[dict[str, Mapping[str, Any]]]:
        units = [single(row) for rows in chunk for row in rows]
        return send_splitting(units, partial(_query, session, name, list_id, attributes))

    rows_by_value: dict[str, list[Row]] = {}
    for row in rows:
        if (value := identifiers_of(row.payload).get(name)) is not None:
            rows_by_value.setdefault(value, []).append(row)
    chunks = split_by_size(
        rows_by_value.values(), partial(_filter_size, name), max_count=_MAX_VALUES, max_bytes=_MAX_URL_BYTES
    )
    for result in map_parallel(query, list(chunks), max_threads=_THREADS):
        for unit, outcome in result.outcomes:
            matches.refused.update(dict.fromkeys(unit.rows, outcome))
        for units, profiles in result.accepted:
            for row in (row for unit in units for row in unit.rows):
                if profile := profiles.get(identifiers_of(row.payload)[name]):
                    matches.ids[row] = profile["id"]
                    if attributes:
                        matches.attributes[row] = profile.get("attributes") or {}
    return matches


def _query(
    session: Session, name: str, list_id: str | None, attributes: Collection[str], units: Sequence[Unit]
) -> dict[str, Mapping[str, Any]]:
    """Identifier, in the form that can be compared -> the profile, for those that the account has."""
    op = operation(_ALL if list_id is None else _ON_LIST)
    query = {
        "filter": condition("any", name, _spellings(name, (row for unit in units for row in unit.rows))),
        "fields[profile]": ",".join(dict.fromkeys((*ATTRIBUTE_IDENTIFIERS, *attributes))),
        "page[size]": str(op.page_size),
    }
    pages = session.client.pages(op.id, path={} if list_id is None else {"id": list_id}, query=query)
    profiles: Iterator[Mapping[str, Any]] = (entry for page in pages for entry in page.data)
    return {known[name]: entry for entry in profiles if name in (known := identifiers_of(entry))}


def _spellings(name: str, rows: Iterable[Row]) -> dict[str, None]:
    """The identifiers as they came, and e-mail addresses in small letters too: Klaviyo may have them either way."""
    spellings: dict[str, None] = {}
    for row in rows:
        spellings[str(row.payload["id"] if name == "id" else row.payload["attributes"][name])] = None
        spellings[identifiers_of(row.payload)[name]] = None
    return spellings


def _filter_size(name: str, rows: Sequence[Row]) -> tuple[int, int]:
    """What rows of one identifier cost in a filter: how many values, and how many bytes of an address."""
    spellings = _spellings(name, rows)
    return len(spellings), sum(len(quote(f'"{text}",', safe="")) for text in spellings)
