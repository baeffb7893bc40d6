"""`--check` says what the key may do, and does nothing of it."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from target_support import EVERY, KEY, THERE, Command, Run, add_people, outcomes_of, rows_of

from klaviyo_client import permissions
from klaviyo_client.api.operations import operation
from klaviyo_client.client import KlaviyoClient
from klaviyo_sandbox import RunningSandbox
from klaviyo_sandbox.account.table import Table
from target_klaviyo.actions import ACTIONS
from target_klaviyo.delivery.session import Session
from target_klaviyo.intake.permissions import of_streams
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import OutcomeKind

OPERATIONS = json.loads(resources.files("klaviyo_client.api").joinpath("operations.json").read_text("utf-8"))[
    "operations"
]


def check(target: Command, **config: Any) -> Run:
    return target(arguments=["--config", str(target.folder / "config.json"), "--check"], **config)


def verdicts(run: Run) -> dict[str, str]:
    """Action, or stream with its action -> what the log says of it."""
    lines = (line.rpartition("| ")[2] for line in run.said("INFO", "WARNING"))
    return dict(match.groups() for line in lines if (match := re.fullmatch(r"(.+?): ((?:not )?usable.*)", line)))


def everything(account: RunningSandbox) -> str:
    """All that the account holds, jobs and what is pending included."""
    store = account.store
    tables = {name: dict(value.rows) for name, value in vars(store).items() if isinstance(value, Table)}
    members = {name: dict(table.rows) for name, table in store.list_members.items()}
    return json.dumps([tables, members, dict(store.pending_consents.rows)], default=str, sort_keys=True)


def test_a_key_that_may_do_all_is_told_so(target: Command, account: RunningSandbox) -> None:
    """Every action is usable; the account is as it was, and took nothing that is no read; stdout is empty."""
    before = everything(account)
    run = check(target)
    assert (run.code, run.stdout) == (0, "")
    assert verdicts(run) == dict.fromkeys(ACTIONS, "usable")
    assert everything(account) == before
    written = [entry.status for entry in account.requests if entry.method != "GET"]
    assert set(written) == {400}
    assert len(account.requests) < 16
    assert list(target.folder.iterdir()) == [target.folder / "config.json"]


def test_missing_scopes_are_named_by_action(target: Command, account: RunningSandbox) -> None:
    """Options and fields, too; where the settings name no stream, that is no failure."""
    account.control.change(scopes="profiles:write profiles:read lists:write lists:read")
    run = check(target)
    assert run.code == 0
    verdict_of = verdicts(run)
    assert verdict_of["upsert_profile"] == verdict_of["list_members"] == "usable"
    assert verdict_of["track_event"] == "not usable, the key lacks events:write"
    assert verdict_of["suppress"] == "not usable, the key lacks subscriptions:read and subscriptions:write"
    assert verdict_of["identify"] == "usable; not consent: subscribe, the key lacks subscriptions:write"
    assert verdict_of["delete_profile"] == "not usable, the key lacks data-privacy:write"


def test_a_stream_that_cannot_be_sent_fails_the_check(target: Command, account: RunningSandbox) -> None:
    """By what its own options need; also in a rehearsal, which asks the account and not itself."""
    account.control.change(scopes="profiles:write lists:write profiles:read lists:read")
    streams = {
        "vips": {"action": "list_members", "list": "VIP", "create_list": True},
        "waves": {"action": "track_event"},
        "old": {"action": "identify", "consent": "subscribe"},
    }
    run = check(target, streams=streams, dry_run=True)
    assert run.code == 2
    verdict_of = verdicts(run)
    assert verdict_of["the stream vips (list_members)"] == "usable"
    assert verdict_of["the stream waves (track_event)"] == "not usable, the key lacks events:write"
    assert verdict_of["the stream old (identify)"] == "not usable, the key lacks subscriptions:write"
    (last,) = run.said("CRITICAL")
    assert last.endswith(
        "the stream waves (track_event), the stream old (identify); "
        "these scopes are needed: events:write, subscriptions:write"
    )


def test_a_key_that_may_do_nothing_fails_the_check(target: Command, account: RunningSandbox) -> None:
    """Whatever streams may come."""
    account.control.change(scopes="accounts:read")
    run = check(target)
    assert run.code == 2
    assert all(verdict.startswith("not usable") for verdict in verdicts(run).values())


def test_settings_are_checked_first(target: Command, account: RunningSandbox) -> None:
    """A mistake in them is told before the account is asked."""
    run = check(target, streams={"vips": {"action": "list_member"}})
    assert run.code == 2
    assert "streams.vips.action must be one of" in run.said("CRITICAL")[0]
    assert not account.requests


def declared() -> set[str]:
    """The operations that actions say that they make use of."""
    return {action.operation for action in ACTIONS.values()} | {
        call.operation for action in ACTIONS.values() for call in action.other_operations
    }


@pytest.mark.parametrize("name", [name for name in EVERY if ACTIONS[name].deliver])
def test_an_action_makes_do_with_what_it_declares(account: RunningSandbox, name: str) -> None:
    """With just the scopes that the check asks for, its records are delivered."""
    entry, record = EVERY[name]
    entry = {"action": name, **entry}
    (requirement,) = of_streams(parse_routes({"s": entry}, None), ["s"])
    account.control.change(
        scopes=" ".join({scope for need in requirement.operations for scope in operation(need).scopes})
    )
    session = Session(KlaviyoClient(KEY, account.url), job_timeout=60)
    add_people(account, *THERE)
    (outcome,) = outcomes_of(session, name, rows_of(entry, record))
    assert outcome.kind in (OutcomeKind.DELIVERED, OutcomeKind.ACCEPTED)


def test_every_operation_that_is_named_is_declared() -> None:
    """What the target's sources call is what its actions say that they call, or tells whose copy or plan it is."""
    texts = [path.read_text("utf-8") for path in Path("target_klaviyo").rglob("*.py")]
    named = {word for text in texts for word in re.findall(r'"([\w@-]+)"', text) if word in OPERATIONS}
    copies = {action.self_copy_guard[1] for action in ACTIONS.values() if action.self_copy_guard}
    assert named - declared() - ACTIONS.keys() == (copies | {"get_accounts"}) - declared()


def test_a_check_sends_nothing_that_could_be_done(account: RunningSandbox) -> None:
    """Each operation that any action makes use of, asked as the check asks it: refused, or a read."""
    before = everything(account)
    send = permissions.probe_request(KlaviyoClient(KEY, account.url))
    names = declared()
    for name in names:
        send(name)
    assert everything(account) == before
    assert {entry.operation for entry in account.requests} == names
    assert all(entry.status in (400, 404) for entry in account.requests if entry.method != "GET")
