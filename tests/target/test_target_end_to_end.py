"""From Singer lines to the account, with the command in its own process."""

from __future__ import annotations

import io
import json
import re
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from support import warm
from support.commands import run_command, singer_lines
from support.fast_clock import fast_command
from support.patience import PATIENCE, until
from target_support import KEY, SPEED, Command, Run, records, schema_of

from klaviyo_client.errors import SettingsError
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.intake.routes import Route
from target_klaviyo.model.records import SourceRecord
from target_klaviyo.target import TargetKlaviyo

Make = Callable[..., RunningSandbox]
PERSON = {"email": "ada@example.com", "phone_number": "+14155550100", "first_name": "Ada"}
ONE = [schema_of("profiles"), *records("profiles", [PERSON]), {"type": "STATE", "value": {"at": 1}}]


def assert_discreet(run: Run) -> None:
    """Nothing on stderr that a log should not hold, and no traceback."""
    for secret in (KEY, "example.com", "+1415", "4155550100", "Traceback", "Lovelace"):
        assert secret not in run.stderr
    assert not re.search(r"\bpk_\w", run.stderr)


def assert_fails(run: Run, code: int, said: str) -> None:
    """One line says what to do; no state, and nothing that a log should not hold."""
    assert run.code == code
    lines = run.said("CRITICAL", "ERROR")
    assert len(lines) == 1
    assert re.search(said, lines[0])
    assert run.stdout == ""
    assert_discreet(run)


def nested(levels: int) -> str:
    """A record so deep that Python's own encoder would not write it."""
    value = '{"in": ' * levels + "1" + "}" * levels
    return f'{{"type": "RECORD", "stream": "profiles", "record": {{"email": "d@example.com", "deep": {value}}}}}'


def by_email(account: RunningSandbox) -> dict[str, Any]:
    return {row["email"]: row for row in account.store.profiles.rows.values() if row.get("email")}


def members(account: RunningSandbox, name: str) -> set[str]:
    [found] = [row["id"] for row in account.store.lists.rows.values() if row["name"] == name]
    emails = {row["id"]: row["email"] for row in account.store.profiles.rows.values()}
    return {emails[member] for member in account.store.list_members[found].rows}


# What arrives ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 60])
def test_profiles_land_in_the_account(target: Command, account: RunningSandbox, count: int) -> None:
    """One by one or as a job, the account holds every person with fields and custom properties."""
    people = [{"email": f"p{i}@example.com", "first_name": "Ada", "spent": i + 0.5} for i in range(count)]
    run = target([schema_of("profiles"), *records("profiles", people), {"type": "STATE", "value": {"at": count}}])
    assert run.code == 0
    assert run.states == [{"at": count}]
    held = by_email(account)
    for person in people:
        assert held[person["email"]]["first_name"] == "Ada"
        assert held[person["email"]]["properties"]["spent"] == person["spent"]
    assert f"done: {count} delivered, 0 accepted, 0 rejected" in run.stderr.splitlines()[-1]
    assert run.rejects == []
    assert_discreet(run)


def test_an_audience_lands_on_a_list_that_is_made_for_it(target: Command, account: RunningSandbox) -> None:
    """A view of tap-postgres, without keys, is pushed onto a list by name; a second run changes nothing more."""
    stream = "public-vip_audience"
    mapping = {"email": "mail", "properties.audience": {"value": "vip"}}
    entry = {"action": "list_members", "list": "VIP customers", "create_list": True, "mapping": mapping}
    schema = {"type": "SCHEMA", "stream": stream, "schema": {"properties": {"mail": {"type": "string"}}}}
    people = [{"mail": f"p{i}@example.com"} for i in range(30)]
    for _ in range(2):
        run = target([schema, *records(stream, people)], streams={stream: entry})
        assert run.code == 0
        assert members(account, "VIP customers") == {person["mail"] for person in people}
    assert by_email(account)["p0@example.com"]["properties"]["audience"] == "vip"


def test_people_are_added_to_the_list_that_their_record_names(target: Command, account: RunningSandbox) -> None:
    """list_members takes list_name and list_id of the record; an unknown list rejects its rows only."""
    lists = list(account.store.lists.rows.values())[:2]
    rows = [
        {"email": "a@example.com", "list_name": lists[0]["name"]},
        {"email": "b@example.com", "list_id": lists[1]["id"]},
        {"email": "c@example.com", "list_name": "Nobody's list"},
    ]
    schema = {"type": "SCHEMA", "stream": "list_members", "schema": {"properties": {"list_name": {"type": "string"}}}}
    run = target([schema, *records("list_members", rows)])
    assert run.code == 0
    assert "a@example.com" in members(account, lists[0]["name"])
    assert "b@example.com" in members(account, lists[1]["name"])
    assert [line["code"] for line in run.rejected] == ["list_not_found"]


def test_late_conflicts_are_rejected_one_by_one_over_all_pages(target: Command, account: RunningSandbox) -> None:
    """130 people whose identifiers belong to two profiles are rejected, and the 40 others of the job delivered."""
    emails = [{"email": f"p{i}@example.com"} for i in range(130)]
    ids = [{"external_id": f"x{i}"} for i in range(130)]
    assert target([schema_of("profiles"), *records("profiles", emails + ids)]).code == 0
    both = [{**one, **other} for one, other in zip(emails, ids, strict=True)]
    good = [{"email": f"g{i}@example.com"} for i in range(40)]
    run = target([schema_of("profiles"), *records("profiles", both + good), {"type": "STATE", "value": {"at": 1}}])
    assert run.code == 0
    assert "done: 40 delivered, 0 accepted, 130 rejected" in run.stderr
    assert [line["record"] for line in run.rejected] == both
    assert {line["status"] for line in run.rejected} <= {202, 409}
    assert {f"g{i}@example.com" for i in range(40)} <= set(by_email(account))
    assert run.states == [{"at": 1}]
    assert_discreet(run)


def test_bad_records_are_rejected_alone(target: Command, account: RunningSandbox) -> None:
    """Malformed lines, wrong types, dates, e-mails and phones: each has its reason, and the rest goes on."""
    rows = [
        PERSON,
        {"first_name": "Lovelace"},
        {"email": "ada.example.com"},
        {"phone_number": "4155550100"},
        {"email": "b@example.com", "spent": "Lovelace"},
        {"email": "c@example.com", "seen_at": "yesterday"},
    ]
    lines = [
        *records("early", [PERSON]),
        schema_of("profiles"),
        *records("profiles", rows),
        nested(20_000),
        '{"type": "RECORD", "email": "ada@example.com", ' + KEY,
        {"type": "RECORD", "stream": "profiles"},
        {"type": "GOSSIP", "about": "ada@example.com"},
        {"type": "STATE", "value": {"at": 1}},
    ]
    run = target(lines, streams={"profiles": {"on_bad_value": "reject"}})
    assert run.code == 0
    assert run.states == [{"at": 1}]
    assert [line["code"] for line in run.rejected] == [
        "no_schema",
        "no_identifier",
        "invalid_email",
        "invalid_phone",
        "invalid_record",
        "invalid_date",
        "not_json",
        "not_json",
        "not_singer",
        "unknown_type",
    ]
    assert "done: 1 delivered, 0 accepted, 10 rejected (see target-klaviyo-rejects.jsonl)" in run.stderr
    assert "ada@example.com" in by_email(account)
    assert_discreet(run)


@pytest.mark.parametrize("error", [RecursionError, OverflowError, ValueError])
def test_a_value_that_no_encoder_takes_is_rejected_alone(
    account: RunningSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: type[Exception]
) -> None:
    """How deep or large that is depends on Python's version; the others go on whatever it is."""
    row = Route.row

    def fussy(self: Route, origin: SourceRecord, record: Mapping[str, Any]) -> Any:
        if record["email"] == "d@example.com":
            raise error("471100")
        return row(self, origin, record)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Route, "row", fussy)
    rows = [PERSON, {"email": "d@example.com"}, {"email": "f@example.com"}]
    lines = [schema_of("profiles"), *records("profiles", rows)]
    target = TargetKlaviyo(config={"api_key": KEY, "api_url": account.url}, parse_env_config=False)
    target.listen(io.StringIO(singer_lines(lines)))
    kept = map(json.loads, (tmp_path / "target-klaviyo-rejects.jsonl").read_text().splitlines())
    assert [line["code"] for line in kept if "code" in line] == ["unusable_value"]
    assert {"ada@example.com", "f@example.com"} <= by_email(account).keys()


@pytest.mark.parametrize("line", ['{"type": "RECORD", "stream": "profiles", "record": {"email": "ada@', json.dumps({})])
def test_a_malformed_line_is_one_warning(target: Command, line: str) -> None:
    """The log has one line about it that says where it is; the SDK would have logged it whole."""
    run = target([line])
    assert run.code == 1
    [warning, total, _] = run.said("WARNING", "ERROR", "CRITICAL")
    assert "target-klaviyo-rejects.jsonl" in warning
    assert "0 delivered, 0 accepted, 1 rejected" in total
    assert_discreet(run)


def test_a_record_without_identifier_is_one_warning(target: Command) -> None:
    """The warning says what a record needs."""
    run = target([schema_of("profiles"), *records("profiles", [{"first_name": "Lovelace"}] * 3)])
    assert run.code == 1
    [warning, *_] = run.said("WARNING", "ERROR", "CRITICAL")
    assert "no email, phone_number, external_id" in warning
    assert_discreet(run)


def test_rejects_can_be_replayed_after_a_fix(target: Command, account: RunningSandbox) -> None:
    """`target-klaviyo --input rejects.jsonl` sends what was rejected, and leaves the file as it is."""
    run = target([schema_of("profiles"), *records("profiles", [{"phone_number": "(415) 555-0100"}]), "{broken"])
    assert [line["code"] for line in run.rejected] == ["invalid_phone", "not_json"]
    arguments = ("--config", "config.json", "--input", "target-klaviyo-rejects.jsonl")
    replayed = target(arguments=arguments)
    assert [line["code"] for line in replayed.rejected] == ["invalid_phone"]
    assert "1 lines that an earlier run could not read were skipped" in replayed.stderr
    fixed = target(arguments=arguments, default_region="US")
    assert fixed.code == 0
    assert "done: 1 delivered, 0 accepted, 0 rejected" in fixed.stderr
    assert "+14155550100" in {row["phone_number"] for row in account.store.profiles.rows.values()}


def test_numbers_in_the_environment_are_numbers(target: Command, account: RunningSandbox) -> None:
    """`--config ENV` hands numbers over as text."""
    env = {
        "TARGET_KLAVIYO_API_KEY": KEY,
        "TARGET_KLAVIYO_API_URL": account.url,
        "TARGET_KLAVIYO_RATE_LIMIT_SHARE": "0.5",
        "TARGET_KLAVIYO_JOB_TIMEOUT": "60",
        "TARGET_KLAVIYO_STREAMS": json.dumps({"people": {"action": "upsert_profile"}}),
    }
    run = target([schema_of("people"), *records("people", [PERSON])], arguments=("--config", "ENV"), env=env)
    assert run.code == 0, run.stderr
    assert "ada@example.com" in by_email(account)


def test_numbers_with_a_point_in_the_file_are_numbers(target: Command, account: RunningSandbox) -> None:
    """The SDK reads them as decimals, which do not mix with the client's arithmetic."""
    entry = {"action": "upsert_profile", "mapping": {"properties.factor": {"value": 1.5}}}
    run = target(ONE, rate_limit_share=0.5, job_timeout=9000.5, streams={"profiles": entry})
    assert run.code == 0, run.stderr
    assert by_email(account)["ada@example.com"]["properties"]["factor"] == 1.5


# What fails -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"api_key": 7}, "api_key"),
        ({"streams": {"vip": {"action": "upsert_profile", "maping": {}}}}, r"streams\.vip\.maping"),
        ({"streams": {"profiles": {"list": "Nobody's"}}}, "no list .Nobody's."),
        ({"stream_maps": {"profiles": {"email": 3.5}}}, "stream_maps does not fit the stream profiles"),
    ],
)
def test_a_bad_setting_is_one_line_and_exit_2(target: Command, config: dict[str, Any], said: str) -> None:
    """The user must change a setting, and the line says which."""
    assert_fails(target(ONE, **config), 2, said)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"api_key": "a b"}, "api_key"),
        ({"api_url": "http://example.org"}, "api_url must begin with https"),
        ({"rate_limit_share": 7}, "rate_limit_share"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"job_timeout": "soon"}, "job_timeout"),
        ({"default_region": "XX"}, "default_region"),
        ({"default_region": "Germany"}, "default_region"),
        ({"batch_size_rows": 0}, "batch_size_rows"),
        ({"rejects_path": ""}, "rejects_path"),
        ({"streams": ["vip"]}, "streams"),
        ({"streams": {"vip": {"action": "dance"}}}, r"streams\.vip\.action"),
    ],
)
def test_a_setting_that_cannot_be_is_named_without_its_value(config: dict[str, Any], said: str) -> None:
    """Nothing is read or sent before the settings are sound."""
    with pytest.raises(SettingsError, match=said):
        TargetKlaviyo(config={"api_key": KEY, **config})


def test_a_missing_key_names_the_variable(target: Command) -> None:
    """Who runs it under Meltano or in a container sets a variable."""
    target.config.pop("api_key")
    assert_fails(target(ONE), 2, "TARGET_KLAVIYO_API_KEY")


def test_a_config_file_that_is_not_there_or_not_json_is_exit_2(target: Command) -> None:
    """Both are the user's to change."""
    (target.folder / "bad.json").write_text("{")
    for name, said in (("no.json", "no.json"), ("bad.json", "not a JSON object")):
        assert_fails(target(arguments=("--config", name)), 2, said)


def test_settings_in_the_environment_that_cannot_be_read_are_exit_2(target: Command) -> None:
    """`streams` in a variable is JSON."""
    env = {"TARGET_KLAVIYO_API_KEY": KEY, "TARGET_KLAVIYO_STREAMS": "{vip"}
    assert_fails(target(arguments=("--config", "ENV"), env=env), 2, "JSON")


def test_an_unmapped_stream_shows_the_line_to_add(target: Command) -> None:
    """Nothing is pushed by guessing."""
    run = target([schema_of("public-vip"), *records("public-vip", [PERSON])])
    assert_fails(run, 2, r'"streams": \{"public-vip": \{"action": "upsert_profile"\}\}')


def test_a_wrong_key_is_one_line_and_exit_2(target: Command, make_sandbox: Make) -> None:
    """401: the key must change."""
    other = make_sandbox(profiles=5, events=0, key="pk_other", speed=SPEED)
    assert_fails(target(ONE, api_url=other.url), 2, "api_key")


@pytest.mark.parametrize("count", [1, 40])
def test_a_missing_scope_is_named_and_exit_2(target: Command, make_sandbox: Make, count: int) -> None:
    """403: the line names the scope to add."""
    narrow = make_sandbox(profiles=5, events=0, scopes=["profiles:read", "lists:read"], speed=SPEED)
    people = [{"email": f"p{i}@example.com"} for i in range(count)]
    run = target([schema_of("profiles"), *records("profiles", people), *ONE[-1:]], api_url=narrow.url)
    assert_fails(run, 2, "profiles:write")


def test_a_revision_that_klaviyo_retired_is_exit_2(target: Command, account: RunningSandbox) -> None:
    """410: a newer version is needed, and no newer revision is used silently."""
    account.control.change(faults="refuse=create_or_update_profile:410+bulk_import_profiles:410")
    assert_fails(target(ONE), 2, "update singer-klaviyo")


def test_a_revision_in_the_settings_changes_nothing(target: Command, account: RunningSandbox) -> None:
    """Who set one is told once that it does nothing, and every request asks for its operation's own."""
    account.control.change(other_revisions="refuse")
    run = target(ONE, revision="2020-01-01")
    assert (run.code, run.stderr.count("the setting revision has no effect any more")) == (0, 1), run.stderr


def test_batch_files_are_refused(target: Command) -> None:
    """They would be lost silently otherwise."""
    assert_fails(target([schema_of("profiles"), {"type": "BATCH", "stream": "profiles"}]), 2, "batch_config")


def test_about_and_version_need_no_key(target: Command) -> None:
    """Meltano asks for both before anything is set."""
    about = target(arguments=("--about", "--format", "json"))
    assert about.code == 0
    found = json.loads(about.stdout)["settings"]["properties"]
    assert found["api_key"]["secret"]
    assert all(entry.get("title") and entry.get("description") for entry in found.values())
    assert "target-klaviyo v" in target(arguments=("--version",)).stdout


def test_a_signal_settles_what_is_under_way(target: Command, account: RunningSandbox, tmp_path: Path) -> None:
    """SIGTERM ends the run with a code that is no success, and with the state that is true: the job is waited for."""
    account.control.change(speed=1, job_seconds=3600)
    (tmp_path / "config.json").write_text(json.dumps(target.config))
    command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
    with warm.Popen(command, stdin=warm.PIPE, stdout=warm.PIPE, stderr=warm.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdin is not None
        people = [{"email": f"p{i}@example.com"} for i in range(40)]
        lines = [schema_of("profiles"), *records("profiles", people), *ONE[-1:]]
        process.stdin.write(singer_lines(lines))
        process.stdin.close()
        process.stdin = None
        assert process.stderr is not None
        until(lambda: account.store.jobs.rows)
        process.send_signal(signal.SIGTERM)
        assert any("waiting for the requests that are under way" in line for line in process.stderr)
        account.control.advance(seconds=3600)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert [json.loads(line) for line in out.splitlines()] == [ONE[-1]["value"]]


def test_an_unreachable_host_is_one_line_and_exit_1(target: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody must change anything; the line names the address."""
    path = target.folder / "config.json"
    path.write_text(json.dumps({**target.config, "api_url": "http://127.0.0.1:9"}))
    done = run_command([*fast_command("target_klaviyo"), "--config", str(path)], ONE, folder=target.folder)
    assert_fails(Run(done.returncode, done.stdout, done.stderr, target.folder), 1, "127.0.0.1:9")
