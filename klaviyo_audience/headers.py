"""Headers that say by sight which of Klaviyo's fields a column holds: a written list, nothing like it counts. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

# Klaviyo's field -> headers, in any case, and with or without spaces and punctuation.
HEADERS: Mapping[str, Sequence[str]] = {
    field: texts.split("; ")
    for field, texts in {
        "email": (
            "email; email address; mail; mail address; work email; personal email; contact email; subscriber email; "
            "customer email; E-Mail-Adresse"
        ),
        "phone_number": (
            "phone; phone number; phone no; mobile; mobile phone; mobile number; mobile phone number; cell; "
            "cell phone; cell number; cell phone number; telephone; telephone number; tel; sms number; "
            "sms phone number; Telefon; Telefonnummer; Handy; Handynummer; Mobil; Mobilnummer; Mobiltelefon"
        ),
        "first_name": "first name; given name; forename; Vorname",
        "last_name": "last name; surname; family name; Nachname; Familienname",
        "organization": (
            "organization; organisation; company; company name; organization name; organisation name; employer; Firma; "
            "Unternehmen"
        ),
        "title": "job title",
        "location.address1": "address; address 1; address line 1; street; street address; Adresse; Straße",
        "location.address2": "address 2; address line 2",
        "location.city": "city; town; city/town; town/city; Stadt; Ort; Wohnort",
        "location.region": "region; state; province; county; state/province; state/region; Bundesland",
        "location.zip": "zip; zip code; postcode; postal code; zip/postal code; zip/postcode; PLZ; Postleitzahl",
        "location.country": "country; country/region; Land",
        "location.timezone": "time zone",
        "location.latitude": "latitude",
        "location.longitude": "longitude",
    }.items()
}
_PUNCTUATION = re.compile(r"[\W_]+")


def fold_header(header: str) -> str:
    """A header without what spellings differ in: case, spaces and punctuation.

    >>> fold_header("E-Mail (address)")
    'emailaddress'
    """
    return _PUNCTUATION.sub("", header.casefold())


_FIELDS = {fold_header(name): field for field, names in HEADERS.items() for name in names}


class FieldNames(Protocol):
    """What an action takes, as far as it is needed here: a ``Mapper`` of the target."""

    @property
    def by_name(self) -> Mapping[str, tuple[str, ...]]: ...

    @property
    def types(self) -> Mapping[tuple[str, ...], Collection[str]]: ...

    def field_of(self, column: str) -> tuple[str, ...] | None: ...

    def is_ignored(self, column: str) -> bool: ...


@dataclass(frozen=True)
class Recognised:
    """Which column goes to which field.

    Attributes:
        mapping: field -> column, as the target's option of that name.
        fields: field -> column, with those that the target finds by itself.
        seconds: (column, field, the column that has the field) where two columns mean one field.
        names: columns that may hold full names, where nothing gives a first or last name.
    """

    mapping: Mapping[str, str]
    fields: Mapping[str, str]
    seconds: Sequence[tuple[str, str, str]] = ()
    names: Sequence[str] = ()


def recognise(
    columns: Sequence[str], known: FieldNames, chosen: Mapping[str, str], *, by_sight: bool = True
) -> Recognised:
    """Find which columns hold which fields.

    A column that carries a field's own name goes first, then the columns in their order.

    Args:
        columns: the headers.
        known: the fields of the action.
        chosen: field -> column, as the user says; these are not looked at again.
        by_sight: whether ``HEADERS`` counts; without it only the fields' own names do, as the target finds them.
    """
    mapping, fields = dict(chosen), dict(chosen)
    open_columns = [column for column in columns if column not in chosen.values() and not known.is_ignored(column)]
    exact = [column for column in open_columns if column in known.by_name]
    exact_fields = [".".join(known.by_name[column]) for column in exact]
    seconds: list[tuple[str, str, str]] = []
    for column, field in zip(exact, exact_fields, strict=True):
        if field in chosen:
            seconds.append((column, field, chosen[field]))
        elif fields.setdefault(field, column) == column and exact_fields.count(field) == 1 and by_sight:
            mapping[field] = column  # several of one field are put together by the target
    for column in open_columns:
        seen = _field_by_sight(column, known) if by_sight else _field_by_spelling(column, known)
        if column in exact or seen is None:
            continue
        if not by_sight:
            fields.setdefault(seen, column)
        elif seen in fields:
            seconds.append((column, seen, fields[seen]))
        else:
            mapping[seen] = fields[seen] = column
    has_name = {"first_name", "last_name"} & fields.keys()
    return Recognised(mapping, fields, seconds, [] if has_name else list(_full_names(columns)))


def _field_by_sight(column: str, known: FieldNames) -> str | None:
    field = _FIELDS.get(fold_header(column))
    if field is not None and tuple(field.split(".")) in known.types:
        return field
    return _field_by_spelling(column, known)


def _field_by_spelling(column: str, known: FieldNames) -> str | None:
    """The field that the target finds by itself: a name of it in another spelling."""
    path = known.field_of(column)
    return ".".join(path) if path is not None and "object" not in known.types[path] else None


def _full_names(columns: Iterable[str]) -> Iterable[str]:
    return (column for column in columns if fold_header(column) in ("name", "fullname", "contactname", "customername"))


def split_name(name: str) -> tuple[str | None, str | None]:
    """First and last name of a full one: at the comma, or behind the first word.

    >>> split_name("Ada van Moss"), split_name("Moss, Ada"), split_name("Ada")
    (('Ada', 'van Moss'), ('Ada', 'Moss'), ('Ada', None))
    """
    last, comma, first = name.partition(",")
    if not comma:
        first, _, last = name.strip().partition(" ")
    return first.strip() or None, last.strip() or None
