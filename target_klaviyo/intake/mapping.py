"""A record's columns to an action's fields, by a mapping and by name. Pure.

The contract says what the fields are. Its ``x-`` keys say by which other column names a field is known (``x-names``),
which field no column name reaches (``x-by-name: false``), which is a list of words (``x-words``), and which columns
are never sent (``x-ignored-columns``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from fnmatch import translate
from typing import Any

from klaviyo_client.api.protocol import decode_json
from klaviyo_client.plugin.booleans import BOOLEAN_WORDS, parse_boolean
from target_klaviyo.model.records import Record, RejectedRecord

Schema = Mapping[str, Any]
Target = tuple[str, ...]
_OPEN = "properties"
_ODD: Target = ()
# Also as databases such as Snowflake write the names of columns.
_OF_SINGER = ("_sdc_*", "_SDC_*")
# Columns that are remembered; a record may bring new ones.
_MOST_COLUMNS = 4096


@dataclass(frozen=True)
class Source:
    """Where a mapped value comes from: a column, a path into one, or a constant."""

    path: str | None = None
    constant: Any = None

    @property
    def column(self) -> str:
        return (self.path or "").partition(".")[0]

    def of(self, record: Record) -> Any:
        if self.path is None:
            return self.constant
        if self.path in record:  # a column name may hold dots
            return record[self.path]
        value: Any = record
        for step in self.path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        return value


@dataclass(frozen=True)
class Mapper:
    """Turns records into an action's fields.

    Attributes:
        mapped: field -> source, as the ``mapping`` option says.
        named: column -> field, for columns that carry a field's name.
        ignored: columns that are never sent.
        keeps_unknown: whether unknown columns become custom properties.
        keeps_nulls: whether a null is a value: that of a field which is to be cleared.
        kinds: field -> its JSON types.
        words: fields that are lists of words (``x-words``): in one text there may be several.
    """

    mapped: Mapping[Target, Source]
    named: Mapping[str, Target]
    ignored: re.Pattern[str]
    keeps_unknown: bool
    keeps_nulls: bool
    kinds: Mapping[Target, frozenset[str]]
    words: frozenset[Target] = frozenset()
    _places: dict[str, Target | None] = field(default_factory=dict, compare=False, repr=False)

    def fields(self, record: Record) -> dict[str, Any]:
        """The record's fields, nested as in the contract. Nulls are left out, unless they are kept.

        Raises:
            RejectedRecord: a value has no JSON form.
        """
        found: dict[str, Any] = {}
        for target, source in self.mapped.items():
            self._put(found, target, source.of(record))
        places = self._places
        for column, value in record.items():
            if column not in places:
                if len(places) > _MOST_COLUMNS:
                    places.clear()
                places[column] = self._place(column)
            place = places[column]
            if place is None:
                continue
            # Most values are texts or numbers and stay as they are: nothing has to be asked about them again.
            if place == _ODD or not (type(value) is str or (len(place) > 1 and _is_plain_number(value))):
                self._put_column(found, column, value)
            elif len(place) == 1:
                held = found.get(place[0], "")
                if type(held) is str and not held.strip():  # another column may name it, too
                    found[place[0]] = value
            else:
                found.setdefault(place[0], {}).setdefault(place[1], value)
        return found

    def _place(self, column: str) -> Target | None:
        """Where a text in this column goes; None where it goes nowhere, _ODD where that takes a closer look."""
        target = self.named.get(column)
        sources = self.mapped.values()
        if self._is_ignored(column) or target in self.mapped or any(column in (s.path, s.column) for s in sources):
            return None
        if target is None:
            return (_OPEN, column) if self.keeps_unknown and _OPEN not in {name for name, *_ in self.mapped} else _ODD
        return target if len(target) == 1 and self.kinds[target] == {"string"} else _ODD

    def _put_column(self, found: dict[str, Any], column: str, value: Any) -> None:
        target = self.named.get(column)
        if value is None and not self.keeps_nulls:
            return
        if isinstance(value, Mapping) and target == (_OPEN,):
            for name, entry in value.items():
                self._put_property(found, name, entry)
        elif target is not None and (isinstance(value, Mapping) or "object" not in self.kinds[target]):
            self._put(found, target, value)
        elif self.keeps_unknown and not (value is None and target is not None):
            self._put(found, (_OPEN, column), value)

    def _put_property(self, found: dict[str, Any], name: str, value: Any) -> None:
        # Legacy Identify calls put `$email` and its like among the custom properties.
        legacy = self.named.get(name) if name.startswith("$") else None
        if legacy not in self.mapped and not (name.startswith("$") and self._is_ignored(name)):
            self._put(found, legacy or (_OPEN, name), value)

    def _put(self, found: dict[str, Any], target: Target, value: Any) -> None:
        """Set a field unless it is set already: what is mapped goes first and stays."""
        if value is None and not self.keeps_nulls:
            return
        kinds = self.kinds.get(target, frozenset())
        if "object" in kinds and isinstance(value, Mapping):
            for name, entry in value.items():
                if (*target, name) in self.kinds or target[0] != "location":
                    self._put(found, (*target, name), entry)
            return
        holder = found
        for step in target[:-1]:
            holder = holder.setdefault(step, {})
        typed = self._typed(plain(value, target), target, kinds)
        if isinstance(holder, dict) and (typed is not None or value is None):
            name = target[-1]
            holder[name] = self._joined(holder[name], typed, target, kinds) if name in holder else typed

    def _joined(self, held: Any, typed: Any, target: Target, kinds: frozenset[str]) -> Any:
        """What two columns of one field come to: the first counts, unless it is blank, and lists are put together.

        Raises:
            RejectedRecord: they disagree on consent.
        """
        if target not in self.kinds:  # a custom property
            return held
        if held == [] or (isinstance(held, str) and not held.strip()):
            return typed
        if (kinds == {"boolean"} or (target in self.words and typed)) and held != typed:
            raise RejectedRecord(
                "invalid_field", f"two columns disagree on {'.'.join(target)}", pointer="/" + "/".join(target)
            )
        if isinstance(held, list) and isinstance(typed, list) and all(isinstance(entry, str) for entry in held + typed):
            return list(dict.fromkeys(held + typed))
        return held

    def _typed(self, value: Any, target: Target, kinds: frozenset[str]) -> Any:
        """The value as the field has it; None where it says nothing."""
        if kinds == {"boolean"}:
            return read_truth(value, ".".join(target))
        if "array" in kinds:
            return listed(value, are_words=target in self.words)
        return _text(value) if kinds == {"string"} else value

    def _is_ignored(self, column: str) -> bool:
        return self.ignored.match(column) is not None


def compiled(
    schema: Schema,
    mapping: Mapping[str, Any],
    *,
    keeps_unknown: bool,
    keeps_nulls: bool = False,
    ignored: Iterable[str] = (),
) -> Mapper:
    """A mapper for a contract.

    Args:
        schema: the contract.
        mapping: the option of that name: field -> path, or ``{"value": constant}``.
        keeps_unknown: whether unknown columns become custom properties.
        keeps_nulls: whether a null is a value.
        ignored: columns that are never sent, beside those of the contract.

    Raises:
        ValueError: naming the entry of the mapping that cannot be.
    """
    kinds = _kinds(schema)
    exact = [rf"(?:{re.escape(name)})\Z" for name in ignored]
    return Mapper(
        mapped={_target(name, kinds): _source(name, entry) for name, entry in _flat(mapping, kinds)},
        named=_names(schema),
        ignored=re.compile("|".join((*map(translate, (*_OF_SINGER, *schema.get("x-ignored-columns", ()))), *exact))),
        keeps_unknown=keeps_unknown,
        keeps_nulls=keeps_nulls,
        kinds=kinds,
        words=frozenset((name,) for name, entry in schema["properties"].items() if entry.get("x-words")),
    )


def _flat(mapping: Mapping[str, Any], kinds: Mapping[Target, frozenset[str]]) -> Iterator[tuple[str, Any]]:
    """The mapping with dotted names only: Meltano makes ``properties.x`` of a YAML file an object in an object."""
    for name, entry in mapping.items():
        nested = isinstance(entry, Mapping) and "object" in kinds.get((name,), ())
        if nested and not (len(entry) == 1 and isinstance(entry.get("value"), Mapping)):
            yield from ((f"{name}.{below}", source) for below, source in entry.items())
        else:
            yield name, entry


def plain(value: Any, place: Target = ()) -> Any:
    """The value in JSON's types; a stream map can make others.

    Raises:
        RejectedRecord: it is not a finite number.
    """
    match value:
        case None | str() | bool() | int():
            return value
        case float() | Decimal():
            if not math.isfinite(value):
                raise RejectedRecord(
                    "invalid_field", f"{'.'.join(place)} is not a finite number", pointer="/" + "/".join(place)
                )
            return value if isinstance(value, float) else _number(value)
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping():
            return {str(name): plain(entry, place) for name, entry in value.items()}
        case list() | tuple() | set():
            return [plain(entry, place) for entry in value]
        case _:
            return str(value)


def _is_plain_number(value: Any) -> bool:
    kind = type(value)
    return kind is int or kind is bool or (kind is float and math.isfinite(value))


def _number(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() else float(value)


def _text(value: Any) -> Any:
    """Text where the field is text and the column is a number, as ids, phones and postal codes often are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def read_truth(value: Any, field: str) -> bool | None:
    """What a value says of a field that is yes or no; None where it says nothing.

    Raises:
        RejectedRecord: it is no word for either.
    """
    try:
        return parse_boolean(value)
    except ValueError as error:
        pointer = "/" + field.replace(".", "/")
        raise RejectedRecord("invalid_field", f"{field} must be one of {BOOLEAN_WORDS}", pointer=pointer) from error


def listed(value: Any, *, are_words: bool) -> Any:
    """The entries of a list, each once: CSV files, forms and old plugins write one text for all of them.

    A text is the JSON of a list, or words with commas between them, or, where entries are no words, one entry: the
    name of a list may hold a comma. Blank entries are none. Whatever is no list and no text stays as it is.
    """
    if isinstance(value, str):
        parsed = _parsed(value)
        found = [part for part in _BETWEEN.split(value) if part] if are_words else [value]
        value = found if parsed is None else parsed
    if not isinstance(value, list):
        return value
    entries = [entry.strip() if isinstance(entry, str) else entry for entry in value]
    if are_words:
        entries = [entry.casefold() if isinstance(entry, str) else entry for entry in entries]
    # Two equal lines of an order are two. Forms send an empty field where nothing was chosen.
    only_texts = all(isinstance(entry, str) for entry in entries)
    return list(dict.fromkeys(filter(None, entries))) if only_texts else entries


# As people write them: with commas, semicolons, bars or spaces.
_BETWEEN = re.compile(r"[\s,;|]+")


def _parsed(text: str) -> list[Any] | None:
    """The list that a text is the JSON of."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found = decode_json(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _kinds(schema: Schema) -> dict[Target, frozenset[str]]:
    found: dict[Target, frozenset[str]] = {}

    def visit(properties: Schema, above: Target) -> None:
        for name, entry in properties.items():
            kind = entry["type"]
            found[*above, name] = frozenset([kind] if isinstance(kind, str) else kind)
            visit(entry.get("properties", {}), (*above, name))

    visit(schema["properties"], ())
    return found


def _names(schema: Schema) -> dict[str, Target]:
    found: dict[str, Target] = {}

    def visit(properties: Schema, above: Target) -> None:
        for name, entry in properties.items():
            if entry.get("x-by-name", True):
                for column in ("_".join((*above, name)), *entry.get("x-names", ())):
                    found[column] = (*above, name)
                visit(entry.get("properties", {}), (*above, name))

    visit(schema["properties"], ())
    return found


def _target(name: str, kinds: Mapping[Target, frozenset[str]]) -> Target:
    head, _, rest = name.partition(".")
    target = (head, rest) if "." in name else (head,)
    closed = any(len(known) > 1 and known[0] == head for known in kinds)
    if target in kinds or (rest and not closed and "object" in kinds.get((head,), ())):
        return target
    if closed:
        choice = ", ".join(sorted(".".join(known) for known in kinds if known[0] == head and len(known) > 1))
    else:
        choice = ", ".join(".".join(known) for known in kinds if len(known) == 1)
    raise ValueError(f"mapping.{name} is no field; there are {choice}, and properties.<any name>")


def _source(name: str, entry: Any) -> Source:
    match entry:
        case str() if entry:
            return Source(path=entry)
        case {"value": value} if len(entry) == 1:
            return Source(constant=value)
        case _:
            raise ValueError(f'mapping.{name} must be a path into the record, or {{"value": a constant}}')


def unknown_columns(mapper: Mapper, has: Callable[[str], bool]) -> list[str]:
    """Paths of the mapping whose column the stream does not have."""
    sources = mapper.mapped.values()
    return [s.path for s in sources if s.path is not None and not has(s.path) and not has(s.column)]
