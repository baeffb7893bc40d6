"""What fails for good takes no other table with it, and is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.front import Answer, front_of, refusal
from tap_support import Run, config, discovered, run_tap, select

from klaviyo_sandbox.server import RunningSandbox

HTML = (503, {"content-type": "text/html"}, b"<html>Service Temporarily Unavailable</html>")
NO_JSON = (200, {"content-type": "text/html"}, b"<html>Welcome</html>")
WANTED = ("tag_groups", "lists", "list_profiles", "metrics", "events")


def run_with(
    make_sandbox: Callable[..., RunningSandbox],
    folder: Path,
    answers: dict[str, Answer],
    wanted: tuple[str, ...] = WANTED,
    **settings: Any,
) -> Run:
    """A run over an account whose requests to these paths get these answers."""
    sandbox = make_sandbox(profiles=10, events=20, limits=False)

    def answer(address: str) -> Answer | None:
        return next((found for path, found in answers.items() if address.partition("?")[0] == path), None)

    with front_of(sandbox.url, answer) as url:
        catalog = select(discovered(), dict.fromkeys(wanted))
        return run_tap(folder, {**config(sandbox, **settings), "api_url": url}, catalog=catalog)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(refusal(400, "Invalid filter"), id="400"),
        pytest.param(refusal(404), id="404"),
        pytest.param(refusal(409), id="409"),
        pytest.param(HTML, id="503"),
        pytest.param(NO_JSON, id="no JSON"),
    ],
)
def test_an_operation_that_fails_for_good_leaves_the_later_tables_alone(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, bad: Answer
) -> None:
    """The other tables are whole; each that failed has one line, and its bookmark stays; the run is not green."""
    run = run_with(make_sandbox, tmp_path, {"/api/lists": bad})
    assert run.code == 1, run.errors
    assert run.streams >= {"tag_groups", "metrics", "events"}
    assert not run.streams & {"lists", "list_profiles"}
    assert len(run.rows("events")) == 20
    errors = run.said("ERROR")
    # What hangs on the lists is not asked for again.
    assert [("lists: failed, " in line, "list_profiles: failed, " in line) for line in errors] == [
        (True, False),
        (False, True),
    ]
    assert all("get_lists" in line for line in errors)
    assert run.errors.splitlines()[-1].endswith(
        "incomplete: lists, list_profiles failed, see above; their bookmarks stay, and the next run continues there"
    )
    assert {"lists", "list_profiles"}.isdisjoint(
        name for name, bookmark in run.state["bookmarks"].items() if "replication_key_value" in bookmark
    )


def test_strict_stops_at_the_first_failure(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """Nothing after it is read."""
    run = run_with(make_sandbox, tmp_path, {"/api/lists": refusal(400)}, strict=True)
    assert run.code == 1, run.errors
    assert "events" not in run.streams
    (last,) = run.said("CRITICAL")
    assert "get_lists was refused" in last
    assert '"ending": "failed"' in run.errors


def test_an_account_that_is_out_is_given_up(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """When several operations in a row fail, the account does: nobody waits for the patience of all others."""
    wanted = {
        "tag_groups": "/api/tag-groups",
        "lists": "/api/lists",
        "segments": "/api/segments",
        "templates": "/api/templates",
        "campaigns": "/api/campaigns",
        "metrics": "/api/metrics",
        "profiles": "/api/profiles",
        "events": "/api/events",
    }
    run = run_with(make_sandbox, tmp_path, dict.fromkeys(wanted.values(), HTML), tuple(wanted))
    assert run.code == 1
    assert len(run.said("ERROR")) < len(wanted)
    # A thread that was to try again may still say so afterwards.
    (last,) = run.said("CRITICAL")
    assert last.endswith("answered 503")
