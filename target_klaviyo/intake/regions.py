"""The country of a phone number in national form, as far as its record names one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from target_klaviyo.model.identifiers import UNKNOWN_REGION, parse_region
from target_klaviyo.model.names import KnownNames
from target_klaviyo.model.records import Record

# The field, the column and the custom property that say it.
COUNTRY_CODE = "country_code"
_NAMES = KnownNames((COUNTRY_CODE,))
_TWO_LETTERS = re.compile(r"\s*[A-Za-z]{2}\s*")


def region_of(record: Record, mapped: Any, person: Mapping[str, Any], default: str | None) -> str | None:
    """The region of a record's phone number: the nearest that is named, or that of the settings.

    A country that nobody knows is ``UNKNOWN_REGION``: no other is taken for it. Where the person lives counts behind
    what says the country, and only as a code of two letters: it may be written in any way.

    Args:
        record: its columns.
        mapped: the field ``country_code``.
        person: the fields of the profile.
        default: ISO 3166 alpha-2.
    """
    properties = person.get("properties")
    named = (mapped, *_codes_in(record), *(_codes_in(properties) if isinstance(properties, Mapping) else ()))
    try:
        region = next(filter(None, map(parse_region, named)), None)
    except ValueError:
        return UNKNOWN_REGION
    return region or _region_of_home(person) or default


def _codes_in(members: Mapping[str, Any]) -> Iterator[Any]:
    return (members[name] for name, _ in _NAMES.find_all(members))


def _region_of_home(person: Mapping[str, Any]) -> str | None:
    location = person.get("location")
    country = location.get("country") if isinstance(location, Mapping) else None
    if not isinstance(country, str) or not _TWO_LETTERS.fullmatch(country):
        return None
    try:
        return parse_region(country)
    except ValueError:
        return None
