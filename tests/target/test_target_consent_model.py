"""Consent over a socket: whatever records come, everybody's is what the last word about them says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.consent_model import expected_consent
from target_support import KEY, SPEED, Command

from klaviyo_client.api.operations import default_revision
from klaviyo_sandbox import RunningSandbox

EMAILS = [f"p{i}@example.com" for i in range(8)]
PHONES = [f"+1202555{i:04}" for i in range(100, 108)]
STREAMS = {"sub": {"action": "subscribe"}, "off": {"action": "unsubscribe"}}

emails = st.sampled_from([*EMAILS, EMAILS[0].upper(), f" {EMAILS[1]} ", "nobody", "", None])
phones = st.sampled_from([*PHONES, PHONES[0], "call me", "", None])
channels = st.sampled_from([["email"], ["sms"], ["email", "sms"], "email,sms", "SMS", "Email; SMS"])
record = st.fixed_dictionaries({"email": emails, "phone_number": phones}, optional={"channels": channels})
on_list = st.fixed_dictionaries({"email": emails, "phone_number": phones, "list_name": st.just("News")})
said = st.tuples(st.sampled_from(["sub", "off", "off"]), st.one_of(record, record, on_list))


def lines(records: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    schema = {"properties": {"email": {}, "phone_number": {}, "channels": {}, "list_name": {}}}
    schemas = [{"type": "SCHEMA", "stream": name, "key_properties": [], "schema": schema} for name in STREAMS]
    return [*schemas, *({"type": "RECORD", "stream": name, "record": row} for name, row in records)]


def news(account: RunningSandbox) -> str:
    """The id of a list with nobody on it, which asks nobody to confirm."""
    with account.store.lock:
        held = sorted(account.store.lists.rows.values(), key=lambda row: (row["name"] != "News", row["id"]))
        row = {**held[0], "name": "News", "opt_in_process": "single_opt_in"}
        account.store.lists.put(row)
        return str(row["id"])


def consents(account: RunningSandbox) -> dict[tuple[str, str], str]:
    """Identifier and channel -> consent, of everybody who ever gave or withdrew it."""
    found: dict[tuple[str, str], str] = {}
    with account.store.lock:
        people = json.loads(json.dumps(list(account.store.profiles.rows.values())))
    for person in people:
        for channel, name in (("email", "email"), ("sms", "phone_number")):
            held = (person["subscriptions"].get(channel) or {}).get("marketing") or {}
            if held.get("consent") in ("SUBSCRIBED", "UNSUBSCRIBED") and person.get(name):
                found[person[name], channel] = held["consent"]
    return found


def check(account: RunningSandbox, folder: Path, records: list[tuple[str, dict[str, Any]]]) -> None:
    list_id = news(account)
    target = Command(folder, {"api_key": KEY, "api_url": account.url})
    run = target(lines(records), streams=STREAMS)
    assert run.code == 0, run.stderr
    expected = expected_consent(records, [*EMAILS, *PHONES])
    assert consents(account) == expected.last_word
    with account.store.lock:
        members = [account.store.profiles.rows[its_id]["email"] for its_id in account.store.list_members[list_id].rows]
    assert sorted(members) == sorted(expected.on_list)
    # Whoever is to leave a list and is not on it is rejected, unless they have left in the same request.
    wrong = [line["code"] for line in run.rejected if line["type"] == "RECORD" and line["code"] != "not_on_list"]
    assert len(wrong) == expected.empty


@pytest.mark.parametrize(("examples", "most"), [(6, 60), pytest.param(25, 160, marks=pytest.mark.exhaustive)])
def test_everybody_has_the_consent_that_was_last_said_of_them(
    make_sandbox: Callable[..., RunningSandbox],
    tmp_path_factory: pytest.TempPathFactory,
    examples: int,
    most: int,
) -> None:
    """Shared addresses and numbers, two streams in turn, channels as lists and texts, bad identifiers."""

    @settings(max_examples=examples, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.lists(said, min_size=most // 2, max_size=most))
    def holds(records: list[tuple[str, dict[str, Any]]]) -> None:
        account = make_sandbox(profiles=0, events=0, limits=False, job_seconds=0.05, speed=SPEED)
        check(account, tmp_path_factory.mktemp("run"), records)

    holds()


def subscribed(account: RunningSandbox, **person: str) -> None:
    """Put somebody into the account who is subscribed to e-mail and SMS, and on the list."""
    list_id = news(account)
    attributes = {**person, "subscriptions": {channel: {"marketing": {"consent": "SUBSCRIBED"}} for channel in
                  (["email", "sms"] if "email" in person else ["sms"])}}  # fmt: skip
    people = {"profiles": {"data": [{"type": "profile", "attributes": attributes}]}}
    data = {
        "type": "profile-subscription-bulk-create-job",
        "attributes": people,
        "relationships": {"list": {"data": {"type": "list", "id": list_id}}},
    }
    request = Request(
        f"{account.url}/api/profile-subscription-bulk-create-jobs",
        json.dumps({"data": data}).encode(),
        {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": default_revision(),
         "Content-Type": "application/vnd.api+json"},
    )  # fmt: skip
    with urlopen(request) as answer:
        assert answer.status == 202


@pytest.mark.parametrize("more", [{}, {"list": "News"}])
def test_one_address_with_two_numbers_frees_both(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, more: dict[str, str]
) -> None:
    """The second number is somebody else's, and the first is not left subscribed for it."""
    account = make_sandbox(profiles=0, events=0, limits=False, job_seconds=0.05, speed=SPEED)
    people = [{"email": "q3@example.com", "phone_number": "+12025550173"}, {"phone_number": "+12025550174"}]
    for person in people:
        subscribed(account, **person)
    records = [{"email": "q3@example.com", "phone_number": person["phone_number"]} for person in people]
    target = Command(tmp_path, {"api_key": KEY, "api_url": account.url})
    entry = {"action": "unsubscribe", "channels": ["email", "sms"], **more}
    run = target(lines([("off", record) for record in records]), streams={"off": entry, "sub": {"action": "subscribe"}})
    assert (run.code, run.rejected) == (0, [])
    found = consents(account)
    assert found["+12025550173", "sms"] == found["+12025550174", "sms"] == "UNSUBSCRIBED"
    assert found["q3@example.com", "email"] == ("SUBSCRIBED" if more else "UNSUBSCRIBED")
    with account.store.lock:
        members = [
            account.store.profiles.rows[one].get("email") for one in account.store.list_members[news(account)].rows
        ]
    assert ("q3@example.com" in members) == (not more)


def test_whoever_was_added_and_then_removed_is_off_the_list(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """In one batch, by the mark of deletion; a mark that says no removes nobody."""
    account = make_sandbox(profiles=0, events=0, limits=False, job_seconds=0.05, speed=SPEED)
    list_id = news(account)
    marks = {"stays@example.com": (None, "", "false"), "goes@example.com": (None, "2026-01-01T00:00:00Z")}
    rows = [{"email": email, "_sdc_deleted_at": mark} for email, held in marks.items() for mark in held]
    schema = {"properties": {"email": {}, "_sdc_deleted_at": {}}}
    messages = [{"type": "SCHEMA", "stream": "m", "key_properties": [], "schema": schema}]
    target = Command(tmp_path, {"api_key": KEY, "api_url": account.url})
    entry = {"action": "list_members", "list": "News"}
    run = target([*messages, *({"type": "RECORD", "stream": "m", "record": row} for row in rows)], streams={"m": entry})
    assert (run.code, run.rejected) == (0, [])
    with account.store.lock:
        members = [account.store.profiles.rows[one]["email"] for one in account.store.list_members[list_id].rows]
    assert members == ["stays@example.com"]


def test_what_was_left_out_is_said_and_counted(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """In the log once, and in the run's report with its number; the records are not rejected."""
    account = make_sandbox(profiles=0, events=0, limits=False, job_seconds=0.05, speed=SPEED)
    target = Command(tmp_path, {"api_key": KEY, "api_url": account.url})
    records: list[tuple[str, dict[str, Any]]] = [
        *(("off", {"email": f"a{i}@example.com", "phone_number": "call me"}) for i in range(3)),
        *(("sub", {"email": f"b{i}@example.com", "channels": "email,sms"}) for i in range(2)),
    ]
    run = target(lines(records), streams=STREAMS, report_path="report.json")
    assert (run.code, run.rejected) == (0, [])
    report = json.loads((tmp_path / "report.json").read_text())
    assert {(reason["outcome"], reason["code"]): reason["count"] for reason in report["reasons"]} == {
        ("accepted", "identifier_left_out"): 3,
        ("accepted", "channel_left_out"): 2,
    }
    assert any("phone_number cannot be used and was left out" in line for line in run.said("WARNING"))
    assert "call me" not in run.stderr


def test_a_form_that_says_no_subscribes_nobody(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """However it says no; the person is on the list all the same."""
    account = make_sandbox(profiles=0, events=0, limits=False, job_seconds=0.05, speed=SPEED)
    list_id = news(account)
    words = ["False", "No", "FALSE", "n", "null", " 0", "0.0"]
    rows = [{"email": f"n{i}@example.com", "list": "News", "confirmOptIn": word} for i, word in enumerate(words)]
    schema = {"properties": {"email": {}, "list": {}, "confirmOptIn": {}}}
    messages = [{"type": "SCHEMA", "stream": "f", "key_properties": [], "schema": schema}]
    target = Command(tmp_path, {"api_key": KEY, "api_url": account.url})
    entry = {"action": "update_profile"}
    run = target([*messages, *({"type": "RECORD", "stream": "f", "record": row} for row in rows)], streams={"f": entry})
    assert (run.code, run.rejected, consents(account)) == (0, [], {})
    assert len(account.store.list_members[list_id].rows) == len(words)


def test_what_is_to_follow_does_not_come_after_the_word_that_took_it_back(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """A call of Identify subscribes when its profile is there; who unsubscribed or was deleted since stays so."""
    account = make_sandbox(profiles=0, events=0, limits=False, job_seconds=0.05, speed=SPEED)
    streams = {
        "id": {"action": "identify", "consent": "subscribe"},
        "off": {"action": "unsubscribe"},
        "gone": {"action": "delete_profile", "allow_deletion": "Yes"},
    }
    people = [f"p{i}@example.com" for i in range(6)]
    schema = {"properties": {"email": {}, "$consent": {}}}
    messages = [
        *({"type": "SCHEMA", "stream": name, "key_properties": [], "schema": schema} for name in streams),
        *({"type": "RECORD", "stream": stream, "record": {"email": email, "$consent": "Email"}}
          for i, email in enumerate(people) for stream in ("id", "off" if i % 2 else "gone")),
    ]  # fmt: skip
    run = Command(tmp_path, {"api_key": KEY, "api_url": account.url})(messages, streams=streams)
    assert (run.code, run.rejected) == (0, [])
    assert consents(account) == {(email, "email"): "UNSUBSCRIBED" for email in people[1::2]}
    assert len(account.store.profiles.rows) == len(people[1::2])
