"""docs/start/audience.md as somebody who is no engineer types it, with the files of examples/csv/."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

from audience_support import KEY, SPEED, Audience, settings_of
from support.commands import run_command
from support.fast_clock import fast_command
from support.markdown import console_blocks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "start" / "audience.md").read_text()
LIST = "VIP customers"


def commands() -> list[list[str]]:
    """The arguments of each command of the page."""
    typed = [shlex.split(command) for block in console_blocks(PAGE) for command in block.commands]
    assert [words[0] for words in typed] == ["klaviyo-audience"] * len(typed)
    return [words[1:] for words in typed]


def test_two_commands_are_enough(audience: Audience) -> None:
    """The list, then that of the next month: one command each, and a yes; no row costs more than itself."""
    for path in (ROOT / "examples" / "csv").glob("*.csv"):
        shutil.copy(path, audience.folder)
    first, second = commands()

    code, shown = audience.on_terminal("y\n", *first)
    assert code == 0, shown
    members = audience.members(LIST)
    # 51 rows: one person comes twice, and one has nothing that Klaviyo takes.
    assert len(members) == 49
    ada = members["ada.moss@example.com"]
    assert (ada["first_name"], ada["phone_number"], ada["location"]["city"]) == ("Ada", "+14155550100", "Denver")
    assert ada["properties"] == {"Lifetime value": 1310, "Last order": "2026-01-31", "VIP": True}
    assert members["bruno.lind@example.com"].get("phone_number") is None
    assert members["sven.page@example.com"]["phone_number"] == "+14155550118"
    assert members["dario.hale@example.com"]["properties"]["Notes"] == 'Prefers calls\nbefore noon; "really"'
    assert "Last order" not in members["mira.juhl@example.com"]["properties"]
    assert members["elin.berg@example.com"]["first_name"] == "Elin"
    assert "None" in members  # a good phone number beside a bad e-mail address

    audience.settle()
    code, shown = audience.on_terminal("y\n", *second)
    assert code == 0, shown
    after = audience.members(LIST)
    gone = {"clara.fox@example.com", "liam.iversen@example.com", "vera.stone@example.com", "zora.wray@example.com"}
    assert members.keys() - after.keys() == gone
    assert after.keys() - members.keys() == {"ann.novak@example.com", "lev.orlov@example.com"}


def test_the_plan_says_before_what_the_push_does(audience: Audience) -> None:
    """Fields, types and what is left out stand on the screen before the question, and nobody is named."""
    shutil.copy(ROOT / "examples" / "csv" / "people.csv", audience.folder)
    done = audience(*commands()[0])
    assert done.returncode == 4, done.stderr
    for words in ("Mobile", "phone_number", "Lifetime value", "Last order", "date", "--yes"):
        assert words in done.stderr
    assert "@example.com" not in done.stderr
    assert audience.written == []


def test_the_question_of_the_page_is_what_the_command_asks(audience: Audience) -> None:
    """Two readings, and the option of each, word for word."""
    audience.write("people.csv", "E-Mail,Last order\nada@example.com,01.02.2026\n")
    done = audience("people.csv", "--list", LIST)
    (asked,) = [part for part in PAGE.split("```") if part.strip().startswith("Last order can be read")]
    assert asked.strip() in done.stderr


def test_on_a_terminal_the_question_is_asked(audience: Audience) -> None:
    """The answer counts for this run, and stands in the command that pushes it again."""
    audience.write("people.csv", "E-Mail,Last order\nada@example.com,01.02.2026\n")
    answers = "date:%d.%m.%Y\ny\n"
    code, shown = audience.on_terminal(answers, "people.csv", "--list", LIST, "--create-list")
    assert code == 0, shown
    assert audience.profile("ada@example.com")["properties"] == {"Last order": "2026-02-01"}
    assert f"--list '{LIST}' --create-list --types 'Last order=date:%d.%m.%Y' --yes" in shown


def test_the_pipe_has_the_same_result(audience: Audience, tmp_path: Path) -> None:
    """`--print-singer` and its setting, given to the target: the same people with the same properties."""
    shutil.copy(ROOT / "examples" / "csv" / "people.csv", audience.folder)
    arguments = commands()[0]
    assert audience(*arguments, "--yes").returncode == 0
    pushed = {str(person.get("phone_number")): person["properties"] for person in audience.members(LIST).values()}
    printed = audience(*arguments, "--print-singer")
    streams = settings_of(printed)
    streams["people"]["list"] = "Piped"
    audience.write("target.json", json.dumps({"api_key": KEY, "api_url": audience.account.url, "streams": streams}))
    command = [*fast_command("target_klaviyo", SPEED), "--config", "target.json"]
    done = run_command(command, printed.stdout.splitlines(), folder=audience.folder)
    assert done.returncode == 0, done.stderr
    piped = {str(person.get("phone_number")): person["properties"] for person in audience.members("Piped").values()}
    assert piped == pushed
