"""How content and what is more about people is asked for: passes of their own, only what changed, and all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tap_support import Run, config, discovered, run_tap, select

from klaviyo_sandbox.server import RunningSandbox

SINCE = "2026-01-01T00:00:00+00:00"
INCREMENTAL = {
    "templates": "updated",
    "template_universal_content": "updated",
    "images": "updated_at",
    "forms": "updated_at",
    "form_versions": "updated_at",
    "conversations": "profile_updated",
    "profile_predictive_analytics": "profile_updated",
}
REREAD = {"web_feeds": "updated", "reviews": "created"}
Read = Callable[..., tuple[Run, list[tuple[str, dict[str, str]]]]]


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=130, events=200, seed=4, limits=False)


@pytest.fixture
def read(account: RunningSandbox, tmp_path: Path) -> Read:
    """Runs the tap over some tables, by default from ``SINCE`` on; gives the run, and what was asked."""

    def run(columns: dict[str, str], **settings: object) -> tuple[Run, list[tuple[str, dict[str, str]]]]:
        before = len(account.requests)
        bookmarks = {
            table: {"replication_key": column, "replication_key_value": SINCE} for table, column in columns.items()
        }
        found = run_tap(
            tmp_path,
            config(account, **settings),
            catalog=select(discovered(), dict.fromkeys(columns)),
            state={"bookmarks": bookmarks},
        )
        assert found.code == 0, found.errors
        asked = list(account.requests)[before:]
        assert {entry.status for entry in asked} == {200}
        return found, [(entry.path, dict(entry.query)) for entry in asked]

    return run


@pytest.fixture
def resources(account: RunningSandbox) -> Callable[[str, str], dict[str, str]]:
    """Ids of a type, each with the value of one attribute."""
    return lambda kind, name: {row["id"]: row[name] for row in account.store.resources[kind].rows.values()}


def test_only_what_changed_is_read(read: Read, resources: Callable[[str, str], dict[str, str]]) -> None:
    """From the bookmark on, also of hidden images and of the versions of forms that did not change themselves."""
    run, asked = read(INCREMENTAL)
    for table, kind in (
        ("template_universal_content", "template-universal-content"),
        ("images", "image"),
        ("forms", "form"),
        ("form_versions", "form-version"),
    ):
        key = f"{table.removesuffix('s')}_id"
        times = resources(kind, INCREMENTAL[table])
        changed = {row_id for row_id, at in times.items() if at >= SINCE}
        assert changed
        assert changed != times.keys()
        assert {row[key] for row in run.rows(table)} == changed
    assert {row["hidden"] for row in run.rows("images")} == {True, False}
    for table, column in INCREMENTAL.items():
        assert all(row[column] >= "2025-12-31T23:59:59" for row in run.rows(table)), table
        assert run.state["bookmarks"][table]["replication_key_value"] >= SINCE
    # Every form is asked, for which their ids are needed.
    assert sum(path.endswith("/form-versions") for path, _ in asked) == len(resources("form", "name"))


def test_what_changes_without_its_bookmark_is_read_whole(
    read: Read, resources: Callable[[str, str], dict[str, str]]
) -> None:
    """Reviews are published and feeds break long after they were made; the user may say otherwise."""
    run, _ = read(REREAD)
    assert {row["review_id"] for row in run.rows("reviews")} == resources("review", "created").keys()
    assert {row["web_feed_id"] for row in run.rows("web_feeds")} == resources("web-feed", "updated").keys()
    run, asked = read(REREAD, reread=[])
    created = {row_id for row_id, at in resources("review", "created").items() if at >= SINCE}
    assert {row["review_id"] for row in run.rows("reviews")} == created
    assert all("created" in query["filter"] for path, query in asked if path == "/api/reviews")


def test_what_is_dearer_of_people_does_not_slow_their_profiles(read: Read) -> None:
    """Predictions and conversations are asked for in passes of their own, and only there."""
    tables = ("profiles", "conversations", "profile_predictive_analytics")
    _, asked = read({"profiles": "updated", **{table: INCREMENTAL[table] for table in tables[1:]}})
    kinds = {
        (query.get("include"), query.get("additional-fields[profile]"))
        for path, query in asked
        if path == "/api/profiles"
    }
    assert kinds == {(None, "subscriptions"), ("conversations", None), (None, "predictive_analytics")}
