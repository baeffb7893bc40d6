"""The mapper: a record's columns become an action's fields, by the ``mapping`` option and by name. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

from target_klaviyo.intake.field_values import (
    FieldPath,
    is_finite_number,
    parse_boolean_field,
    parse_list,
    to_json,
    to_number,
)
from target_klaviyo.intake.value_sources import ValueSource
from target_klaviyo.model.names import KnownNames, fold_name
from target_klaviyo.model.pointers import to_pointer
from target_klaviyo.model.records import Record, RejectedRecord
from target_klaviyo.model.texts import is_blank, parse_id, parse_object, to_text

# The field that holds custom properties.
CUSTOM = "properties"
_NUMBERS = {"number", "integer"}
# Is told of a value that has no JSON form, or none of its field's type; raises where the record cannot do without.
Report: TypeAlias = Callable[[RejectedRecord], None]
# A record may bring new columns; so many are remembered.
_MAX_COLUMNS = 4096


class _Way(Enum):
    """What is done with a column, where its values are not simply put into one field."""

    IGNORED = "never sent, or read by the mapping"
    SLOW = "every value is looked at"
    OBJECT = "an object of fields, which go behind those that have columns of their own"


@dataclass(frozen=True)
class _Spelling:
    """A column that is the name of a field in another spelling: it counts where nothing else has that field."""

    path: FieldPath


_ColumnWay: TypeAlias = FieldPath | _Way | _Spelling
_IGNORED: Final = _Way.IGNORED
_SLOW: Final = _Way.SLOW
_OBJECT: Final = _Way.OBJECT


def _refuse(fault: RejectedRecord) -> None:
    raise fault


@dataclass(frozen=True)
class Mapper:
    """Turns records into an action's fields.

    Attributes:
        mapped: field -> source, as the ``mapping`` option says.
        by_name: column -> field, for columns that carry a field's name.
        by_spelling: the same, with names as ``fold_name`` has them.
        ignored: columns that are never sent.
        keeps_unknown: whether unknown columns become custom properties.
        keeps_nulls: whether a null is a value: that of a field which is to be cleared.
        types: field -> its JSON types.
        word_lists: fields of words (``x-words``), on which no two columns may disagree; a text may hold several words.
        text_lists: fields that are lists of texts.
        with_blanks: fields where a blank is no null (``x-blank``).
        ids: fields that tell one person, event, order or list from others.
        members: field -> the names of what it is made of, for objects of fields.
        legacy: names of fields among custom properties: those with a ``$``.
    """

    mapped: Mapping[FieldPath, ValueSource]
    by_name: Mapping[str, FieldPath]
    by_spelling: Mapping[str, FieldPath]
    ignored: re.Pattern[str]
    keeps_unknown: bool
    keeps_nulls: bool
    types: Mapping[FieldPath, frozenset[str]]
    word_lists: frozenset[FieldPath] = frozenset()
    text_lists: frozenset[FieldPath] = frozenset()
    with_blanks: frozenset[FieldPath] = frozenset()
    ids: frozenset[FieldPath] = frozenset()
    members: Mapping[FieldPath, KnownNames] = field(default_factory=dict)
    legacy: KnownNames = field(default_factory=lambda: KnownNames(()))
    _ways: dict[str, _ColumnWay] = field(default_factory=dict, compare=False, repr=False)

    def fields(self, record: Record, report: Report = _refuse) -> dict[str, Any]:
        """The record's fields, nested as in the contract. Nulls are left out, unless they are kept.

        Raises:
            RejectedRecord: a value has no JSON form, or none of its field's type, and ``report`` raises it.
        """
        fields: dict[str, Any] = {}
        for path, source in self.mapped.items():
            self._put(fields, path, source.read(record), report)
        behind: list[tuple[str, Any, _ColumnWay]] = []
        for column, value in record.items():
            way = self._ways.get(column) or self._remember_way(column)
            # Most values are texts or numbers and stay as they are: nothing has to be asked about them again.
            if type(way) is tuple and (type(value) is str or (len(way) > 1 and is_finite_number(value))):
                if len(way) > 1:
                    fields.setdefault(way[0], {}).setdefault(way[1], value)
                elif way[0] not in fields and value and not value.isspace() and not self._is_odd_id(way, value):
                    fields[way[0]] = value
                else:  # another column may name it, too
                    self._put(fields, way, value, report)
            elif way is _SLOW or type(way) is tuple:
                self._put_column(fields, column, value, report)
            elif way is not _IGNORED:
                behind.append((column, value, way))
        if behind:
            self._put_behind(fields, behind, report)
        return fields

    def coerce(self, fields: Record, report: Report = _refuse) -> dict[str, Any]:
        """Fields that another action made, in the types of the contract.

        Raises:
            RejectedRecord: a value has no JSON form, or none of its field's type, and ``report`` raises it.
        """
        coerced: dict[str, Any] = {}
        for name, value in fields.items():
            self._put(coerced, (name,), value, report)
        return coerced

    def field_of(self, column: str) -> FieldPath | None:
        """The field whose name a column carries, in whatever spelling."""
        return self.by_name.get(column) or self.by_spelling.get(fold_name(column))

    def fields_of(self, column: str) -> list[FieldPath]:
        """The fields that a column is sent in; none where it is a custom property, or never sent."""
        mapped = [path for path, source in self.mapped.items() if column in (source.path, source.column)]
        named = self.field_of(column.partition("[")[0])  # forms write members of objects in brackets
        return [*mapped, *filter(None, [named])]

    def may_send(self, column: str) -> bool:
        """Whether a column is sent, in a field or as a custom property."""
        return bool(self.fields_of(column)) or (self.keeps_unknown and not self.is_ignored(column))

    def _remember_way(self, column: str) -> _ColumnWay:
        if len(self._ways) > _MAX_COLUMNS:
            self._ways.clear()
        return self._ways.setdefault(column, self._way_of(column))

    def _way_of(self, column: str) -> _ColumnWay:
        """The field that a text in this column goes to, where that is all there is to it."""
        path = self.field_of(column)
        sources = self.mapped.values()
        if self.is_ignored(column) or any(column in (s.path, s.column) for s in sources):
            return _IGNORED
        if path in self.mapped:
            if column in self.by_name:
                return _IGNORED
            path = None
        if path is None:
            is_custom = self.keeps_unknown and CUSTOM not in {name for name, *_ in self.mapped}
            return (CUSTOM, column) if is_custom else _SLOW
        if column not in self.by_name:
            return _Spelling(path)
        if "object" in self.types[path]:
            return _OBJECT
        return path if len(path) == 1 and self.types[path] == {"string"} else _SLOW

    def _put_column(self, fields: dict[str, Any], column: str, value: Any, report: Report) -> None:
        path = self.by_name.get(column)
        if path is not None:
            self._put_field(fields, path, value, column, report)
        elif self.keeps_unknown:
            self._put(fields, (CUSTOM, column), value, report)

    def _put_behind(self, fields: dict[str, Any], behind: list[tuple[str, Any, _ColumnWay]], report: Report) -> None:
        """Objects of fields, then other spellings: of what the columns before them have not said."""
        for column, value, way in behind:
            if way is _OBJECT:
                self._put_column(fields, column, value, report)
        spellings = [(column, value, way.path) for column, value, way in behind if isinstance(way, _Spelling)]
        for column, value, path in sorted(spellings, key=lambda spelling: "object" in self.types[spelling[2]]):
            self._put_spelling(fields, column, value, path, report)

    def _put_spelling(self, fields: dict[str, Any], column: str, value: Any, path: FieldPath, report: Report) -> None:
        present: Any = fields
        for step in path:
            present = present.get(step) if isinstance(present, Mapping) else None
        if is_blank(present) or present == [] or "object" in self.types[path]:
            self._put_field(fields, path, value, column, report)
        elif self.keeps_unknown and not is_blank(value):
            self._put(fields, (CUSTOM, column), value, report)

    def _put_field(self, fields: dict[str, Any], path: FieldPath, value: Any, column: str, report: Report) -> None:
        if path != (CUSTOM,):
            self._put(fields, path, value, report)
            return
        try:
            properties = parse_object(value, column) or {}
        except RejectedRecord as fault:
            report(RejectedRecord(fault.code, fault.reason, pointer=to_pointer(path)))
            return
        for name, entry in self.legacy.rename(properties).items():
            self._put_property(fields, name, entry, report)

    def _put_property(self, fields: dict[str, Any], name: str, value: Any, report: Report) -> None:
        # Legacy Identify calls put `$email` and its like among the custom properties.
        legacy = self.by_name.get(name) if name.startswith("$") else None
        if legacy not in self.mapped and not (name.startswith("$") and self.is_ignored(name)):
            self._put(fields, legacy or (CUSTOM, name), value, report)

    def _put(self, fields: dict[str, Any], path: FieldPath, value: Any, report: Report) -> None:
        """Set a field unless it is set already: what is mapped goes first and stays. Blanks of fields are nulls."""
        try:
            self._set(fields, path, value, report)
        except RejectedRecord as fault:
            report(fault)

    def _set(self, fields: dict[str, Any], path: FieldPath, value: Any, report: Report) -> None:
        if path in self.types and path not in self.with_blanks and is_blank(value):
            value = None
        if value is None and not self.keeps_nulls:
            return
        types = self.types.get(path, frozenset())
        if "object" in types:
            members = parse_object(value, ".".join(path)) or {}
            if path in self.members:
                members = self.members[path].rename(members)
            for name, entry in members.items():
                if (*path, name) in self.types or path[0] != "location":
                    self._put(fields, (*path, name), entry, report)
            return
        typed = self._to_type(to_json(value, path), path, types)
        holder = fields
        for step in path[:-1]:
            holder = holder.setdefault(step, {})
        if isinstance(holder, dict) and (typed is not None or value is None):
            name = path[-1]
            holder[name] = self._join(holder[name], typed, path, types) if name in holder else typed

    def _join(self, first: Any, second: Any, path: FieldPath, types: frozenset[str]) -> Any:
        """The value of a field that two columns name: the first counts, unless it is blank, and lists are joined.

        Raises:
            RejectedRecord: they disagree on consent.
        """
        if first == [] or (is_blank(first) and not is_blank(second)):
            return second
        if path not in self.types or second is None:  # a custom property, or nothing
            return first
        if (types == {"boolean"} or (path in self.word_lists and second != [])) and first != second:
            raise RejectedRecord(
                "invalid_field", f"two columns disagree on {'.'.join(path)}", pointer="/" + "/".join(path)
            )
        if path in self.text_lists and isinstance(first, list) and isinstance(second, list):
            return [*first, *(entry for entry in second if entry not in first)]
        return first

    def _to_type(self, value: Any, path: FieldPath, types: frozenset[str]) -> Any:
        """The value in the field's type; None where it says nothing."""
        if types == {"boolean"}:
            return parse_boolean_field(value, ".".join(path))
        if "array" in types:
            entries = parse_list(value, are_words=path in self.word_lists, are_texts=path in self.text_lists)
            if path in self.ids and isinstance(entries, list):
                return [entry for entry in entries if parse_id(entry) is not None]
            return entries
        if types == {"string"}:
            return self._to_id(value, path) if path in self.ids else to_text(value)
        return to_number(value) if types and types <= _NUMBERS else value

    def _is_odd_id(self, path: FieldPath, text: str) -> bool:
        return path in self.ids and parse_id(text) != text

    def _to_id(self, value: Any, path: FieldPath) -> Any:
        found = parse_id(value)
        return "" if found is None and path in self.with_blanks else found

    def is_ignored(self, column: str) -> bool:
        """Whether a column is never sent."""
        return self.ignored.match(column) is not None


def missing_columns(mapper: Mapper, has: Callable[[str], bool]) -> list[str]:
    """Paths of the mapping whose column the stream does not have."""
    sources = mapper.mapped.values()
    return [s.path for s in sources if s.path is not None and not has(s.path) and not has(s.column)]
