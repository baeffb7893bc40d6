"""What is said of the columns: what was recognised, what was guessed, and what must be said. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from klaviyo_audience.entry import Columns
from klaviyo_audience.guesses import Guess, Kind
from klaviyo_client.privacy.redaction import mask

# So much of a value is shown.
_EXAMPLE = 20
_WORDS = {"string": "text", "boolean": "yes/no", "integer": "whole number", "datetime": "date and time"}


def describe_columns(columns: Columns, guesses: Mapping[str, Guess], types: Mapping[str, Any]) -> Iterator[str]:
    """Lines about what each column is taken for.

    Args:
        columns: what each column is.
        guesses: column -> what its values are.
        types: column -> type, as somebody has said.
    """
    recognised = columns.recognised
    if recognised.fields:
        pairs = ", ".join(f"{column} -> {field}" for field, column in recognised.fields.items())
        yield f"Fields: {pairs}"
    if columns.properties:
        described = ", ".join(_describe_property(column, guesses, types) for column in columns.properties)
        yield f"Custom properties: {described}"


def describe_doubts(columns: Columns, guesses: Mapping[str, Guess], types: Mapping[str, Any]) -> Iterator[str]:
    """Lines about what could be meant otherwise, with the option that says so; the arguments as above."""
    recognised = columns.recognised
    if columns.left_out:
        yield f"Never sent: {', '.join(columns.left_out)}"
    for column, field, first in recognised.seconds:
        fate = "is a custom property" if column in columns.properties else "is left out"
        choice = shlex.join(["--map", f"{field}={column}"])
        yield f"{column} {fate}, as {first} is taken for {field}; the other way round: {choice}"
    for column in recognised.names:
        choice = shlex.join(["--split-name", column])
        yield f"{column} is a custom property; to make first and last names of it: {choice}"
    for column, guess in guesses.items():
        if guess.misfits and column not in types:
            choice = shlex.join(["--types", f"{column}=string"])
            example = f" (such as {mask(guess.misfit)[:_EXAMPLE]!r})" if guess.misfit else ""
            count = f"{guess.misfits:,} of {guess.values:,} values" if guess.misfits > 1 else "one value"
            yield f"{column}: {count}{example} left out, as no {_word(guess.kind)}; to keep all as text: {choice}"


def _describe_property(column: str, guesses: Mapping[str, Guess], types: Mapping[str, Any]) -> str:
    said = types.get(column)
    if said is not None:
        kind = Kind(said) if isinstance(said, str) else Kind(said["type"], said["format"])
    else:
        kind = guesses[column].kind if column in guesses else Kind("string")
    return f"{column} ({_word(kind)}{f' as {kind.format}' if kind.format else ''})"


def _word(kind: Kind) -> str:
    return _WORDS.get(kind.type, kind.type)


def describe_question(column: str, guess: Guess) -> Iterator[str]:
    """Lines about the readings of a column, with the option that chooses each."""
    yield f"{column} can be read in {len(guess.readings)} ways: is {guess.sample}"
    options = [f"  --types {shlex.quote(f'{column}={kind.text}')}" for kind, _ in guess.readings]
    width = max(map(len, options))
    for option, (_, value) in zip(options, guess.readings, strict=True):
        yield f"{option:{width}}   {describe_value(value)}?"


def describe_value(value: Any) -> str:
    """A value so that nobody takes it for another.

    >>> describe_value(date(2026, 2, 1)), describe_value(1234.0), describe_value(1.234)
    ('1 February 2026', '1234', '1.234')
    """
    match value:
        case date():
            return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"
        case float() if value.is_integer():
            return str(int(value))
    return str(value)


# What the target says of its settings, and what the same is here.
_OPTIONS = {
    "default_region": "region",
    "mapping": "map",
    "max_removals": "max-removals",
    "on_bad_value": "on-bad-value",
}
_OPTIONS |= {"create_list": "create-list", "list": "list", "types": "types"}
_SETTING = re.compile(rf"\bstreams\..+?\.({'|'.join(_OPTIONS)})\b")
_OTHER_SETTING = re.compile(r"\bstreams\.[^\s.]+\.(\w+)")
_OPTION_OF_STREAM = re.compile(rf"\bthe option ({'|'.join(_OPTIONS)}): true of the stream\b")
_OPTION_AND_VALUE = re.compile(r"(?<![\w.-])(max_unidentified|allow_empty|assume_complete|size_field): (\w+%?)")
_MAPPING = re.compile(r'"streams": \{.*"(\w+)": "<column>"\}+')


def in_options(message: str) -> str:
    """A message of the target in this command's options: who typed those knows of no settings.

    >>> in_options("streams.people.default_region must be a country's code")
    "--region must be a country's code"
    """
    message = _MAPPING.sub(r"--map '\1=<column>'", message)
    message = _OPTION_OF_STREAM.sub(lambda found: f"--{_OPTIONS[found[1]]}", message)
    message = _SETTING.sub(lambda found: f"--{_OPTIONS[found[1]]}", message)
    message = _OTHER_SETTING.sub(r"--option \1", message)
    message = _OPTION_AND_VALUE.sub(r"--option \1=\2", message)
    message = re.sub(r"(?<![\w-])max_removals: (?=\d)", "--max-removals ", message)
    return re.sub(r"(?<![\w-])max_removals\b", "--max-removals", message)


def count_rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


_MONTHS: Sequence[str] = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
