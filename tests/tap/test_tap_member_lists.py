"""Tables of members of lists over time: what becomes of a subscription is seen, though nobody joins."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.calls import Caller
from support.second_path import marketing, utc, witness
from tap_support import Run, config, discovered, run_tap, run_tap_until, select

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.settings import REREAD
from tap_klaviyo.tables import COLLECTIONS, STREAMS

MakeSandbox = Callable[..., RunningSandbox]
JOINED = "2025-06-01T00:00:00+00:00"
TABLES_OF_MEMBERS = ("list_profiles", "stg_member_lists", "member_lists", "esp_member_lists")


def read(folder: Path, sandbox: RunningSandbox, state: dict[str, Any] | None = None, **settings: Any) -> Run:
    """A run of the tables of members, which must end well."""
    run = run_tap(
        folder,
        config(sandbox, **settings),
        catalog=select(discovered(), dict.fromkeys(TABLES_OF_MEMBERS)),
        state=state,
    )
    assert run.code == 0, run.errors
    return run


def held(run: Run, table: str, before: Run | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    """The table as an upsert leaves it after the runs, but for when rows were read."""
    rows = [*(before.rows(table) if before else ()), *run.rows(table)]
    by_key = {tuple(row[name] for name in STREAMS[table][0].key): row for row in rows}
    return {key: {name: row[name] for name in row if name != "__synced_at"} for key, row in by_key.items()}


def present(run: Run, table: str) -> list[dict[str, Any]]:
    """The rows of those who have not left."""
    return [row for row in run.rows(table) if row.get("subscribed_at", True)]


def tell(caller: Caller, path: str, attributes: dict[str, Any], list_id: str | None = None) -> str:
    """Post what is to be done with a profile of these attributes; the id of the job, where it is one."""
    data: dict[str, Any] = {
        "type": path.removesuffix("s"),
        "attributes": {"profiles": {"data": [{"type": "profile", "attributes": attributes}]}},
    }
    if list_id is not None:
        data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
    answer = caller.post(path, {"data": data})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["data"]["id"]) if answer.content else ""


def consent(word: str) -> dict[str, Any]:
    return {"email": {"marketing": {"consent": word}}}


@pytest.fixture
def club(make_sandbox: MakeSandbox) -> tuple[RunningSandbox, str]:
    """An account with a list that four people joined long ago, all but Cem with their consent, and the list's id."""
    sandbox = make_sandbox(profiles=80, events=0, limits=False, job_seconds=0)
    list_id = min(sandbox.store.lists.rows)
    sandbox.store.lists.put({**sandbox.store.lists.rows[list_id], "opt_in_process": "single_opt_in"})
    caller = Caller(sandbox.url)
    for name in ("ann", "bob", "dot"):
        attributes = {"email": f"{name}@example.com", "subscriptions": consent("SUBSCRIBED")}
        tell(caller, "profile-subscription-bulk-create-jobs", attributes, list_id)
    cem = {"data": {"type": "profile", "attributes": {"email": "cem@example.com"}}}
    made = caller.post("profile-import", cem).json()["data"]["id"]
    joined = caller.post(f"lists/{list_id}/relationships/profiles", {"data": [{"type": "profile", "id": made}]})
    assert joined.status_code == 204
    for name in ("ann", "bob", "cem", "dot"):
        sandbox.store.list_members[list_id].put({"id": person(sandbox, name), "joined_group_at": JOINED})
    return sandbox, list_id


def stranger(sandbox: RunningSandbox, name: str) -> str:
    """The id of a new profile, which is in no group."""
    attributes = {"email": f"{name}@example.com"}
    made = Caller(sandbox.url).post("profile-import", {"data": {"type": "profile", "attributes": attributes}})
    return str(made.json()["data"]["id"])


def change_subscriptions(sandbox: RunningSandbox, list_id: str) -> None:
    """Ann unsubscribes everywhere, Bob from the list, Cem gives consent, and Dot is suppressed."""
    caller, away = Caller(sandbox.url), consent("UNSUBSCRIBED")
    tell(caller, "profile-subscription-bulk-delete-jobs", {"email": "ann@example.com", "subscriptions": away})
    tell(caller, "profile-subscription-bulk-delete-jobs", {"email": "bob@example.com", "subscriptions": away}, list_id)
    given = {"email": "cem@example.com", "subscriptions": consent("SUBSCRIBED")}
    tell(caller, "profile-subscription-bulk-create-jobs", given)
    suppress = "profile-suppression-bulk-create-jobs"
    job = tell(caller, suppress, {"email": "dot@example.com"})
    assert caller.get(f"{suppress}/{job}").json()["data"]["attributes"]["status"] == "complete"


def person(sandbox: RunningSandbox, name: str) -> str:
    """The id of a person of the club."""
    return next(key for key, row in sandbox.store.profiles.rows.items() if row["email"] == f"{name}@example.com")


def test_what_consent_becomes_is_seen_by_the_next_run(club: tuple[RunningSandbox, str], tmp_path: Path) -> None:
    """Members, and who left, are as a whole read has them; who only joined is read from the bookmark on."""
    sandbox, list_id = club
    first = read(tmp_path, sandbox)
    change_subscriptions(sandbox, list_id)
    second, whole = read(tmp_path, sandbox, first.state), read(tmp_path, sandbox)
    for table in ("member_lists", "esp_member_lists"):
        after = held(second, table, first)
        expected = held(whole, table)
        assert after == expected
        changed = {key for key, row in expected.items() if held(first, table)[key] != row}
        assert changed == {(list_id, person(sandbox, name)) for name in ("ann", "bob", "cem", "dot")}
    for table in ("list_profiles", "stg_member_lists"):
        assert len(second.rows(table)) < len(whole.rows(table))


def test_rows_say_what_a_subscription_is(club: tuple[RunningSandbox, str], tmp_path: Path) -> None:
    """Ann's ended with consent and says when, Cem's began without joining anew, Dot's may not be used."""
    sandbox, list_id = club
    change_subscriptions(sandbox, list_id)
    run = read(tmp_path, sandbox)
    ann = sandbox.store.profiles.rows[person(sandbox, "ann")]["subscriptions"]["email"]["marketing"]
    (ended,) = (entry["timestamp"] for entry in ann["suppression"])
    for table in ("member_lists", "esp_member_lists"):
        found = {
            name: (row["subscribed"], row["unsubscribed_at"])
            for name in ("ann", "cem", "dot")
            for row in (held(run, table)[list_id, person(sandbox, name)],)
        }
        assert found == {"ann": (False, utc(ended)), "cem": (True, None), "dot": (False, None)}
        assert {row["subscribed_at"] for row in run.rows(table)} >= {JOINED}


def test_every_row_of_an_account_says_what_its_profile_does(club: tuple[RunningSandbox, str], tmp_path: Path) -> None:
    """By plain reads of each list: consent, permission, address and suppressions together make a subscription."""
    sandbox, _ = club
    run, account = read(tmp_path, sandbox), witness(sandbox)
    expected: dict[tuple[str, str], tuple[bool, str | None]] = {}
    for group in account.rows("lists"):
        path = f"lists/{group['id']}/profiles"
        for member in account.rows(path, additional_fields__profile="subscriptions"):
            mail = marketing(member)
            here = [it["timestamp"] for it in mail.get("list_suppressions") or () if it["list_id"] == group["id"]]
            away = [it["timestamp"] for it in mail.get("suppression") or () if it["reason"] == "UNSUBSCRIBE"]
            told = [mail["consent_timestamp"]] if mail.get("consent") == "UNSUBSCRIBED" else []
            is_on = (
                mail.get("consent") == "SUBSCRIBED"
                and mail["can_receive_email_marketing"]
                and bool(member["attributes"]["email"])
                and not here
            )
            ends = [utc(end) for end in (*here, *away)] or [utc(end) for end in told]
            expected[group["id"], member["id"]] = (is_on, None if is_on else max(filter(None, ends), default=None))
    lists = {group["id"] for group in account.rows("lists")}
    for profile in account.profiles():
        mail = marketing(profile)
        for list_id in {it["list_id"] for it in mail.get("list_suppressions") or ()} & lists:
            here = [it["timestamp"] for it in mail["list_suppressions"] if it["list_id"] == list_id]
            away = [it["timestamp"] for it in mail.get("suppression") or () if it["reason"] == "UNSUBSCRIBE"]
            expected.setdefault((list_id, profile["id"]), (False, max(filter(None, map(utc, (*here, *away))))))
    for table in ("member_lists", "esp_member_lists"):
        rows = {key: (row["subscribed"], row["unsubscribed_at"]) for key, row in held(run, table).items()}
        assert rows == expected
    assert {is_on for is_on, _ in expected.values()} == {True, False}


def test_a_kill_does_not_hide_what_consent_became(club: tuple[RunningSandbox, str], tmp_path: Path) -> None:
    """Whoever goes on from the STATE of a run that was stopped in the middle gets every member as it is today."""
    sandbox, _ = club
    first = read(tmp_path, sandbox)
    change_subscriptions(sandbox, club[1])
    stopped = run_tap_until(
        tmp_path,
        config(sandbox, concurrency=1),
        select(discovered(), dict.fromkeys(TABLES_OF_MEMBERS)),
        lambda message: (message["type"], message.get("stream")) == ("RECORD", "member_lists"),
        lambda process: process.send_signal(signal.SIGTERM),
        state=first.state,
    )
    assert stopped.code in (0, 128 + signal.SIGTERM)
    again, whole = read(tmp_path, sandbox, stopped.state), read(tmp_path, sandbox)
    for table in ("member_lists", "esp_member_lists"):
        # Who left came before, and comes again only with a new suppression.
        assert {**held(stopped, table, first), **held(again, table)} == held(whole, table)


def test_who_wants_only_who_joined_says_so(club: tuple[RunningSandbox, str], tmp_path: Path) -> None:
    """Without its name in `reread` a table goes on from its bookmark, which was kept meanwhile, or the start date."""
    sandbox, _ = club
    whole = read(tmp_path, sandbox, start_date="2026-01-01")
    for table in ("member_lists", "esp_member_lists"):
        assert len(present(whole, table)) > len(whole.rows("list_profiles")) > 0
    few = read(tmp_path, sandbox, whole.state, reread=["lists", "member_lists"])
    assert len(present(few, "member_lists")) == len(present(whole, "member_lists"))
    assert 0 < len(few.rows("esp_member_lists")) < len(present(whole, "member_lists"))
    all_of_them = read(tmp_path, sandbox, whole.state, reread=["list_profiles"])
    assert {len(present(all_of_them, table)) for table in TABLES_OF_MEMBERS} == {len(present(whole, "member_lists"))}


def test_a_table_is_named_like_no_other_collection() -> None:
    """What `reread` names is one thing."""
    named = [name for name in REREAD if name not in COLLECTIONS]
    assert named == ["member_lists", "campaign_variations", "esp_member_lists"]
    assert len(set(REREAD)) == len(REREAD)


def test_a_bookmark_of_the_column_that_was_renamed_goes_on(club: tuple[RunningSandbox, str], tmp_path: Path) -> None:
    """A STATE of when the V1 table had the time of joining in `subscribed` still says where to go on."""
    sandbox, _ = club
    old = {"replication_key": "subscribed", "replication_key_value": "2026-03-01T00:00:00+00:00"}
    run = read(tmp_path, sandbox, {"bookmarks": {"esp_member_lists": old}}, reread=[])
    joined = [row["subscribed_at"] for row in run.rows("esp_member_lists")]
    assert 0 < len(joined) < len(run.rows("member_lists"))
    assert min(joined) >= "2026-02-27"
    entry = run.state["bookmarks"]["esp_member_lists"]
    assert (entry["replication_key"], entry["replication_key_value"]) == ("subscribed_at", max(joined))


def test_both_tables_call_a_membership_the_same(club: tuple[RunningSandbox, str], tmp_path: Path) -> None:
    """By the setting `esp_integration_id`, which makes the call for the account needless, or else by the account."""
    sandbox, _ = club
    for settings in ({"esp_integration_id": "4711"}, {}):
        before = len(sandbox.requests)
        run = run_tap(
            tmp_path,
            config(sandbox, **settings),
            catalog=select(discovered(), {"member_lists": None, "esp_member_lists": None}),
        )
        assert run.code == 0, run.errors
        keys = {(row["list_id"], row["member_id"]): row["key"] for row in run.rows("member_lists")}
        partners = {
            (row["list_id"], row["member_id"]): row["member_list_join_key"] for row in run.rows("esp_member_lists")
        }
        assert keys == partners
        assert None not in keys.values()
        asked = [entry.path for entry in list(sandbox.requests)[before:]]
        assert asked.count("/api/accounts") == (not settings)


def test_a_membership_that_is_written_down_late_is_read(club: tuple[RunningSandbox, str], tmp_path: Path) -> None:
    """Of a list and of a segment, with a time up to a day before what was read already; who joined earlier is not."""
    sandbox, list_id = club
    store, tables = sandbox.store, ("list_profiles", "stg_member_lists", "esp_stg_member_lists", "segment_profiles")
    segment_id = min(store.segments.rows)
    catalog = select(discovered(), dict.fromkeys(tables))
    first = run_tap(tmp_path, config(sandbox), catalog=catalog)
    late, early = stranger(sandbox, "late"), stranger(sandbox, "early")
    for members, table in (
        (store.list_members[list_id], "list_profiles"),
        (store.segment_members[segment_id], tables[3]),
    ):
        reached = datetime.fromisoformat(first.state["bookmarks"][table]["replication_key_value"])
        for profile, hours in ((late, 23), (early, 25)):
            members.put({"id": profile, "joined_group_at": (reached - timedelta(hours=hours)).isoformat()})
    second = run_tap(tmp_path, config(sandbox, lookback_schedule="always"), catalog=catalog, state=first.state)
    for table in tables:
        column = "member_id" if "member" in table else "profile_id"
        assert {late, early} & {row[column] for row in second.rows(table)} == {late}
        reached, before = (run.state["bookmarks"][table]["replication_key_value"] for run in (second, first))
        assert reached == before


def entry_of(list_id: str, at: str) -> dict[str, Any]:
    return {"list_id": list_id, "reason": "USER_SUPPRESSED", "timestamp": at}


def suppress(sandbox: RunningSandbox, profile_id: str, *entries: Any) -> None:
    """Let these be all list suppressions of a profile, at whose time of change nothing moves."""
    row = sandbox.store.profiles.rows[profile_id]
    mail = {**row["subscriptions"]["email"]["marketing"], "list_suppressions": list(entries)}
    sandbox.store.put_profile({**row, "subscriptions": {**row["subscriptions"], "email": {"marketing": mail}}})


@pytest.mark.parametrize("incremental", [False, True])
def test_who_left_has_a_row_that_says_when(
    club: tuple[RunningSandbox, str], tmp_path: Path, *, incremental: bool
) -> None:
    """Of a suppression before the first run, or after it; who is there still has the time of joining, too.

    A suppression of a list that is gone makes no row.
    """
    sandbox, list_id = club
    store, at = sandbox.store, sandbox.store.now_text()
    first = read(tmp_path, sandbox) if incremental else None
    ids = {name: person(sandbox, name) for name in ("ann", "bob", "cem", "dot")}
    others = [list_id_ for list_id_ in store.lists.rows if list_id_ != list_id]
    suppress(sandbox, ids["ann"], entry_of(list_id, JOINED), entry_of(list_id, at))
    suppress(sandbox, ids["bob"], entry_of(list_id, at), entry_of(others[0], at), entry_of("GONE00", at))
    suppress(sandbox, ids["cem"], entry_of(list_id, at))
    for name in ("ann", "bob"):
        store.list_members[list_id].drop(ids[name])
    run = read(tmp_path, sandbox, first.state if first else None)
    for table in ("member_lists", "esp_member_lists"):
        rows = held(run, table, first)
        found = {
            (name, key[0]): (row["subscribed_at"], row["subscribed"], row["unsubscribed_at"])
            for name in ids
            for key, row in rows.items()
            if key[1] == ids[name]
        }
        assert found == {
            ("ann", list_id): (None, False, utc(at)),
            ("bob", list_id): (None, False, utc(at)),
            ("bob", others[0]): (None, False, utc(at)),
            ("cem", list_id): (JOINED, False, utc(at)),
            ("dot", list_id): (JOINED, True, None),
        }
        assert all(row["list_id"] in store.lists.rows for row in run.rows(table))
    for table in ("list_profiles", "stg_member_lists"):
        assert (list_id, ids["dot"]) in held(run, table, first)
        assert all(row.get("joined_group_at", row.get("created_at")) for row in run.rows(table))


def test_what_becomes_of_who_left_is_seen_by_the_next_run(club: tuple[RunningSandbox, str], tmp_path: Path) -> None:
    """Whoever left a list and then unsubscribes from everything did so then, though the list's suppression is old."""
    sandbox, list_id = club
    ann, bob = person(sandbox, "ann"), person(sandbox, "bob")
    for left in (ann, bob):
        suppress(sandbox, left, entry_of(list_id, JOINED))
        sandbox.store.list_members[list_id].drop(left)
    first = read(tmp_path, sandbox)
    away = {"email": "ann@example.com", "subscriptions": consent("UNSUBSCRIBED")}
    tell(Caller(sandbox.url), "profile-subscription-bulk-delete-jobs", away)
    second, whole = read(tmp_path, sandbox, first.state), read(tmp_path, sandbox)
    for table in ("member_lists", "esp_member_lists"):
        after = held(second, table, first)
        assert after == held(whole, table)
        assert after[list_id, ann]["unsubscribed_at"] > after[list_id, bob]["unsubscribed_at"] == JOINED


def test_who_left_before_an_older_state_gets_a_row(club: tuple[RunningSandbox, str], tmp_path: Path) -> None:
    """A STATE of when these tables had rows of present members only hides nobody who left before it."""
    sandbox, list_id = club
    bob = person(sandbox, "bob")
    suppress(sandbox, bob, entry_of(list_id, JOINED))
    sandbox.store.list_members[list_id].drop(bob)
    old = {"replication_key": "subscribed_at", "replication_key_value": sandbox.store.now_text()}
    run = read(tmp_path, sandbox, {"bookmarks": {name: dict(old) for name in ("member_lists", "esp_member_lists")}})
    for table in ("member_lists", "esp_member_lists"):
        assert held(run, table)[list_id, bob]["unsubscribed_at"] == JOINED


def test_who_left_is_kept_by_targets_that_delete(club: tuple[RunningSandbox, str], tmp_path: Path) -> None:
    """Who left comes in every run, so that ACTIVATE_VERSION takes no row of theirs."""
    sandbox, list_id = club
    bob = (list_id, person(sandbox, "bob"))
    change_subscriptions(sandbox, list_id)
    emit = {"emit_activate_version_messages": True}
    first = read(tmp_path, sandbox, **emit)
    again = read(tmp_path, sandbox, first.state, **emit)
    later = read(tmp_path, sandbox, first.state)
    for table in ("member_lists", "esp_member_lists"):
        assert bob in held(first, table)
        assert again.kinds["ACTIVATE_VERSION", table] == 1
        assert held(again, table).keys() == held(first, table).keys()
        assert later.kinds["ACTIVATE_VERSION", table] == 0


def test_who_wants_only_who_joined_gets_no_row_that_lacks_the_time(
    club: tuple[RunningSandbox, str], tmp_path: Path
) -> None:
    """No row of who is there would follow that of a suppression, and the time of joining would be lost."""
    sandbox, list_id = club
    whole = read(tmp_path, sandbox)
    cem = person(sandbox, "cem")
    suppress(sandbox, cem, entry_of(list_id, sandbox.store.now_text()))
    few = read(tmp_path, sandbox, whole.state, reread=[])
    for table in ("member_lists", "esp_member_lists"):
        assert all(row["subscribed_at"] for row in few.rows(table))
        assert held(few, table, whole)[list_id, cem]["subscribed_at"] == JOINED
