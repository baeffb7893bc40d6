"""The option ``types``: columns and properties are read by the types that it states. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from target_klaviyo.intake.bad_values import LeftOut, note_of
from target_klaviyo.intake.field_values import FieldPath
from target_klaviyo.intake.mapping import CUSTOM, Mapper
from target_klaviyo.model.names import KnownNames, fold_name
from target_klaviyo.model.pointers import to_pointer, without
from target_klaviyo.model.records import Note, Record, RejectedRecord
from target_klaviyo.model.value_types import NotOfType, ValueType, parse_type

# Where fields hold properties under names of anybody's: the property's type is that of its name.
_HOLDERS: tuple[FieldPath, ...] = ((CUSTOM,), ("profile", CUSTOM), ("append",), ("unappend",))
# Fields, and columns, that hold whatever they like.
_OPEN = frozenset((*_HOLDERS, ("profile",), ("event",)))
OBJECTS = KnownNames(("customer_properties", "properties", "extra", "profile"))
# A record may bring new columns; so many are remembered.
_MAX_NAMES = 4096


@dataclass(frozen=True)
class ColumnTypes:
    """The types of columns, and of properties, by their names.

    Attributes:
        types: name -> type. A name counts as it is, and then in another spelling, as ``fold_name`` has it.
    """

    types: Mapping[str, ValueType]
    _found: dict[str, ValueType | None] = field(default_factory=dict, compare=False, repr=False)

    def __bool__(self) -> bool:
        return bool(self.types)

    def find(self, name: str) -> ValueType | None:
        """The type of a column or a property, None where none is stated."""
        if name in self._found:
            return self._found[name]
        if len(self._found) > _MAX_NAMES:
            self._found.clear()
        by_spelling = {fold_name(stated): kind for stated, kind in reversed(list(self.types.items()))}
        return self._found.setdefault(name, self.types.get(name) or by_spelling.get(fold_name(name)))

    def read_columns(
        self, record: Record, mapper: Mapper, can_do_without: Callable[[str], bool]
    ) -> tuple[Record, list[Note]]:
        """(the record with its columns in their types, notes on those that do not fit and are not in it).

        Raises:
            RejectedRecord: a column does not fit, and the record cannot do without.
        """
        columns = dict(record)
        notes: list[Note] = []
        for name in record:
            kind = self.find(name)
            if kind is None or not mapper.may_send(name):
                continue
            try:
                columns[name] = kind.read(record[name])
            except NotOfType as error:
                fault = RejectedRecord("invalid_type", f"{name} {error}", pointer=to_pointer((name,)))
                if not can_do_without(name):
                    raise fault from error
                del columns[name]
                notes.append(note_of(fault))
        return columns, notes

    def read_properties(
        self, fields: dict[str, Any], left_out: LeftOut, mapper: Mapper, columns: Record
    ) -> dict[str, Any]:
        """The fields with their custom properties in their types, but for those that are columns, and have them.

        Args:
            fields: as the mapping made them.
            left_out: is told of properties that do not fit.
            mapper: the mapping.
            columns: the record, as ``read_columns`` gave it.

        Raises:
            RejectedRecord: a property does not fit, and is to reject the record.
        """
        for path in _HOLDERS:
            holder: Any = fields
            for step in path:
                holder = holder.get(step) if isinstance(holder, dict) else None
            if isinstance(holder, dict) and holder:
                self._read_members(holder, path, left_out, mapper, columns)
                if len(holder) == 0:
                    fields = without(fields, path) or {}
        return fields

    def _read_members(
        self, holder: dict[str, Any], path: FieldPath, left_out: LeftOut, mapper: Mapper, columns: Record
    ) -> None:
        for name in list(holder):
            kind = self.find(name)
            if kind is None or self._is_read(holder[name], (*path, name), mapper, columns):
                continue
            try:
                value = kind.read(holder[name])
            except NotOfType as error:
                del holder[name]
                left_out.add(RejectedRecord("invalid_type", f"{name} {error}", pointer=to_pointer((*path, name))))
                continue
            if value is None and not mapper.keeps_nulls:
                del holder[name]
            else:
                holder[name] = value

    def _is_read(self, value: Any, path: FieldPath, mapper: Mapper, columns: Record) -> bool:
        """Whether a property is a column that has its type already."""
        source = mapper.mapped.get(path)
        name = path[-1] if source is None else source.path
        return name is not None and name in columns and self.find(name) is not None and columns[name] == value


def parse_types(entry: Any) -> ColumnTypes:
    """The option as the settings have it.

    Raises:
        ValueError: naming what is wrong.
    """
    if not isinstance(entry or {}, Mapping):
        raise ValueError(  # noqa: TRY004 - of a setting
            'types must be an object: column -> type, such as {"Last order": "date"}'
        )
    types: dict[str, ValueType] = {}
    for name, kind in _flatten(entry or {}):
        try:
            types[name] = parse_type(kind)
        except ValueError as error:
            raise ValueError(f"types.{name} {error}") from error
    return ColumnTypes(types)


def _flatten(entry: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The types with dotted names only: Meltano makes `a.b` of a YAML file an object in an object."""
    for name, kind in entry.items():
        if isinstance(kind, Mapping) and not isinstance(kind.get("type"), str):
            yield from _flatten(kind, f"{above}{name}.")
        else:
            yield f"{above}{name}", kind


def missing_columns(types: ColumnTypes, columns: Collection[str], mapper: Mapper) -> list[str]:
    """The names of types of which a stream has neither a column nor a property.

    Nothing is known where it has a column that holds properties under names of their own.
    """
    fields = [*mapper.mapped, *(field for column in columns for field in mapper.fields_of(column))]
    if any(path in _OPEN for path in fields) or any(OBJECTS.find(name.partition("[")[0]) for name in columns):
        return []
    known = {fold_name(name) for name in (*columns, *(path[-1] for path in mapper.mapped))}
    known |= {fold_name(source.path) for source in mapper.mapped.values() if source.path is not None}
    return [name for name in types.types if fold_name(name) not in known]
