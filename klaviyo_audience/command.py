"""The command line: reads the source, shows what a push would do, asks, and pushes.

Exit codes: as the target's, and 4 where nothing was pushed because nobody has said yes.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import msgspec

from klaviyo_audience import entry as entries
from klaviyo_audience import words
from klaviyo_audience.entry import Columns, Wishes
from klaviyo_audience.feed import Feed
from klaviyo_audience.guesses import Guess, Kind
from klaviyo_audience.headers import split_name
from klaviyo_audience.push import check_settings, push, show_plan
from klaviyo_audience.reading.source import Source
from klaviyo_client.errors import Incomplete, SettingsError
from klaviyo_client.plugin.booleans import parse_boolean_setting
from target_klaviyo.target import TargetKlaviyo

UNCONFIRMED = 4
_ADDRESS = "KLAVIYO_AUDIENCE_FROM"
_NAMES = ("first_name", "last_name")


@dataclass(frozen=True)
class _Run:
    """How the command was called.

    Attributes:
        arguments: what stands behind its name.
        is_confirmed: whether nothing has to be asked.
        prints_singer: whether Singer lines are wanted in place of a push.
    """

    arguments: Sequence[str]
    is_confirmed: bool
    prints_singer: bool

    @property
    def shows_no_plan(self) -> bool:
        return self.is_confirmed or self.prints_singer

    @property
    def can_ask(self) -> bool:
        return sys.stdin.isatty() and sys.stderr.isatty() and not self.prints_singer


@click.command("klaviyo-audience", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--list", "list_name", help="The list that the people go to, by its name or Klaviyo's id.")
@click.option("--create-list", is_flag=True, help="Create the list if the account has none of that name.")
@click.option(
    "--mirror", is_flag=True, help="Make the list equal to the rows: members who are not among them are removed."
)
@click.option(
    "--max-removals", help="With --mirror: the most removals, such as 500, 5% or '500, 5%'; by default 1000, 10%."
)
@click.option(
    "--action", default=entries.MEMBERS, show_default=True, help="What to do with the rows: docs/reference/actions."
)
@click.option("--option", "options", multiple=True, help="A further option of the action: NAME=VALUE. Repeatable.")
@click.option("--region", help="Country of phone numbers without country code, such as US.")
@click.option("--query", help="A select, instead of a file or of a DuckDB table.")
@click.option("--from", "address", help=f"The database of --query: postgresql://user:password@host/db; or {_ADDRESS}.")
@click.option("--table", help="The table of a DuckDB file.")
@click.option("--sheet", help="The sheet of a workbook.")
@click.option("--encoding", help="The encoding of a text file that is not UTF-8, such as cp1252.")
@click.option("--map", "mapping", multiple=True, help="The column for a field: phone_number=Mobile. Repeatable.")
@click.option(
    "--no-recognise", is_flag=True, help="Recognise no headers such as Mobile or Surname; fields' own names count."
)
@click.option("--split-name", help="A column of full names, to split into first and last name.")
@click.option("--types", multiple=True, help="The type of a column: 'Last order=date:%d.%m.%Y'. Repeatable.")
@click.option(
    "--on-bad-value",
    type=click.Choice(["drop", "reject"]),
    help="Leave out a value that does not fit, or reject its row.",
)
@click.option(
    "--config", multiple=True, help="A JSON file with the target's settings; TARGET_KLAVIYO_... is read, too."
)
@click.option("--report", help="Write a report of the run: run.json (and run.html).")
@click.option("--yes", "-y", is_flag=True, help="Push without asking.")
@click.option("--print-singer", is_flag=True, help="Print Singer lines for target-klaviyo instead of pushing.")
def audience(**given: Any) -> int:
    """Push a file (.csv, .xlsx, .parquet, .duckdb) or a query to Klaviyo.

    Without --yes it shows what it would do, and asks.
    """
    # What is kept for the run is removed, then, too.
    signal.signal(signal.SIGTERM, lambda signum, _: sys.exit(128 + signum))
    run = _Run(sys.argv[1:], is_confirmed=given["yes"], prints_singer=given["print_singer"])
    source = _parse_source(given)
    wishes = _parse_wishes(given)
    settings = {} if run.prints_singer else _read_settings(given, source.name, wishes)
    feed = Feed(source.name, version=time.time_ns() // 1_000_000)
    try:
        columns = _read(source, feed, wishes)
        return _go_on(run, feed, columns, wishes, settings)
    finally:
        feed.close()


# The parts ------------------------------------------------------------------------------------------------------------


def _parse_source(given: Mapping[str, Any]) -> Source:
    names = ("query", "table", "sheet", "encoding")
    typed, of_environment = given["address"], os.environ.get(_ADDRESS)
    source = Source(
        given["file"],
        typed or of_environment,
        **{name: given[name] for name in names},
        is_address_of_environment=not typed,
    )
    source.check()
    return source


def _parse_wishes(given: Mapping[str, Any]) -> Wishes:
    is_mirror = given["mirror"]
    options = {
        "list": given["list_name"],
        "create_list": True if given["create_list"] else None,
        "mode": "mirror" if is_mirror else None,
        # Who asks for a list that equals a file has said whose it is.
        "owns_list": True if is_mirror else None,
        "max_removals": given["max_removals"],
        "default_region": given["region"],
        "on_bad_value": given["on_bad_value"],
        **entries.parse_options(given["options"]),
    }
    wishes = Wishes(
        given["action"],
        options,
        chosen=entries.parse_pairs(given["mapping"], "--map"),
        types=entries.parse_types(given["types"]),
        split=given["split_name"],
        by_sight=not given["no_recognise"],
    )
    entries.check_wishes(wishes, mirror=is_mirror)
    return wishes


def _read_settings(given: Mapping[str, Any], stream: str, wishes: Wishes) -> dict[str, Any]:
    settings = TargetKlaviyo.read_settings(given["config"])
    settings |= {"report_path": given["report"]} if given["report"] else {}
    _is_plan_only(settings)
    check_settings({**settings, "streams": {stream: entries.build_entry(Columns.none(), wishes, {}, {})}})
    return settings


def _read(source: Source, feed: Feed, wishes: Wishes) -> Columns:
    """Read the source into the feed; what its columns are."""
    with source.open() as rows:
        split = entries.find_column(wishes.split, rows.columns, "--split-name") if wishes.split else None
        names = [*rows.columns, *(_NAMES if split else ())]
        columns = entries.sort_columns(names, replace(wishes, split=split))
        twice = [column for column, field, _ in columns.recognised.seconds if split and field in _NAMES]
        if twice or (split and set(_NAMES).intersection(rows.columns)):
            raise SettingsError(f"--split-name: the rows have first or last names already: {', '.join(twice)}")
        for note in rows.notes:
            click.echo(note, err=True)
        feed.fill(rows, typed=columns.properties, derive=_splitter(split) if split else None)
    return columns


def _splitter(column: str) -> Any:
    def split(record: dict[str, Any]) -> None:
        name = record.pop(column)
        first, last = split_name(str(name)) if name is not None else (None, None)
        record.update(zip(_NAMES, (first, last), strict=True))

    return split


def _go_on(run: _Run, feed: Feed, columns: Columns, wishes: Wishes, settings: Mapping[str, Any]) -> int:
    click.echo(f"{feed.stream}: {words.count_rows(feed.count)}", err=True)
    if not feed.count:
        if wishes.options.get("mode") == "mirror":
            raise Incomplete("there are no rows, and an empty input removes nobody from a list")
        return 0
    guesses = feed.guesses
    answers = _ask_types(run, guesses, wishes, list(feed.columns))
    wishes = replace(wishes, types={**wishes.types, **{name: kind.option for name, kind in answers.items()}})
    # Of the columns themselves the plan has a table.
    about_columns = words.describe_columns(columns, guesses, wishes.types) if run.shows_no_plan else ()
    for line in (*about_columns, *words.describe_doubts(columns, guesses, wishes.types)):
        click.echo(line, err=True)
    entry = entries.build_entry(columns, wishes, guesses, feed.columns)
    if run.prints_singer:
        return _print_singer(feed, entry)
    added = [text for name, kind in answers.items() for text in ("--types", f"{name}={kind.text}")]
    return _plan_and_push(
        replace(run, arguments=[*run.arguments, *added]), feed, {**settings, "streams": {feed.stream: entry}}
    )


def _ask_types(run: _Run, guesses: Mapping[str, Guess], wishes: Wishes, names: Sequence[str]) -> dict[str, Kind]:
    """Column -> kind, of each that can be read in several ways and of which nobody has said how.

    Raises:
        SettingsError: nobody is there to be asked.
    """
    said = {entries.find_column(name, names, "--types") for name in wishes.types}
    questions = {column: guess for column, guess in guesses.items() if guess.readings and column not in said}
    for column, guess in questions.items():
        for line in words.describe_question(column, guess):
            click.echo(line, err=True)
    if questions and not run.can_ask:
        raise SettingsError(f"nothing was pushed: say how to read {', '.join(questions)}, by the options above")
    return {column: _ask_type(column, guess) for column, guess in questions.items()}


def _ask_type(column: str, guess: Guess) -> Kind:
    kinds = {kind.text: kind for kind, _ in guess.readings}
    return kinds[click.prompt(f"Which is {column}", type=click.Choice(list(kinds)), err=True)]


def _print_singer(feed: Feed, entry: Mapping[str, Any]) -> int:
    streams = msgspec.json.encode({feed.stream: entry}).decode()
    click.echo(f"For the target: TARGET_KLAVIYO_STREAMS={shlex.quote(streams)}", err=True)
    with feed.lines() as lines:
        while block := lines.read1():
            sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
    return 0


def _plan_and_push(run: _Run, feed: Feed, settings: Mapping[str, Any]) -> int:
    command = run_again(run.arguments)
    if _is_plan_only(settings):
        show_plan(feed, settings, command)
        return 0
    if not run.is_confirmed:
        show_plan(feed, settings, command)
        if not run.can_ask:
            click.echo("Nothing was pushed: there is no terminal to confirm on.", err=True)
            return UNCONFIRMED
        if not click.confirm("Push?", err=True):
            click.echo("Nothing was pushed.", err=True)
            return UNCONFIRMED
    push(feed, settings)
    return 0


def _is_plan_only(settings: Mapping[str, Any]) -> bool:
    """Whether the settings ask for a rehearsal: then nothing is sent, whatever the options say.

    Raises:
        SettingsError: they cannot be understood.
    """
    try:
        return parse_boolean_setting(str(settings.get("dry_run") or ""))
    except ValueError as error:
        raise SettingsError("dry_run must be true or false") from error


def run_again(arguments: Sequence[str]) -> str:
    """The command that pushes what was planned. An address with a password is left to the environment."""
    kept: list[str] = []
    hides = False
    for place, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        address = value if name == "--from" else argument if place and arguments[place - 1] == "--from" else ""
        if _has_password(address):
            hides = True
            if name != "--from":
                kept.pop()
        else:
            kept.append(argument)
    command = shlex.join(["klaviyo-audience", *kept, "--yes"])
    return f"{_ADDRESS}=... {command}" if hides else command


def _has_password(address: str) -> bool:
    return bool(re.match(r"[^/]+://[^/@]*:[^/]*@", address))
