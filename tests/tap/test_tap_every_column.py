"""Every column of every table has a value somewhere in the account that the sandbox seeds: no path is a guess."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support.others.profile_jobs import create_jobs
from tap_support import config, discovered, run_tap, select

from klaviyo_sandbox import RunningSandbox
from tap_klaviyo.rows import schema_files
from tap_klaviyo.tables import STREAMS

GONE = "revision 2025-10-15 of the API no longer has it"
UNDECLARED = "Klaviyo's document no longer has it, to which the sandbox keeps; live answers may have it"
V1 = "the first specification has it, and nothing ever gave it"
# (table, column) -> why the account gives it no value.
ALWAYS_NULL = {
    ("campaigns", "send_options_ignore_unsubscribes"): UNDECLARED,
    ("flow_actions", "tracking_options_is_tracking_opens"): GONE,
    ("flow_actions", "tracking_options_is_tracking_clicks"): GONE,
    ("esp_campaigns", "parent_campaign_key"): V1,
    ("esp_campaigns", "automation_position"): V1,
    ("esp_lists", "status"): V1,
    ("esp_lists", "rating"): V1,
    ("esp_lists", "archived_at"): V1,
    ("esp_members", "predict_user_id"): V1,
    **{
        (f"esp_{name}", "list_key"): V1
        for name in ("sends", "bounces", "opens", "clicks", "spams", "unsubscribes", "events")
    },
}


def test_every_column_has_a_value_in_some_row(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """As large as the account is unless it is told otherwise, with jobs, which somebody has to start."""
    account = make_sandbox(profiles=200, events=1000, seed=1, limits=False, job_seconds=0.0)
    create_jobs(account)
    run = run_tap(tmp_path, config(account), catalog=select(discovered(), dict.fromkeys(STREAMS)))
    assert run.code == 0, run.errors
    columns = {
        (message["stream"], column)
        for message in run.messages
        if message["type"] == "SCHEMA"
        for column in message["schema"]["properties"]
    }
    assert {stream for stream, _ in columns} == set(STREAMS)
    told = {
        (stream, column)
        for stream in STREAMS
        for row in run.rows(stream)
        for column, value in row.items()
        if value is not None
    }
    assert columns - told == ALWAYS_NULL.keys()


def test_a_column_without_values_says_so() -> None:
    """Whoever reads the table's page learns it there."""
    for (table, column), reason in ALWAYS_NULL.items():
        said = schema_files.load(table)["properties"][column]["description"].casefold()
        assert ("null where klaviyo leaves it out" if reason == UNDECLARED else "always null") in said
