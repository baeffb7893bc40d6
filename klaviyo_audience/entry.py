"""The entry of the target's setting ``streams`` that an audience means. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from klaviyo_audience.guesses import Guess, TypeOption
from klaviyo_audience.headers import Recognised, fold_header, recognise
from klaviyo_client.errors import SettingsError
from target_klaviyo.actions import ACTIONS
from target_klaviyo.intake import contracts
from target_klaviyo.intake.mapping_compiler import compile_mapper

TYPES = ("string", "number", "integer", "boolean", "date", "datetime", "list")
_WITH_FORMAT = ("number", "date", "datetime")
_CUSTOM = "properties"
MEMBERS = "list_members"


@dataclass(frozen=True)
class Wishes:
    """What is to be done with the rows, as the options say.

    Attributes:
        action: the target's action.
        options: further options of the stream, by name.
        chosen: field -> column.
        types: column -> type.
        split: the column with full names.
        by_sight: whether headers are recognised.
    """

    action: str
    options: Mapping[str, Any] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, TypeOption] = field(default_factory=dict)
    split: str | None = None
    by_sight: bool = True


@dataclass(frozen=True)
class Columns:
    """What each column is.

    Attributes:
        recognised: those that are fields.
        properties: those that become custom properties.
        left_out: those that are not sent.
    """

    recognised: Recognised
    properties: Sequence[str]
    left_out: Sequence[str] = ()

    @classmethod
    def none(cls) -> Columns:
        """Before anything is known of them."""
        return cls(Recognised({}, {}), ())


def sort_columns(columns: Sequence[str], wishes: Wishes) -> Columns:
    """Say of each column whether it is a field or a custom property.

    Raises:
        SettingsError: an option names a column that there is not, or a field.
    """
    known = compile_mapper(contracts.load(wishes.action).schema, {}, keeps_unknown=True)
    chosen = {field: find_column(column, columns, "--map") for field, column in wishes.chosen.items()}
    there = [column for column in columns if column != wishes.split]
    recognised = recognise(there, known, chosen, by_sight=wishes.by_sight)
    taken = {*recognised.fields.values(), *recognised.mapping.values()}
    takes_properties = (_CUSTOM,) in known.types and wishes.options.get("unknown_columns") != "drop"
    others = [column for column in there if column not in taken]
    properties = [column for column in others if takes_properties and not known.is_ignored(column)]
    return Columns(recognised, properties, [column for column in others if column not in properties])


def find_column(name: str, columns: Sequence[str], option: str) -> str:
    """The column of a name that somebody typed, in whatever case and punctuation.

    Raises:
        SettingsError: there is none.
    """
    if name in columns:
        return name
    alike = [column for column in columns if fold_header(column) == fold_header(name)]
    if len(alike) == 1:
        return alike[0]
    close = difflib.get_close_matches(name, columns, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(columns)}"
    raise SettingsError(f"{option}: there is no column {name}: {hint}")


def build_entry(
    columns: Columns, wishes: Wishes, guesses: Mapping[str, Guess], came: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    """The stream's entry: action, options, mapping and types.

    Args:
        columns: what each column is.
        wishes: what is to be done.
        guesses: column -> what its values are.
        came: column -> the JSON types of its values; numbers and booleans need no other type than their own.
    """
    said = {find_column(name, list(came), "--types"): option for name, option in wishes.types.items() if came}
    types: dict[str, TypeOption] = {
        column: guesses[column].kind.option
        for column in columns.properties
        if column in guesses and guesses[column].kind.type != "string" and "string" in came[column]
    }
    types |= said
    mapping = columns.recognised.mapping
    return {
        "action": wishes.action,
        **{name: value for name, value in wishes.options.items() if value is not None},
        **({"mapping": dict(mapping)} if mapping else {}),
        **({"types": types} if types else {}),
    }


# What somebody types --------------------------------------------------------------------------------------------------


def parse_types(texts: Iterable[str]) -> dict[str, TypeOption]:
    """Types as ``--types`` takes them: ``Last order=date:%d.%m.%Y``.

    Raises:
        SettingsError: one is none.
    """
    return dict(map(_parse_type, texts))


def _parse_type(text: str) -> tuple[str, TypeOption]:
    column, _, wanted = text.partition("=")
    name, _, written = wanted.partition(":")
    name = name.strip().lower()
    if not column.strip() or name not in TYPES or (written and name not in _WITH_FORMAT):
        raise SettingsError(
            f"--types {text}: it must be COLUMN=TYPE, with a TYPE of {', '.join(TYPES)}; a date and a number may have "
            "a format: 'Last order=date:%d.%m.%Y', 'Spent=number:1.234,50'"
        )
    return column.strip(), {"type": name, "format": written} if written else name


def parse_pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """Pairs such as ``phone_number=Mobile``.

    Raises:
        SettingsError: one is none.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise SettingsError(f"{option} {text}: it must be NAME=VALUE")
        pairs[name.strip()] = value.strip()
    return pairs


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Options of the action, such as ``channels=email`` or ``historical_import=true``: JSON, or a text."""
    return {name: _parse_value(value) for name, value in parse_pairs(texts, "--option").items()}


def _parse_value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text


def check_wishes(wishes: Wishes, *, mirror: bool) -> None:
    """Refuse what cannot be meant.

    Raises:
        SettingsError: the action is unknown, or misses its list.
    """
    if wishes.action not in ACTIONS:
        close = difflib.get_close_matches(wishes.action, ACTIONS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(ACTIONS)}"
        raise SettingsError(f"--action {wishes.action} is unknown: {hint}")
    if mirror and wishes.action != MEMBERS:
        raise SettingsError(f"--mirror makes a list equal to the rows, which is {MEMBERS}, not {wishes.action}")
    if wishes.action == MEMBERS and not wishes.options.get("list"):
        raise SettingsError("--list NAME is missing: the list that the people go to")
