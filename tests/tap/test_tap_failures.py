"""What goes wrong is one line that says what to do, and an exit code."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tap_support import KEY, Run, config, discovered, run_tap, select, two_at_a_time

from klaviyo_client import errors
from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import RawPage, parse_outline
from klaviyo_client.api.protocol import refusal
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import Incomplete
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.reading.account_reader import AccountReader
from tap_klaviyo.rows import schema_files
from tap_klaviyo.tables import BY_DEFAULT, TABLES
from tap_klaviyo.tap import TapKlaviyo


def assert_fails(run: Run, code: int, said: str) -> None:
    """One line says what to do; nothing that a log should not hold."""
    assert run.code == code, run.errors
    lines = run.said("ERROR", "CRITICAL")
    assert len(lines) == 1
    assert re.search(said, lines[0])
    assert_discreet(run)


def assert_discreet(run: Run) -> None:
    assert "Traceback" not in run.errors
    assert KEY not in run.errors
    assert "@example" not in run.errors
    assert not re.search(r"\+\d{10}", run.errors)


WRONG: list[tuple[dict[str, Any] | str, str]] = [
    ({}, "api_key is missing: put it into the config, or set TAP_KLAVIYO_API_KEY"),
    ({"api_key": ""}, "api_key is missing"),
    ({"api_key": KEY, "api_url": "http://example.com"}, "must begin with https"),
    ({"api_key": KEY, "start_date": "yesterday"}, "start_date must be a time such as 2026-01-31"),
    ({"api_key": KEY, "start_date": 20260101}, "start_date is wrong: type must be string"),
    ({"api_key": KEY, "rate_limit_share": 1.5}, "rate_limit_share is wrong: maximum must be 1"),
    ({"api_key": KEY, "request_timeout": "soon"}, "request_timeout is wrong: type must be number"),
    ({"api_key": KEY, "batch_config": {"encoding": {"format": "jsonl"}}}, "batch_config is wrong: required must be"),
    ({"api_key": f"{KEY}\nX"}, "api_key must be a private key"),
    ({"api_key": KEY, "api_url": "http://localhost.example.com"}, "must begin with https"),
    ({"api_key": KEY, "api_url": "ftp://127.0.0.1"}, "api_url must be an address"),
    ({"api_key": KEY, "rate_limit_share": 0}, "rate_limit_share is wrong: exclusiveMinimum must be 0"),
    ({"api_key": KEY, "stream_maps": {"profiles": {"email": "nope("}}}, "the settings cannot be used"),
    ("no-such-file.json", "config file cannot be read"),
]


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """A run with each of the wrong settings."""
    return two_at_a_time([partial(run_tap, tmp_path_factory.mktemp("wrong"), settings) for settings, _ in WRONG])


@pytest.mark.parametrize(("case", "said"), [(case, said) for case, (_, said) in enumerate(WRONG)])
def test_wrong_settings_are_exit_2(wrong: list[Run], case: int, said: str) -> None:
    """Found before anything is written for a target."""
    assert_fails(wrong[case], 2, said)
    assert wrong[case].messages == []


def test_a_config_that_is_no_json_is_exit_2(tmp_path: Path) -> None:
    """A slip of the pen is told from a missing file; what was read of it is not quoted."""
    paths = [tmp_path / "broken.json", tmp_path / "list.json"]
    for path, text in zip(paths, (f"{{api_key: {KEY}", f'["{KEY}"]'), strict=True):
        path.write_text(text)
    for run in two_at_a_time([partial(run_tap, tmp_path, str(path)) for path in paths]):
        assert_fails(run, 2, "not a JSON object")


def test_a_wrong_key_is_exit_2(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """Nobody should try again with it."""
    sandbox = make_sandbox(profiles=5, events=0, key="pk_another", limits=False)
    assert_fails(run_tap(tmp_path, config(sandbox)), 2, "check that it is a private key")


def test_a_retired_revision_is_exit_2(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """It is never answered in the shape of another revision."""
    sandbox = make_sandbox(profiles=5, events=0, limits=False, faults="refuse=get_accounts:410+get_profiles:410")
    assert_fails(run_tap(tmp_path, config(sandbox)), 2, "no longer serves the revision of its API")


def test_a_missing_scope_leaves_out_its_tables_only(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """The others are read; the last line names what was left out and the scope to add; the exit code is 1."""
    granted = "profiles:read lists:read metrics:read events:read"
    sandbox = make_sandbox(profiles=10, events=20, scopes=granted, limits=False)
    run = run_tap(tmp_path, config(sandbox))
    assert run.code == 1
    readable = {
        table.name
        for table in TABLES
        if table.name in BY_DEFAULT and set(operation(table.collection.operation).scopes) <= set(granted.split())
    }
    assert {"profiles", "list_profiles", "member_lists", "events", "event_attributions"} <= readable
    assert not readable & {"campaigns", "flows", "segments", "segment_profiles", "tags"}
    # Of so few people and events some tables may have no row.
    assert {"profiles", "lists", "list_profiles", "metrics", "events"} <= run.streams <= readable
    last = run.errors.splitlines()[-1]
    skipped = last.partition("incomplete: ")[2].partition(" skipped")[0].split(", ")
    # Of tables that can be read, the columns that hold the account's id.
    columns = {"stg_member_lists._account_id", "member_lists.key"}
    assert set(skipped) == columns | (BY_DEFAULT - readable)
    assert "accounts:read, campaigns:read, flows:read, segments:read, tags:read" in last
    assert_discreet(run)


def test_a_missing_scope_names_a_stream_of_many_collections_once(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Nine collections feed one stream; what hangs on something that cannot be listed is left out with it."""
    sandbox = make_sandbox(profiles=10, events=0, scopes="profiles:read coupon-codes:read", limits=False)
    wanted = ("catalog_jobs", "catalog_item_categories", "coupon_codes", "profiles")
    run = run_tap(tmp_path, config(sandbox), catalog=select(discovered(), dict.fromkeys(wanted)))
    assert run.code == 1
    assert run.rows("profiles")
    last = run.errors.splitlines()[-1]
    assert last.partition("incomplete: ")[2] == (
        "catalog_item_categories, catalog_jobs, coupon_codes skipped, because the key lacks a scope; "
        "these are needed: catalogs:read, coupons:read"
    )
    assert_discreet(run)


def test_a_missing_scope_fails_the_test_of_the_connection(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """`--test` is there to find this out."""
    sandbox = make_sandbox(profiles=10, events=20, scopes="profiles:read accounts:read", limits=False)
    assert_fails(run_tap(tmp_path, config(sandbox), "--test"), 2, "lists:read")


WEBHOOKS = ("webhooks", "webhook_subscriptions", "webhook_topics")


@pytest.mark.parametrize("options", [(), ("--test",)])
def test_what_the_plan_does_not_have_is_a_warning(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """No scope mends it, so it fails neither a run nor the test of the connection, whatever `strict` says."""
    sandbox = make_sandbox(profiles=2, events=0, limits=False, advanced_kdp=False)
    catalog = select(discovered(), dict.fromkeys((*WEBHOOKS, "tag_groups")))
    run = run_tap(tmp_path, config(sandbox, strict=True), *options, catalog=catalog)
    assert run.code == 0, run.errors
    lines = [line for line in run.said("WARNING", "ERROR", "CRITICAL") if "skipped, " in line]
    assert [line.partition("skipped, ")[2] for line in lines] == [
        f"the account's plan does not include {operation} (You must have Advanced KDP enabled to use this "
        "endpoint. [/data/])"
        for operation in ("get_webhooks", "get_webhook_topics")
    ]
    assert [name in line for name, line in zip(WEBHOOKS, (lines[0], lines[0], lines[1]), strict=True)] == [True] * 3
    if not options:
        assert run.rows("tag_groups")
        assert [run.rows(name) for name in WEBHOOKS] == [[], [], []]


def test_a_scope_for_what_the_plan_may_have_is_still_missing(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """The other tables are read; the line names the tables and the scope, and the run is not green."""
    sandbox = make_sandbox(profiles=2, events=0, limits=False, advanced_kdp=False, scopes="tags:read")
    run = run_tap(tmp_path, config(sandbox), catalog=select(discovered(), dict.fromkeys((*WEBHOOKS, "tag_groups"))))
    assert run.code == 1
    assert run.rows("tag_groups")
    assert "webhooks, webhook_subscriptions, webhook_topics skipped" in run.errors.splitlines()[-1]
    assert "these are needed: webhooks:read" in run.errors.splitlines()[-1]


def test_an_unreachable_host_is_exit_1(tmp_path: Path) -> None:
    """After several attempts, in one line that names the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        # Bound until the end, so that nobody else listens there meanwhile.
        run = run_tap(tmp_path, {"api_key": KEY, "api_url": f"http://127.0.0.1:{port}"})
    assert_fails(run, 1, f"the host cannot be reached .*{port}")
    assert "trying again" in run.errors


def test_a_broken_state_is_exit_2(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """A bookmark that is no time names its table."""
    sandbox = make_sandbox(profiles=5, events=0, limits=False)
    state = {"bookmarks": {"profiles": {"replication_key": "updated", "replication_key_value": "soon"}}}
    catalog = select(discovered(), {"profiles": None})
    assert_fails(run_tap(tmp_path, config(sandbox), catalog=catalog, state=state), 2, "the bookmark of profiles")


UNUSABLE = [
    (option, text) for option in ("state", "catalog") for text in ("", "{nope", '{"bookmarks": [], "streams": 5}')
]


@pytest.fixture(scope="module")
def unusable(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """A run with each of the unusable files; none stands for a file that is not there."""
    runs = []
    for option, text in UNUSABLE:
        path = tmp_path_factory.mktemp("unusable") / "given.json"
        if text:
            path.write_text(text)
        settings = {"api_key": KEY, "api_url": "http://127.0.0.1:9"}
        runs.append(partial(run_tap, path.parent, settings, f"--{option}", str(path)))
    return two_at_a_time(runs)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=f"{option} {text or 'missing'}") for case, (option, text) in enumerate(UNUSABLE)],
)
def test_an_unusable_file_is_exit_2(unusable: list[Run], case: int) -> None:
    """It is the user who can mend a STATE or catalog file; the line names the option."""
    assert_fails(unusable[case], 2, UNUSABLE[case][0])
    assert unusable[case].messages == []


def test_a_start_date_at_the_calendars_beginning_is_everything_or_exit_2(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """A date that people write for "everything" must not end in an unexpected OverflowError."""
    sandbox = make_sandbox(profiles=5, events=0, limits=False)
    catalog = select(discovered(), {"profiles": None})
    run = run_tap(tmp_path, config(sandbox, start_date="0001-01-01"), catalog=catalog)
    assert "unexpected" not in run.errors
    assert run.code in (0, 2)


@pytest.mark.parametrize("column", ["email", "phone_number", "first_name"])
def test_a_stream_map_that_fails_on_a_value_does_not_quote_it(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, column: str
) -> None:
    """Python's own messages hold the value; stderr names stream, property, expression and kind of error."""
    sandbox = make_sandbox(profiles=20, events=0, limits=False)
    settings = config(sandbox, stream_maps={"profiles": {"n": f"float({column} + 'x') if {column} else 0.0"}})
    run = run_tap(tmp_path, settings, catalog=select(discovered(), {"profiles": None}))
    assert_fails(run, 1, rf"the stream map of profiles fails: n: float\({column} \+ 'x'\) if .* \(ValueError\)")
    assert "could not convert" not in run.errors


class Vanished(KlaviyoClient):
    """An account in which one list is deleted after it was listed."""

    def raw_page(self, name: str, *, path: Any, query: Any, link: str | None = None, permit: Any = None) -> RawPage:
        if name == "get_lists":
            found = [{"id": "GONE", "attributes": {"name": "a"}}, {"id": "HERE", "attributes": {"name": "b"}}]
        elif path["id"] == "GONE":
            raise errors.NotFound("gone", status=404, operation=name)
        else:
            found = [{"id": "P", "attributes": {"joined_group_at": "2026-01-01T00:00:00Z"}}]
        return parse_outline(json.dumps({"data": found}).encode(), self.api_url)


def test_a_list_that_vanishes_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    """Deleted between listing and reading: one warning that names it, and the other lists go on."""
    from datetime import UTC, datetime

    (table,) = [entry for entry in TABLES if entry.name == "list_profiles"]
    schema = schema_files.load(table.name)
    account = AccountReader(
        client=Vanished(api_key=KEY),
        now=datetime.now(UTC),
        selected=[SelectedTable(table, schema, tuple(schema["properties"]))],
        collections={entry.collection.name: entry.collection for entry in TABLES},
    )
    batches = account.read(table.collection, {table.name: None})
    rows = [row for batch in batches for row in batch.rows.get(table.name, ())]
    assert [(row["list_id"], row["list_name"], row["profile_id"]) for row in rows] == [("HERE", "b", "P")]
    assert [record.getMessage() for record in caplog.records] == [
        "list_profiles: lists GONE was deleted during the run; skipped"
    ]


def test_a_metric_that_there_is_not_is_told_before_anything_is_read(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Events are read last; nobody waits for the profiles to learn of a slip of the pen."""
    sandbox = make_sandbox(profiles=30, events=20, limits=False)
    run = run_tap(tmp_path, config(sandbox, event_metrics=["Placed Ordr"]))
    assert_fails(run, 2, "event_metrics: the account has no metric called Placed Ordr")
    assert "/api/profiles" not in {entry.path for entry in sandbox.requests}
    assert run.streams == set()


def test_who_may_not_read_metrics_gets_the_rest(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """The scope is asked for once beforehand, and missed by the events only."""
    sandbox = make_sandbox(profiles=5, events=20, scopes="profiles:read events:read", limits=False)
    catalog = select(discovered(), {"profiles": None, "events": {"id"}})
    run = run_tap(tmp_path, config(sandbox, event_metrics=["Placed Order"]), catalog=catalog)
    assert run.code == 1
    assert len(run.rows("profiles")) == 5
    assert "events: skipped, the key lacks a scope for get_metrics" in run.errors
    assert [entry.path for entry in sandbox.requests].count("/api/metrics") == 2


def test_a_scope_that_only_an_include_needs_is_named() -> None:
    """The specification has none for the conversations that come with profiles; Klaviyo's words would."""
    detail = "Your API key is missing required scopes for this request: conversations:read"
    body = json.dumps({"errors": [{"code": "permission_denied", "title": "", "detail": detail}]}).encode()
    tap = TapKlaviyo(config={"api_key": KEY}, parse_env_config=False)
    tap.skip(["conversations"], refusal(403, body, operation("get_profiles")))
    with pytest.raises(Incomplete, match=r"conversations skipped.*needed: conversations:read$"):
        tap.finish()
