"""The compiler of mappers: it makes one of a contract and the ``mapping`` option of a stream. Pure.

The contract says what the fields are. Its ``x-`` keys say by which other column names a field is known (``x-names``),
which field no column name reaches (``x-by-name: false``), which is of words, a list or one (``x-words``), in which a
blank is no null (``x-blank``), and which columns are never sent (``x-ignored-columns``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import translate
from typing import Any

from target_klaviyo.intake.field_values import FieldPath
from target_klaviyo.intake.mapping import Mapper
from target_klaviyo.intake.value_sources import ValueSource
from target_klaviyo.model.names import KnownNames, fold_name

Schema = Mapping[str, Any]
# Names of fields that tell one person, event, order, list or code from others.
_ID = re.compile(r"(?:^|_)id$|^_kx$|^list_name$|^lists$|^unique_code$")
_SINGER_COLUMNS = ("_sdc_*",)


def compile_mapper(
    schema: Schema,
    mapping: Mapping[str, Any],
    *,
    keeps_unknown: bool,
    keeps_nulls: bool = False,
    ignored: Iterable[str] = (),
) -> Mapper:
    """Make the mapper for a contract.

    Args:
        schema: the contract.
        mapping: the option of that name: field -> path, or ``{"value": constant}``.
        keeps_unknown: whether unknown columns become custom properties.
        keeps_nulls: whether a null is a value.
        ignored: columns that are never sent, beside those of the contract.

    Raises:
        ValueError: naming the entry of the mapping that cannot be.
    """
    types = _field_types(schema)
    by_name = _fields_by_column(schema)
    never_sent = (*_SINGER_COLUMNS, *schema.get("x-ignored-columns", ()))
    # Also as databases such as Snowflake write the names of columns.
    patterns = map(translate, (*never_sent, *map(str.upper, never_sent)))
    exact = (rf"(?:{re.escape(name)})\Z" for name in ignored)
    return Mapper(
        mapped={_parse_field(name, types): _parse_source(name, entry) for name, entry in _flatten(mapping, types)},
        by_name=by_name,
        by_spelling={fold_name(name): by_name[name] for name in reversed(by_name)},  # the first name of a spelling
        ignored=re.compile("|".join((*patterns, *exact))),
        keeps_unknown=keeps_unknown,
        keeps_nulls=keeps_nulls,
        types=types,
        word_lists=_fields_with(schema, lambda entry: entry.get("x-words", False)),
        text_lists=_fields_with(schema, lambda entry: entry.get("items", {}).get("type") == "string"),
        with_blanks=_fields_with(schema, lambda entry: entry.get("x-blank", False)),
        ids=frozenset(path for path in types if len(path) == 1 and _ID.search(path[0])),
        legacy=KnownNames({name: ".".join(path) for name, path in by_name.items() if name.startswith("$")}),
        members={path: KnownNames(names) for path, names in _members(types).items()},
    )


def _flatten(mapping: Mapping[str, Any], types: Mapping[FieldPath, frozenset[str]]) -> Iterator[tuple[str, Any]]:
    """The mapping with dotted names only: Meltano makes ``properties.x`` of a YAML file an object in an object."""
    for name, entry in mapping.items():
        is_nested = isinstance(entry, Mapping) and "object" in types.get((name,), ())
        if is_nested and not (len(entry) == 1 and isinstance(entry.get("value"), Mapping)):
            yield from ((f"{name}.{below}", source) for below, source in entry.items())
        else:
            yield name, entry


def _field_types(schema: Schema) -> dict[FieldPath, frozenset[str]]:
    types: dict[FieldPath, frozenset[str]] = {}

    def visit(properties: Schema, above: FieldPath) -> None:
        for name, entry in properties.items():
            kind = entry["type"]
            types[*above, name] = frozenset([kind] if isinstance(kind, str) else kind)
            visit(entry.get("properties", {}), (*above, name))

    visit(schema["properties"], ())
    return types


def _members(types: Mapping[FieldPath, frozenset[str]]) -> dict[FieldPath, list[str]]:
    members: dict[FieldPath, list[str]] = {}
    for path in types:
        if len(path) > 1:
            members.setdefault(path[:-1], []).append(path[-1])
    return members


def _fields_by_column(schema: Schema) -> dict[str, FieldPath]:
    fields: dict[str, FieldPath] = {}

    def visit(properties: Schema, above: FieldPath) -> None:
        for name, entry in properties.items():
            if entry.get("x-by-name", True):
                for column in ("_".join((*above, name)), *entry.get("x-names", ())):
                    fields[column] = (*above, name)
                visit(entry.get("properties", {}), (*above, name))

    visit(schema["properties"], ())
    return fields


def _fields_with(schema: Schema, wanted: Callable[[Schema], bool]) -> frozenset[FieldPath]:
    return frozenset((name,) for name, entry in schema["properties"].items() if wanted(entry))


def _parse_field(name: str, types: Mapping[FieldPath, frozenset[str]]) -> FieldPath:
    head, _, rest = name.partition(".")
    path = (head, rest) if "." in name else (head,)
    has_fixed_parts = any(len(known) > 1 and known[0] == head for known in types)
    if path in types or (rest and not has_fixed_parts and "object" in types.get((head,), ())):
        return path
    if has_fixed_parts:
        choice = ", ".join(sorted(".".join(known) for known in types if known[0] == head and len(known) > 1))
    else:
        choice = ", ".join(".".join(known) for known in types if len(known) == 1)
    raise ValueError(f"mapping.{name} is no field; there are {choice}, and properties.<any name>")


def _parse_source(name: str, entry: Any) -> ValueSource:
    match entry:
        case str() if entry:
            return ValueSource(path=entry)
        case {"value": value} if len(entry) == 1:
            return ValueSource(constant=value)
        case _:
            raise ValueError(f'mapping.{name} must be a path into the record, or {{"value": a constant}}')
