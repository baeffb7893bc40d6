"""Lines without nulls: shorter, and of the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.schema_fit import misfits
from tap_support import Run, config, discovered, run_tap, select
from test_tap_reports import ago
from test_tap_reports import catalog as report_catalog

from klaviyo_sandbox import RunningSandbox
from tap_klaviyo.rows.record_lines import record_lines
from tap_klaviyo.tables import BY_DEFAULT

REPORTS = [{"report": "segment_series", "start_date": ago(5)}]
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_only_null_columns_are_left_out() -> None:
    """What is empty, nought or false stays, and so do nulls inside of objects and lists."""
    row = {"id": "a", "no": None, "text": "", "nought": 0, "false": False, "list": [None], "object": {"a": None}}
    whole, short = (record_lines("events", [row, row], NOW, 3, omit_nulls=omit) for omit in (False, True))
    assert (whole.count, short.count) == (2, 2)
    for wanted, made in zip(whole.data.splitlines(), short.data.splitlines(), strict=True):
        message = json.loads(wanted)
        del message["record"]["no"]
        assert json.loads(made) == message
    assert row["no"] is None


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=60, events=2500, seed=3, limits=False)


def _rows(run: Run, *, filled: bool) -> dict[str, list[dict[str, Any]]]:
    """Every stream's rows; where they are to be filled, with a null for each column of the SCHEMA that is missing."""
    columns: dict[str, dict[str, None]] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for message in run.messages:
        if message["type"] == "SCHEMA":
            columns[message["stream"]] = dict.fromkeys(message["schema"]["properties"])
        elif message["type"] == "RECORD":
            missing = columns[message["stream"]] if filled else {}
            rows.setdefault(message["stream"], []).append({**missing, **message["record"]})
    return rows


@pytest.mark.parametrize(
    "settings",
    [
        {"processes": 0},
        {"processes": 2},
        {
            "stream_maps": {
                "profiles": {"domain": "email.split('@')[-1] if email else None"},
                "events": {"x": "subject"},
            }
        },
        {"flattening_enabled": True, "flattening_max_depth": 1},
        {"reports": REPORTS},
        {"emit_activate_version_messages": True},
    ],
    ids=["here", "workers", "mapped", "flattened", "reports", "versions"],
)
def test_the_rows_are_the_same_with_nulls_in_their_places(
    account: RunningSandbox, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """Whoever makes the lines: this process, workers, the SDK."""
    runs = {}
    for omit in (False, True):
        catalog = select(discovered(), dict.fromkeys(BY_DEFAULT))
        catalog["streams"] += report_catalog(settings.get("reports", []))["streams"]
        runs[omit] = run_tap(tmp_path, config(account, omit_nulls=omit, **settings), catalog=catalog)
        assert runs[omit].code == 0, runs[omit].errors
    short = _rows(runs[True], filled=False)
    assert short["events"]
    assert ("segment_series" in short) == ("reports" in settings)
    assert [row for rows in short.values() for row in rows if None in row.values()] == []
    assert _rows(runs[True], filled=True) == _rows(runs[False], filled=True)
    assert misfits(runs[True].messages) == []
