"""A list that cannot be, or that Klaviyo refuses, rejects the records that name it, and none besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from target_support import Command, outcomes_of, records, refused, respond, rows_of, scripted_session

from klaviyo_client.errors import NotAllowed, Refused, SettingsError
from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.model.records import ListRef

STATE = {"type": "STATE", "value": {"at": 1}}
# The last two are too long for an address.
UNUSABLE = ["", " ", "\u200b", "\ufeff ", "\x00", "\ud800", "x" * 20_000, "é" * 5_000]

# Action -> its entry, and how a record names a list.
NAMING: dict[str, tuple[dict[str, Any], Callable[[str], dict[str, Any]]]] = {
    "list_members": ({"create_list": True}, lambda name: {"list_name": name}),
    "subscribe": ({"create_list": True}, lambda name: {"list_name": name}),
    "unsubscribe": ({}, lambda name: {"list_name": name}),
    "identify": ({"create_list": True}, lambda name: {"$lists": [name]}),
    "update_profile": ({"create_list": True}, lambda name: {"list": name}),
}


def schema_with(*columns: str) -> dict[str, Any]:
    return {"type": "SCHEMA", "stream": "s", "schema": {"properties": {name: {} for name in columns}}}


@pytest.mark.parametrize("action", ["list_members", "subscribe", "identify"])
def test_a_list_that_cannot_be_takes_nothing_along(action: str, target: Command, account: RunningSandbox) -> None:
    """Blank, invisible, unwritable or endless: those records are rejected or joined to no list, the others done."""
    entry, naming = NAMING[action]
    rows = [{"email": f"bad{index}@example.com", **naming(name)} for index, name in enumerate(UNUSABLE)]
    good = [{"email": f"good{index}@example.com", **naming("News")} for index in range(2)]
    run = target(
        [schema_with("email", *good[0]), *records("s", [good[0], *rows, good[1]]), STATE],
        streams={"s": {"action": action, **entry}},
    )
    assert (run.code, run.states) == (0, [{"at": 1}]), run.stderr
    assert {row["name"] for row in account.store.lists.rows.values()} >= {"News"}
    assert not any(row["name"] in UNUSABLE for row in account.store.lists.rows.values())
    rejected = {line["record"]["email"] for line in run.rejected}
    assert rejected <= {row["email"] for row in rows}
    assert rejected >= {row["email"] for row in rows[-2:]}


class Lists:
    """An account with the list News; about any other name it answers with `verdict`, asked for it or to make it."""

    def __init__(self, verdict: Response, *, at: str) -> None:
        self.verdict, self.at, self.refusals = verdict, at, 0

    def __call__(self, request: Request) -> Response:
        path = request.url.removeprefix("https://a.klaviyo.com/api/")
        if path == "lists" and request.method == self.at and "News" not in str(request.query):
            self.refusals += 1
            return self.verdict
        if path == "lists" and "News" in str(request.query):
            return respond(200, {"data": [{"type": "list", "id": "NEWS01", "attributes": {"name": "News"}},
                                          {"type": "list", "id": "OTHER1", "attributes": None}]})  # fmt: skip
        if path.startswith("profile-bulk-import-jobs"):
            job = {"status": "complete", "total_count": 2, "completed_count": 2, "failed_count": 0}
            return respond(202, {"data": {"type": "profile-bulk-import-job", "id": "J", "attributes": job}})
        if path == "lists/NEWS01/profiles":
            data = [{"type": "profile", "id": "P", "attributes": {"email": f"{n}@example.com"}} for n in "ac"]
            return respond(200, {"data": data})
        if path in ("lists/VIP", "lists/No"):
            return refused(404, None)
        return respond(200, {"data": []}) if request.method == "GET" else respond(202)


@pytest.mark.parametrize("action", ["list_members", "subscribe", "unsubscribe"])
@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
@pytest.mark.parametrize("at", ["GET", "POST"])
def test_a_refused_list_rejects_its_own_records(action: str, status: int, at: str) -> None:
    """Asked for or made, once; the reason is Klaviyo's, and what others say of their list is done."""
    entry, naming = NAMING[action]
    account = Lists(refused(status, "/data/attributes/name"), at=at)
    session, _ = scripted_session(account)
    named = [{"email": f"{letter}@example.com", **naming(name)} for letter, name in zip("abc", ["News", "No", "News"],
                                                                                       strict=True)]  # fmt: skip
    found = outcomes_of(session, action, rows_of({"action": action, **entry}, *named, {**named[1], "email": "d@x.org"}))
    assert [str(outcome.kind) == "rejected" for outcome in found] == [False, True, False, True]
    if at == "GET" or action != "unsubscribe":
        assert (found[1].status, found[1].code, account.refusals) == (status, "invalid", 1)


def test_a_refused_list_of_the_settings_is_the_settings_fault() -> None:
    """The run ends and says whose list it is; no key is wrong."""
    session, _ = scripted_session(Lists(refused(400, "/data/attributes/name"), at="POST"))
    with pytest.raises(SettingsError, match="VIP"):
        session.lists.id_of(ListRef(id="VIP", name="VIP", create=True, configured=True))


def test_a_key_that_may_make_no_list_is_no_fault_of_the_list() -> None:
    """403 speaks of the key, and ends the run."""
    session, _ = scripted_session(Lists(refused(403, None), at="POST"))
    with pytest.raises(NotAllowed):
        session.lists.id_of(ListRef(name="No", create=True))


@pytest.mark.parametrize("name", ["", " ", "\u00a0", "\u200b"])
def test_a_size_of_no_list_is_rejected(name: str, target: Command) -> None:
    """It says nothing of any audience, and what else says it is heard."""
    schema = {"type": "SCHEMA", "stream": "audience_manifest", "schema": {"properties": {"list": {}, "count": {}}}}
    sizes = [{"list": name, "count": 2}, {"list": "News", "count": 3}]
    run = target([schema, *records("audience_manifest", sizes), STATE])
    assert (run.code, [line["record"] for line in run.rejected], run.states) == (0, sizes[:1], [{"at": 1}])


def test_lists_of_one_person_are_judged_apart(target: Command, account: RunningSandbox) -> None:
    """Records of one person that name other lists, one that cannot be among them: the others are joined, in order."""
    names = ["News", "x" * 20_000, "VIP", "\u200b", "News"]
    rows = [{"email": "ada@example.com", "list_name": name} for name in names]
    run = target(
        [schema_with("email", "list_name"), *records("s", rows), STATE],
        streams={"s": {"action": "list_members", "create_list": True}},
    )
    assert (run.code, run.states) == (0, [{"at": 1}])
    assert [line["record"] for line in run.rejected] == [rows[3], rows[1]]
    lists = {row["name"]: row["id"] for row in account.store.lists.rows.values()}
    assert all(len(account.store.list_members[lists[name]].rows) == 1 for name in ("News", "VIP"))


@pytest.mark.parametrize("action", ["list_members", "subscribe"])
def test_a_list_that_takes_nobody_is_given_up(action: str) -> None:
    """Refused again and again without a word of the list or a row: its records are rejected, another list's done."""
    asked: list[str] = []

    def wire(request: Request) -> Response:
        if request.method == "GET" and "lists/" in request.url:
            return respond(200, {"data": {"type": "list", "id": "x", "attributes": {"name": "x"}}})
        if request.method == "GET":
            job = {"status": "complete", "total_count": 1, "failed_count": 0}
            return respond(200, {"data": {"type": "job", "id": "J", "attributes": job}})
        asked.append(request.url)
        return refused(400, None) if b"Closed" in (request.body or b"") else respond(202, {"data": {"id": "J"}})

    session, _ = scripted_session(wire)
    people = [{"email": f"p{n}@example.com", "list_id": "News" if n % 4 == 0 else "Closed"} for n in range(400)]
    found = outcomes_of(session, action, rows_of({"action": action}, *people))
    assert [outcome.kind == "rejected" for outcome in found] == [n % 4 != 0 for n in range(400)]
    assert len(asked) < 60
    with pytest.raises(Refused):
        outcomes_of(session, action, rows_of({"action": action, "list": "Closed"},
                                             *({"email": person["email"]} for person in people)))  # fmt: skip


@pytest.mark.parametrize("name", ["two\nlines", 'say "hi"', "back\\slash", "it's", "C:\\new"])
def test_a_list_with_a_strange_name_is_made_once(name: str, target: Command, account: RunningSandbox) -> None:
    """The second run finds it by its name."""
    streams = {"s": {"action": "list_members", "create_list": True}}
    for index in range(2):
        row = {"email": f"p{index}@example.com", "list_name": name}
        run = target([schema_with("email", "list_name"), *records("s", [row])], streams=streams)
        assert run.code == 0, run.stderr
    assert [row["name"] for row in account.store.lists.rows.values()].count(name) == 1


@pytest.mark.parametrize("name", ["two\nlines", 'say "hi"', "back\\slash"])
def test_a_name_that_filters_escape_is_looked_for_among_all_lists(name: str) -> None:
    """Nobody has written down how Klaviyo reads escapes: a filter that finds nothing would make a list in every run."""
    made: list[Request] = []

    def answer(request: Request) -> Response:
        path = request.url.removeprefix("https://a.klaviyo.com/api/")
        if path == "lists" and request.method == "POST":
            made.append(request)
        if path == "lists" and "filter" not in str(request.query):
            return respond(200, {"data": [{"type": "list", "id": "L1", "attributes": {"name": name}}]})
        return respond(200, {"data": []})

    session, _ = scripted_session(answer)
    assert session.lists.id_of(ListRef(name=name, create=True)) == "L1"
    assert not made
