"""Suppressions are read by their own time, too: Klaviyo says nowhere that one moves its profile's time of change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.calls import Caller
from tap_support import Run, config, discovered, run_tap, select

from klaviyo_sandbox.server import RunningSandbox
from klaviyo_sandbox.spec import facts
from tap_klaviyo.streams import run
from tap_klaviyo.tap import TapKlaviyo

SUPPRESSIONS, LIST_SUPPRESSIONS = "profile_email_suppressions", "profile_email_list_suppressions"
EXCLUSIONS = "esp_member_exclusions"
TABLES = (SUPPRESSIONS, LIST_SUPPRESSIONS, EXCLUSIONS)
UNSUBSCRIBED = {"email": {"marketing": {"consent": "UNSUBSCRIBED"}}}


@pytest.fixture
def account(make_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    """Eight people with an address, in three lists, whom nobody has suppressed yet; suppressions move no `updated`."""
    sandbox = make_sandbox(profiles=8, events=0, limits=False, job_seconds=0, quiet_suppressions=True)
    store = sandbox.store
    for number, row in enumerate(list(store.profiles.rows.values())):
        marketing = {**row["subscriptions"]["email"]["marketing"], "suppression": [], "list_suppressions": []}
        marketing |= {"consent": "SUBSCRIBED", "can_receive_email_marketing": True}
        subscriptions = {**row["subscriptions"], "email": {"marketing": marketing}}
        store.put_profile({**row, "email": f"{number}@example.com", "subscriptions": subscriptions})
        for list_id in list(store.lists.rows)[:3]:
            store.add_to_list(list_id, row["id"])
    return sandbox


def people(sandbox: RunningSandbox) -> list[str]:
    """The ids of the eight, in the order of their addresses."""
    return [sandbox.store.identifiers["email"][f"{number}@example.com"] for number in range(8)]


def suppress_everyhow(sandbox: RunningSandbox) -> None:
    """By hand, by unsubscribing from everything and from two lists, by a bounce and a complaint."""
    caller, ids, lists = Caller(sandbox.url), people(sandbox), list(sandbox.store.lists.rows)
    rows = [{"type": "profile", "attributes": {"email": "0@example.com"}}]
    data = {"type": "profile-suppression-bulk-create-job", "attributes": {"profiles": {"data": rows}}}
    assert caller.post("profile-suppression-bulk-create-jobs", {"data": data}).status_code == 202
    for address, list_id in (("1@example.com", None), ("2@example.com", lists[0]), ("2@example.com", lists[1])):
        attributes: dict[str, Any] = {"email": address, "subscriptions": UNSUBSCRIBED}
        rows = [{"type": "profile", "attributes": attributes}]
        data = {"type": "profile-subscription-bulk-delete-job", "attributes": {"profiles": {"data": rows}}}
        if list_id is not None:
            data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
        assert caller.post("profile-subscription-bulk-delete-jobs", {"data": data}).status_code == 202
    sandbox.control.suppress(ids[3], "HARD_BOUNCE")
    sandbox.control.suppress(ids[4], "SPAM_COMPLAINT")
    caller.close()


def read_rows(sandbox: RunningSandbox, run: Run, table: str) -> set[tuple[Any, ...]]:
    """(number of the person, its reason, and of which list) for the table's rows."""
    ids, lists = people(sandbox), list(sandbox.store.lists.rows)
    return {
        (
            ids.index(row.get("profile_id") or row["member_id"]),
            row["reason"],
            *([lists.index(row["list_id"])] if "list_id" in row else []),
        )
        for row in run.rows(table)
    }


GLOBAL = {(0, "USER_SUPPRESSED"), (1, "UNSUBSCRIBE"), (3, "HARD_BOUNCE"), (4, "SPAM_COMPLAINT")}
EXPECTED = {SUPPRESSIONS: GLOBAL, EXCLUSIONS: GLOBAL, LIST_SUPPRESSIONS: {(2, "UNSUBSCRIBE", 0), (2, "UNSUBSCRIBE", 1)}}


def test_the_next_run_brings_every_suppression(account: RunningSandbox, tmp_path: Path) -> None:
    """Though no profile's time of change moved; and the profile as it is now.

    A whole run asks for nothing beside the profiles; Klaviyo takes one time in a filter, and list suppressions only
    with their list.
    """
    catalog = select(discovered(), dict.fromkeys((*TABLES, "profiles", "esp_members")))
    first = run_tap(tmp_path, config(account), catalog=catalog)
    assert first.code == 0
    assert {request.path: request.query.get("filter") for request in account.requests} == {
        "/api/profiles": None,
        "/api/accounts": None,
    }
    before = len(account.requests)
    suppress_everyhow(account)
    second = run_tap(tmp_path, config(account), catalog=catalog, state=first.state)

    assert (second.code, {table: read_rows(account, second, table) for table in TABLES}) == (0, EXPECTED)
    ids = people(account)
    may_receive = {row["profile_id"]: row["email_marketing_can_receive"] for row in second.rows("profiles")}
    assert {ids.index(row_id) for row_id in may_receive if may_receive[row_id] is False} == {0, 1, 3, 4}
    assert {ids[number] for number in (0, 1, 3, 4)} <= {row["id"] for row in second.rows("esp_members")}
    asked = [request.query["filter"] for request in list(account.requests)[before:] if request.path == "/api/profiles"]
    asked = [text for text in asked if text]
    assert sum("suppression.timestamp" in text for text in asked) == 1
    assert len([text for text in asked if "list_suppressions.timestamp" in text]) == len(account.store.lists.rows)
    assert all("list_suppressions.list_id" in text for text in asked if "list_suppressions" in text)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_suppressions_needs_no_other(account: RunningSandbox, tmp_path: Path, table: str) -> None:
    """Selected alone, it brings the same, and its bookmark moves as soon as a profile is changed."""
    catalog = select(discovered(), {table: None})
    first = run_tap(tmp_path, config(account), catalog=catalog)
    suppress_everyhow(account)
    second = run_tap(tmp_path, config(account), catalog=catalog, state=first.state)
    assert (second.code, read_rows(account, second, table)) == (0, EXPECTED[table])
    assert second.state == first.state
    caller = Caller(account.url)
    profile = {"type": "profile", "attributes": {"email": "7@example.com"}}
    assert caller.post("profile-import", {"data": profile}).status_code == 200
    caller.close()
    third = run_tap(tmp_path, config(account), catalog=catalog, state=second.state)
    bookmarks = [run.state["bookmarks"][table]["replication_key_value"] for run in (second, third)]
    assert bookmarks[0] < bookmarks[1]


def with_suppressions(row: Any, *, of_lists: list[Any] | None = None, of_all: list[Any] | None = None) -> Any:
    """A profile with these suppressions in place of its own."""
    marketing = {**row["subscriptions"]["email"]["marketing"]}
    marketing |= {"suppression": of_all or [], "list_suppressions": of_lists or []}
    return {**row, "subscriptions": {**row["subscriptions"], "email": {"marketing": marketing}}}


@pytest.fixture
def run_here(
    make_sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[RunningSandbox, Callable[..., Run]]:
    """An account of 250 people, and a function that reads it in this process with a STATE wherever one may be."""
    monkeypatch.setattr(run, "STATE_SECONDS", 0.0)
    sandbox = make_sandbox(profiles=250, events=0, limits=False)

    def read(wanted: dict[str, Any], state: Any = None, **settings: Any) -> Run:
        catalog = select(discovered(), wanted)
        capfd.readouterr()
        TapKlaviyo(config=config(sandbox, **settings), catalog=catalog, state=state, parse_env_config=False).sync_all()
        written = capfd.readouterr()
        return Run(0, [json.loads(line) for line in written.out.splitlines()], written.err)

    return sandbox, read


@pytest.mark.parametrize("others", [(), ("profiles",)])
def test_a_kill_between_the_passes_loses_nothing(
    run_here: tuple[RunningSandbox, Callable[..., Run]], others: tuple[str, ...]
) -> None:
    """Wherever a run ends: what it wrote before its last STATE, and what the next run brings from there, are all."""
    sandbox, read = run_here
    store, wanted = sandbox.store, dict.fromkeys((*TABLES, *others))
    first = read(wanted)
    list_ids = list(store.lists.rows)
    for number, row in enumerate(list(store.profiles.rows.values())):
        when = f"2026-10-{1 + number // 10:02d}T00:00:{number % 10:02d}+00:00"
        if number % 2:
            entry = {"reason": "HARD_BOUNCE", "timestamp": when}
            of_lists = [{"list_id": list_ids[number % 3], **entry, "reason": "UNSUBSCRIBE"}]
            store.put_profile(with_suppressions(row, of_lists=of_lists, of_all=[entry]))
        else:
            store.put_profile({**with_suppressions(row), "updated": when})
    whole = read(wanted, first.state)
    states = [place for place, message in enumerate(whole.messages) if message["type"] == "STATE"]
    reached = {}
    for place in states:
        reached[json.dumps(whole.messages[place])] = place
    assert len(reached) > 2
    for place in reached.values():
        before = Run(0, whole.messages[:place], "")
        after = read(wanted, whole.messages[place]["value"])
        for table in TABLES:
            key = "member_id" if table == EXCLUSIONS else "profile_id"
            held = {row[key] for row in (*before.rows(table), *after.rows(table))}
            assert held >= {row[key] for row in whole.rows(table)}
            assert len({row[key] for row in whole.rows(table)}) == 125


def test_a_key_that_may_not_list_lists_reads_what_moved_a_profile(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """As before: list by list they are an addition, so that what it lacks is a warning, and the bookmark moves."""
    sandbox = make_sandbox(profiles=30, events=0, limits=False, scopes="profiles:read")
    catalog = select(discovered(), {LIST_SUPPRESSIONS: None})
    state = {"bookmarks": {LIST_SUPPRESSIONS: {"replication_key_value": "2020-01-01T00:00:00+00:00"}}}
    ended = run_tap(tmp_path, config(sandbox), catalog=catalog, state=state)
    assert ended.code == 0
    assert ended.rows(LIST_SUPPRESSIONS)
    assert ended.state["bookmarks"][LIST_SUPPRESSIONS]["replication_key_value"] > "2024"
    (warning,) = ended.said("WARNING")
    assert f"{LIST_SUPPRESSIONS}: read without list_suppressed_profiles" in warning
    assert "lists:read" in warning
    assert run_tap(tmp_path, config(sandbox, strict=True), catalog=catalog, state=state).code == 2


def test_whole_reads_of_profiles_take_out_what_is_gone(
    run_here: tuple[RunningSandbox, Callable[..., Run]],
) -> None:
    """With `reread` the profiles are whole in every run: nothing is asked twice, and targets may delete."""
    sandbox, read = run_here
    settings = {"reread": ["profiles"], "emit_activate_version_messages": True}
    wanted = dict.fromkeys((*TABLES, "profiles"))
    first = read(wanted, **settings)
    before = len(sandbox.requests)
    second = read(wanted, first.state, **settings)
    asked = [request.query for request in list(sandbox.requests)[before:] if request.path == "/api/profiles"]
    assert len(asked) == 3
    assert all("filter" not in query for query in asked)
    for table in (*TABLES, "profiles"):
        assert second.kinds["ACTIVATE_VERSION", table] == 1
        assert second.kinds["RECORD", table] == first.kinds["RECORD", table] > 0


def test_a_new_table_beside_an_old_one(run_here: tuple[RunningSandbox, Callable[..., Run]]) -> None:
    """The new one is read whole with the profiles, once; the old one still gets what moved no profile."""
    sandbox, read = run_here
    store = sandbox.store
    first = read(dict.fromkeys(("profiles", SUPPRESSIONS)))
    row_id, row = next(iter(store.profiles.rows.items()))
    entry = {"reason": "HARD_BOUNCE", "timestamp": store.now_text()}
    store.put_profile(with_suppressions({**row, "updated": "2020-01-01T00:00:00+00:00"}, of_all=[entry]))
    second = read(dict.fromkeys(("profiles", SUPPRESSIONS, EXCLUSIONS)), first.state)
    assert row_id in {row["profile_id"] for row in second.rows(SUPPRESSIONS)}
    excluded = [(row["member_id"], row["reason"], row["created_at"]) for row in second.rows(EXCLUSIONS)]
    assert len(excluded) == len(set(excluded)) > len(second.rows(SUPPRESSIONS))


def test_a_table_read_whole_brings_no_other_its_old_rows(account: RunningSandbox, tmp_path: Path) -> None:
    """Who left lists is read whole in every run, by the pass that also feeds the suppressions of lists."""
    catalog = select(discovered(), dict.fromkeys((LIST_SUPPRESSIONS, "member_lists")))
    ids, lists = people(account), list(account.store.lists.rows)
    old = {"list_id": lists[0], "reason": "UNSUBSCRIBE", "timestamp": "2024-01-01T00:00:00+00:00"}
    for number in (5, 6):
        account.store.put_profile(with_suppressions(account.store.profiles.rows[ids[number]], of_lists=[old]))
    first = run_tap(tmp_path, config(account), catalog=catalog)
    new = {**old, "list_id": lists[1], "timestamp": account.store.now_text()}
    account.store.put_profile(with_suppressions(account.store.profiles.rows[ids[6]], of_lists=[old, new]))
    second = run_tap(tmp_path, config(account), catalog=catalog, state=first.state)
    assert read_rows(account, first, LIST_SUPPRESSIONS) == {(5, "UNSUBSCRIBE", 0), (6, "UNSUBSCRIBE", 0)}
    assert read_rows(account, second, LIST_SUPPRESSIONS) == {(6, "UNSUBSCRIBE", 1)}
    assert {(row["list_id"], row["member_id"]) for row in second.rows("member_lists")} >= {
        (lists[0], ids[5]),
        (lists[0], ids[6]),
        (lists[1], ids[6]),
    }


def test_an_account_that_refuses_these_filters_is_read_as_before(
    run_here: tuple[RunningSandbox, Callable[..., Run]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A 400 is a warning, and what moved a profile comes; until now nothing else did."""
    _, read = run_here
    filters = facts.load().operations["get_profiles"].filters
    for name in [name for name in filters if "suppression" in name]:
        monkeypatch.delitem(filters, name)
    bookmark = {"replication_key_value": "2026-01-01T00:00:00+00:00"}
    ended = read(dict.fromkeys(TABLES), {"bookmarks": {table: dict(bookmark) for table in TABLES}})
    assert all(ended.rows(table) for table in TABLES)
    reached = {ended.state["bookmarks"][table]["replication_key_value"] for table in TABLES}
    assert len(reached - set(bookmark.values())) == len(reached) == 1
    said = [record.getMessage() for record in caplog.records if "read without" in record.getMessage()]
    assert len(said) == 2
