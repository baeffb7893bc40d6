"""Whose members are read: lists and segments by name or id, and what STATE says when the choice changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tap_support import Run, config, discovered, run_tap, select

from klaviyo_client.errors import NotAllowed, SettingsError
from klaviyo_sandbox import RunningSandbox
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.reading.members_of import MembersOf
from tap_klaviyo.streams import members
from tap_klaviyo.tables import TABLES

LISTS = [{"id": "L1", "attributes": {"name": "VIPs"}}, {"id": "L2", "attributes": {"name": "News"}}]
SEGMENTS = [{"id": "S1", "attributes": {"name": "vips"}}, {"id": "S2", "attributes": {"name": None}}]
BY_NAME = {table.name: table for table in TABLES if not table.collection.supplements}
EVERYBODYS = ("list_profiles", "stg_member_lists", "member_lists", "esp_member_lists", "esp_stg_member_lists")


def groups(wanted: list[str], *tables: str, denied: str | None = None) -> MembersOf:
    def resources(kind: str) -> list[dict[str, Any]]:
        if kind == denied:
            raise NotAllowed(f"no {kind}", operation=f"get_{kind}", status=403)
        return {"lists": LISTS, "segments": SEGMENTS}[kind]

    selected = [SelectedTable(table, {}, ()) for table in TABLES if table.name in tables]
    return MembersOf(wanted, selected, resources)


def ids(of: MembersOf, table: str) -> list[str] | None:
    found = of.of_table(BY_NAME[table])
    return None if found is None else sorted(found)


def test_names_in_any_case_and_ids_stand_for_lists_and_segments() -> None:
    """A name that several have for all of these; nothing is asked, and nobody left out, where nothing is wanted."""
    both = groups([" VIPS ", "L2"], "list_profiles", "segment_profiles")
    assert (ids(both, "list_profiles"), ids(both, "segment_profiles")) == (["L1", "L2"], ["S1"])
    assert ids(groups(["vips"], "list_profiles"), "list_profiles") == ["L1"]
    assert ids(groups(["S2"], "list_profiles"), "list_profiles") == []
    assert ids(groups([], "list_profiles"), "list_profiles") is None
    assert ids(groups(["vips"], "profiles"), "profiles") is None
    assert groups(["nobody"], "profiles").kinds == []


@pytest.mark.parametrize(
    ("wanted", "tables", "denied", "said"),
    [
        ("VIPP", ("list_profiles",), None, "no list or segment called VIPP: did you mean"),
        ("zzz", ("segment_profiles",), None, "no list or segment called zzz; there are News, "),
        ("zzz", ("list_profiles",), "segments", "no list called zzz; there are News, VIPs"),
    ],
)
def test_an_unknown_name_says_what_there_is(
    wanted: str, tables: tuple[str, ...], denied: str | None, said: str
) -> None:
    """What is near, or else all; also where the members of the other kind are not selected, or may not be read."""
    with pytest.raises(SettingsError) as caught:
        groups([wanted], *tables, denied=denied).check()
    assert said in str(caught.value)


def test_the_bookmark_holds_for_those_who_were_read() -> None:
    """One added later was never read; one left out meanwhile has to be read anew; everybody is more than some."""
    one, two = frozenset(("A",)), frozenset(("A", "B"))
    state: dict[str, Any] = {}
    assert not members.is_behind(state, one)
    assert not members.begin(state, None)
    assert state == {}
    assert members.begin(state, one)
    assert members.is_behind(state, two)
    assert members.is_behind(state, None)
    assert not members.begin(state, two)
    assert members.end(state, two)
    assert not members.is_behind(state, two)
    assert not members.is_behind(state, one)
    assert members.begin(state, one)
    assert state == {"members_of": ["A"]}
    assert members.end(state, None)
    assert state == {}
    assert members.is_behind({"members_of": "odd"}, one)


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=60, events=0, seed=4, limits=False)


def largest(members_by_id: Mapping[str, Any]) -> list[str]:
    return sorted(members_by_id, key=lambda name: -len(members_by_id[name].rows))[:2]


def read(account: RunningSandbox, folder: Path, tables: tuple[str, ...], *arguments: str, **more: Any) -> Run:
    state = more.pop("state", None)
    chosen = select(discovered(), dict.fromkeys(tables))
    return run_tap(folder, config(account, **more), *arguments, catalog=chosen, state=state)


def pairs(run: Run, stream: str = "list_profiles") -> set[tuple[str, str]]:
    return {(row["list_id"], row.get("profile_id") or row.get("member_id")) for row in run.rows(stream)}


def of_list(account: RunningSandbox, *lists: str) -> set[tuple[str, str]]:
    return {(name, profile) for name in lists for profile in account.store.list_members[name].rows}


def test_only_their_members_are_read(account: RunningSandbox, tmp_path: Path) -> None:
    """In every table of members of lists, and of segments; others are not asked for."""
    store = account.store
    (first, _), (segment, _) = largest(store.list_members), largest(store.segment_members)
    before = len(account.requests)
    wanted = [store.lists.rows[first]["name"].upper(), segment]
    run = read(account, tmp_path, (*EVERYBODYS, "segment_profiles", "lists"), members_of=wanted)
    assert run.code == 0, run.errors
    for stream in EVERYBODYS:
        assert {pair for pair in pairs(run, stream) if pair[1]} >= of_list(account, first)
        assert {name for name, _ in pairs(run, stream)} == {first}
    assert {row["segment_id"] for row in run.rows("segment_profiles")} == {segment}
    assert len(run.rows("segment_profiles")) == len(store.segment_members[segment].rows)
    assert len(run.rows("lists")) == len(store.lists.rows)
    paths = {entry.path for entry in list(account.requests)[before:] if entry.path.endswith("/profiles")}
    assert paths == {f"/api/lists/{first}/profiles", f"/api/segments/{segment}/profiles", "/api/profiles"}


def test_other_tables_of_the_same_pages_lose_nothing(account: RunningSandbox, tmp_path: Path) -> None:
    """Suppressions of all lists come as before, though they are read list by list beside who left one of them."""
    first, _ = largest(account.store.list_members)
    state = {"bookmarks": {"profile_email_list_suppressions": {"replication_key": "profile_updated"}}}
    state["bookmarks"]["profile_email_list_suppressions"]["replication_key_value"] = "2020-01-01T00:00:00+00:00"
    tables = ("member_lists", "profile_email_list_suppressions")
    runs = [read(account, tmp_path, tables, state=state, **more) for more in ({}, {"members_of": [first]})]
    everything, chosen = (run.rows("profile_email_list_suppressions") for run in runs)
    assert everything
    assert sorted(map(str, chosen)) == sorted(map(str, everything))
    assert {name for name, _ in pairs(runs[1], "member_lists")} == {first}


def test_who_is_added_later_is_read_from_the_beginning(account: RunningSandbox, tmp_path: Path) -> None:
    """Though the bookmark is ahead; and again after it was left out for a while, or when everybody is wanted."""
    first, second = largest(account.store.list_members)
    tables = ("list_profiles",)
    state = read(account, tmp_path, tables, members_of=[first]).state
    assert state["bookmarks"]["list_profiles"]["members_of"] == [first]
    again = read(account, tmp_path, tables, members_of=[first], state=state)
    assert len(pairs(again)) < len(of_list(account, first))
    both = read(account, tmp_path, tables, members_of=[first, second], state=again.state)
    assert pairs(both) == of_list(account, first, second)
    less = read(account, tmp_path, tables, members_of=[second], state=both.state)
    assert len(pairs(less)) < len(of_list(account, second))
    assert less.state["bookmarks"]["list_profiles"]["members_of"] == [second]
    everybody = read(account, tmp_path, tables, state=less.state)
    assert pairs(everybody) == of_list(account, *account.store.list_members)
    assert "members_of" not in everybody.state["bookmarks"]["list_profiles"]


def test_a_wrong_name_is_told_before_anything_is_read(account: RunningSandbox, tmp_path: Path) -> None:
    """With exit code 2; a test of the connection tells it, too, and knows the right ones."""
    before = len(account.requests)
    run = read(account, tmp_path, ("profiles", "list_profiles"), members_of=["Nobody at all"])
    assert run.code == 2
    assert "members_of: the account has no list or segment called Nobody at all" in run.errors
    assert {entry.path for entry in list(account.requests)[before:]} == {"/api/lists", "/api/segments"}
    name = account.store.lists.rows[list(account.store.lists.rows)[-1]]["name"]
    for wanted, code in (("Nobody at all", 2), (name, 0)):
        tested = read(account, tmp_path, ("list_profiles",), "--test", members_of=[wanted])
        assert tested.code == code, tested.errors
