"""The command from a file to the account: plan, question, push, mirror, pipe."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import openpyxl
import pytest
from audience_support import Audience, rows_of, settings_of
from support import warm
from support.fast_clock import fast_command
from support.patience import PATIENCE

from klaviyo_audience.command import run_again
from klaviyo_audience.words import in_options

PEOPLE = (
    "E-Mail,First Name,Surname,Mobile,City,Code\n"
    "ada@example.com,Ada,Moss,+14155550101,Oslo,0012\n"
    "bo@example.com ,Bo,Lind,+14155550102,Rome,0013\n\n"
    "cy@example.com,Cy,Fox,,,\n"
)
LIST = ("--list", "VIP customers", "--create-list")


@pytest.fixture
def people(audience: Audience) -> Path:
    return audience.write("people.csv", PEOPLE)


def test_without_a_yes_it_shows_what_it_would_do(audience: Audience, people: Path) -> None:
    """Elsewhere than on a terminal it stops with an exit code of its own, and says the command that pushes."""
    done = audience("people.csv", *LIST)
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert re.search(r"Mobile +phone_number", done.stderr)
    assert done.stderr.count("To push: ") == 1
    assert "klaviyo-audience people.csv --list 'VIP customers' --create-list --yes" in done.stderr
    assert "ada@example.com" not in done.stderr
    assert audience.written == []
    assert audience.members("VIP customers") == {}


def test_with_a_yes_it_pushes(audience: Audience, people: Path) -> None:
    """Fields by sight, and custom properties under their headers, in the types that they have."""
    done = audience("people.csv", *LIST, "--yes")
    assert done.returncode == 0, done.stderr
    members = audience.members("VIP customers")
    assert members.keys() == {"ada@example.com", "bo@example.com", "cy@example.com"}
    ada = members["ada@example.com"]
    assert (ada["first_name"], ada["last_name"], ada["phone_number"]) == ("Ada", "Moss", "+14155550101")
    assert ada["location"]["city"] == "Oslo"
    assert ada["properties"] == {"Code": "0012"}


@pytest.mark.parametrize(("answer", "code", "count"), [("y\n", 0, 3), ("n\n", 4, 0), ("\n", 4, 0), ("\x04", 1, 0)])
def test_on_a_terminal_it_asks(audience: Audience, people: Path, answer: str, code: int, count: int) -> None:
    """Only a yes pushes; an empty line is none."""
    assert audience.on_terminal(answer, "people.csv", *LIST)[0] == code
    assert len(audience.members("VIP customers")) == count


def test_a_mirror_needs_no_other_proof(audience: Audience, people: Path) -> None:
    """A file is whole by its nature: who is not in the next one leaves, and stays a profile."""
    assert audience("people.csv", *LIST, "--yes").returncode == 0
    audience.settle()
    audience.write("next.csv", "Email Address\nada@example.com\nbo@example.com\ndee@example.com\n")
    planned = audience("next.csv", "--list", "VIP customers", "--mirror", "--max-removals", "1")
    assert planned.returncode == 4, planned.stderr
    done = audience("next.csv", "--list", "VIP customers", "--mirror", "--max-removals", "1", "--yes")
    assert done.returncode == 0, done.stderr
    assert audience.members("VIP customers").keys() == {"ada@example.com", "bo@example.com", "dee@example.com"}
    assert audience.profile("cy@example.com")["first_name"] == "Cy"


def test_the_cap_of_a_mirror_stands(audience: Audience, people: Path) -> None:
    """More removals than are allowed: not one, and exit code 3, in the plan as in the push."""
    assert audience("people.csv", *LIST, "--yes").returncode == 0
    audience.settle()
    audience.write("next.csv", "E-Mail\nada@example.com\n")
    for confirmed in ((), ("--yes",)):
        done = audience("next.csv", "--list", "VIP customers", "--mirror", *confirmed)
        assert done.returncode == 3, done.stderr
    assert len(audience.members("VIP customers")) == 3


def test_a_mirror_of_no_row_removes_nobody(audience: Audience, people: Path) -> None:
    """A file that somebody has emptied by mistake is no audience."""
    assert audience("people.csv", *LIST, "--yes").returncode == 0
    audience.write("next.csv", "E-Mail\n\n")
    assert audience("next.csv", "--list", "VIP customers", "--mirror", "--yes").returncode == 1
    assert audience("next.csv", "--list", "VIP customers", "--yes").returncode == 0
    assert len(audience.members("VIP customers")) == 3


def test_the_same_through_a_pipe(audience: Audience, people: Path) -> None:
    """`--print-singer` needs no key, and what it prints makes of the target the same."""
    printed = audience("people.csv", *LIST, "--print-singer", TARGET_KLAVIYO_API_KEY="")
    assert printed.returncode == 0, printed.stderr
    lines = [json.loads(line) for line in printed.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["SCHEMA", "RECORD", "RECORD", "RECORD", "ACTIVATE_VERSION"]
    assert {line.get("version") for line in lines[1:]} == {lines[-1]["version"]}
    settings = {
        "api_key": "pk_0123456789abcdef",
        "api_url": audience.account.url,
        "streams": settings_of(printed),
    }
    audience.write("target.json", json.dumps(settings))
    done = warm.run(
        [*fast_command("target_klaviyo"), "--config", "target.json"],
        input=printed.stdout,
        capture_output=True,
        text=True,
        cwd=audience.folder,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    piped = audience.members("VIP customers")
    assert len(piped) == 3
    assert piped["ada@example.com"]["properties"] == {"Code": "0012"}
    assert piped["ada@example.com"]["phone_number"] == "+14155550101"


def test_the_environment_cannot_turn_a_plan_into_a_push(audience: Audience, people: Path) -> None:
    """And where it asks for a rehearsal nothing is sent, whatever was typed."""
    assert audience("people.csv", *LIST, TARGET_KLAVIYO_DRY_RUN="false").returncode == 4
    assert audience("people.csv", *LIST, "--yes", TARGET_KLAVIYO_DRY_RUN="true").returncode == 0
    assert audience("people.csv", *LIST, "--yes", TARGET_KLAVIYO_DRY_RUN="maybe").returncode == 2
    assert audience.written == []


def test_settings_come_as_those_of_the_target(audience: Audience, people: Path) -> None:
    """From files and from a `.env`; streams of theirs do not count here; a wrong one ends with 2 and no value."""
    config = {"api_key": "pk_0123456789abcdef", "api_url": audience.account.url, "streams": {"x": {"action": "?"}}}
    audience.write("target.json", json.dumps(config))
    bare = {"TARGET_KLAVIYO_API_KEY": "pk_0123456789abcdef", "TARGET_KLAVIYO_API_URL": audience.account.url}
    assert audience("people.csv", *LIST, "--config", "target.json", "--config", "ENV").returncode == 4
    audience.write(".env", "".join(f"{name}={value}\n" for name, value in bare.items()))
    missing = audience("people.csv", *LIST, "--config", "missing.json")
    assert missing.returncode == 2, missing.stderr
    wrong = audience("people.csv", *LIST, TARGET_KLAVIYO_CONCURRENCY="many")
    assert wrong.returncode == 2, wrong.stderr
    assert "pk_0123456789abcdef" not in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["people.csv"], "--list NAME is missing"),
        (["missing.csv", "--list", "x"], "there is no file missing.csv"),
        (["people.csv", "--action", "subscibe"], "did you mean subscribe"),
        (["people.csv", "--action", "subscribe", "--mirror"], "--mirror makes a list equal"),
        (["people.csv", "--list", "x", "--map", "phone_number=Moble"], "did you mean Mobile"),
        (["people.csv", "--list", "x", "--map", "phon=Mobile"], "--map.phon is no field"),
        (["people.csv", "--list", "x", "--types", "Code=money"], "--types Code=money"),
        (["people.csv", "--list", "x", "--types", "Nothing=date"], "there is no column Nothing"),
        (["people.csv", "--list", "x", "--split-name", "First Name", "--yes"], "names already"),
        (["--list", "x"], "name a file, or use --query"),
        (["people.csv", "--lst", "x"], "--list"),
        (["people.csv", "--list", "x", "--region", "USA"], "--region must be"),
        (["people.csv", "--list", "x", "--max-removals", "5"], "--max-removals is for mode: mirror only"),
        (["people.csv", "--list", "x", "--option", "colour=red"], "--option colour is unknown"),
        (["people.csv", "--list", "No such list"], "--create-list makes it"),
        ([], "name a file, or use --query"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(audience: Audience, people: Path, arguments: list[str], message: str) -> None:
    """One sentence says what to change, and nothing is sent."""
    done = audience(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert audience.written == []


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("streams.people v2.csv.mapping.phon is no field", "--map.phon is no field"),
        ("x would be removed, and max_removals allows 5", "x would be removed, and --max-removals allows 5"),
        ('map it: "streams": {"p": {"mapping": {"email": "<column>"}}}', "map it: --map 'email=<column>'"),
        ("to remove them set max_removals: 47); 47 stay", "to remove them set --max-removals 47); 47 stay"),
        ("or set max_unidentified: 9", "or set --option max_unidentified=9"),
        ("3 people stay on the list", "3 people stay on the list"),
    ],
)
def test_messages_speak_of_options(message: str, expected: str) -> None:
    """Who typed options knows of no settings of streams."""
    assert in_options(message) == expected


def test_settings_are_checked_before_anything_is_read(audience: Audience) -> None:
    """A missing key is told at once, and not after a million rows."""
    audience.write("people.csv", "not read\nada@example.com,too,many\n")
    done = audience("people.csv", *LIST, TARGET_KLAVIYO_API_KEY="")
    assert done.returncode == 2, done.stderr
    assert "TARGET_KLAVIYO_API_KEY" in done.stderr
    assert "many" not in done.stderr


def test_the_address_of_a_database_may_stand_in_the_environment(audience: Audience, people: Path) -> None:
    """There nobody sees its password; a file goes before it."""
    query = ("--query", "select 'bo@example.com' as email")
    assert audience(*query, *LIST, "--yes", KLAVIYO_AUDIENCE_FROM="sqlite://").returncode == 0
    assert audience.members("VIP customers").keys() == {"bo@example.com"}
    assert audience("people.csv", *LIST, "--yes", KLAVIYO_AUDIENCE_FROM="sqlite://").returncode == 0
    assert len(audience.members("VIP customers")) == 3
    assert audience("people.csv", "--from", "sqlite://", *LIST).returncode == 2


def test_consent_must_be_named(audience: Audience, people: Path) -> None:
    """Putting people on a list subscribes nobody; the action that does is named."""
    assert audience("people.csv", *LIST, "--yes").returncode == 0
    marketing = audience.profile("ada@example.com")["subscriptions"]["email"]["marketing"]
    assert marketing["consent"] == "NEVER_SUBSCRIBED"
    done = audience("people.csv", *LIST, "--action", "subscribe", "--option", "channels=email", "--yes")
    assert done.returncode == 0, done.stderr
    marketing = audience.profile("ada@example.com")["subscriptions"]["email"]["marketing"]
    assert marketing["consent"] == "SUBSCRIBED"


def test_a_full_name_is_split_when_it_is_asked_for(audience: Audience) -> None:
    """Until then it is a custom property, and the option is said."""
    audience.write("people.csv", "E-Mail,Name\nada@example.com,Ada van Moss\n")
    assert "--split-name Name" in audience("people.csv", *LIST).stderr
    done = audience("people.csv", *LIST, "--split-name", "name", "--yes")
    assert done.returncode == 0, done.stderr
    ada = audience.profile("ada@example.com")
    assert (ada["first_name"], ada["last_name"], ada["properties"]) == ("Ada", "van Moss", {})


def test_two_columns_of_one_field_are_told(audience: Audience) -> None:
    """The second is a custom property, and the option for the other way round is said."""
    audience.write("people.csv", "E-Mail,Phone,Mobile\nada@example.com,+14155550101,+14155550102\n")
    assert "--map phone_number=Mobile" in audience("people.csv", *LIST).stderr
    assert audience("people.csv", *LIST, "--map", "phone_number=Mobile", "--yes").returncode == 0
    ada = audience.profile("ada@example.com")
    assert (ada["phone_number"], ada["properties"]) == ("+14155550102", {"Phone": "+14155550101"})


def test_a_workbook_and_a_query_are_pushed_as_a_file_is(audience: Audience) -> None:
    """Whatever the source, the same people are on the list."""
    book = openpyxl.Workbook()
    for row in (["E-Mail", "Mobile", "Orders"], ["ada@example.com", 14155550101, 3]):
        book.active.append(row)
    book.save(audience.folder / "people.xlsx")
    done = audience("people.xlsx", *LIST, "--region", "US", "--yes")
    assert done.returncode == 0, done.stderr
    assert audience.profile("ada@example.com")["properties"] == {"Orders": 3}
    query = 'select \'bo@example.com\' as "E-Mail", 1.5 as "Spent"'
    done = audience("--query", query, "--from", "sqlite://", *LIST, "--yes")
    assert done.returncode == 0, done.stderr
    assert audience.members("VIP customers")["bo@example.com"]["properties"] == {"Spent": 1.5}


def test_the_report_of_the_run(audience: Audience, people: Path) -> None:
    """`--report` leaves the target's, of the push and not of the plan, for its owner only."""
    assert audience("people.csv", *LIST, "--report", "run.json").returncode == 4
    assert not (audience.folder / "run.json").exists()
    assert audience("people.csv", *LIST, "--report", "run.json", "--yes").returncode == 0
    assert stat.S_IMODE((audience.folder / "run.json").stat().st_mode) == 0o600


def test_nothing_of_the_rows_stays_behind(audience: Audience, people: Path) -> None:
    """The file that they wait in has no name: when the run has ended only the plan is left."""
    temporary = audience.folder / "temporary"
    temporary.mkdir()
    assert audience("people.csv", *LIST, TMPDIR=str(temporary)).returncode == 4
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["people.csv", "--list", "VIP customers"], "klaviyo-audience people.csv --list 'VIP customers' --yes"),
        (
            ["--query", "select 1", "--from", "postgresql://u:secret@host/db", "--list", "x"],
            "KLAVIYO_AUDIENCE_FROM=... klaviyo-audience --query 'select 1' --list x --yes",
        ),
        (["--from=postgresql://u:secret@host/db"], "KLAVIYO_AUDIENCE_FROM=... klaviyo-audience --yes"),
        (["--from", "sqlite:///shop.db"], "klaviyo-audience --from sqlite:///shop.db --yes"),
    ],
)
def test_the_command_that_pushes_has_no_secret(arguments: list[str], command: str) -> None:
    """It is what was typed, and the yes."""
    assert run_again(arguments) == command


def test_dates_that_can_be_read_in_two_ways_are_asked(audience: Audience) -> None:
    """With both readings and the option of each; nothing is pushed until it is said."""
    audience.write("people.csv", "E-Mail,Last order\nada@example.com,01.02.2026\n")
    for confirmed in ((), ("--yes",)):
        done = audience("people.csv", *LIST, *confirmed)
        assert done.returncode == 2, done.stderr
        assert "1 February 2026" in done.stderr
        assert "2 January 2026" in done.stderr
        assert "--types 'Last order=date:%d.%m.%Y'" in done.stderr
    assert audience.written == []
    printed = audience("people.csv", *LIST, "--types", "last order=date:%d.%m.%Y", "--print-singer")
    assert settings_of(printed)["people"]["types"] == {"Last order": {"type": "date", "format": "%d.%m.%Y"}}
    assert rows_of(printed) == [{"E-Mail": "ada@example.com", "Last order": "01.02.2026"}]
