"""Every table of the account at once: values, passes, deleted flows, fewer metrics, missing scopes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support.second_path import KEYS
from support.second_values import values
from tap_support import Run, config, discovered, run_tap, select, two_at_a_time

from klaviyo_sandbox import Exchange, RunningSandbox

WITH_VALUES = (
    "campaigns",
    "campaign_messages",
    "flow_actions",
    "flow_action_messages",
    "events",
    "profiles",
    "campaign_utm_params",
    "flow_action_message_utm_params",
)


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=60, events=1200, seed=11, limits=False)


@pytest.fixture(scope="module")
def whole(account: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Counter[str]]:
    """One run that reads everything, and how often it asked for each path, ids left out."""
    before = len(account.requests)
    run = run_tap(tmp_path_factory.mktemp("whole"), config(account))
    assert run.code == 0, run.errors
    asked = [entry.path.removeprefix("/api/").split("/") for entry in list(account.requests)[before:]]
    return run, Counter("/".join(parts[:1] + parts[2:]) + ("/one" if len(parts) == 2 else "") for parts in asked)


@pytest.mark.parametrize("stream", WITH_VALUES)
def test_values_agree_with_a_second_path(whole: tuple[Run, Counter[str]], account: RunningSandbox, stream: str) -> None:
    """Columns that are moved, looked up or told by the pass, against plain requests for single resources."""
    expected = values(account, stream)
    made = {tuple(row[name] for name in KEYS[stream]): row for row in whole[0].rows(stream)}
    assert expected.keys() <= made.keys()
    assert len(expected) > 5
    for key, columns in expected.items():
        assert {name: made[key][name] for name in columns} == columns


def test_one_pass_feeds_all_tables(whole: tuple[Run, Counter[str]]) -> None:
    """28 tables and each page once; besides, a call for each campaign and for each action that sends something.

    And one for each list, by which those are found who left it.
    """
    run, asked = whole
    senders = {row["flow_action_id"] for row in run.rows("flow_action_messages")}
    lists, segments = len(run.rows("lists")), len(run.rows("segments"))
    assert asked.pop("events/one", 0) <= 1  # a legacy attribution knows all by itself, others were read before
    assert asked == {
        "profiles": 1 + lists,
        "lists": 2,
        "segments": 2,
        "lists/profiles": lists,
        "segments/profiles": segments,
        "accounts": 1,
        "tags": 1,
        "campaigns": 6,
        "campaigns/campaign-messages": len(run.rows("campaigns")),
        "flows": 2,
        "flow-actions/flow-messages": len(senders),
        "metrics": 1,
        "events": 2,
    }


def test_what_is_attributed_is_told_by_events_read_before(whole: tuple[Run, Counter[str]]) -> None:
    """Send time, channel and groups come from the message's own event, old properties included."""
    run, _ = whole
    attributed = [row for row in run.rows("events") if row["attribution_attributed_event_id"]]
    assert len(attributed) > 20
    assert {row["attribution_attributed_channel"] for row in attributed} >= {"email", "sms"}
    assert all(row["attribution_send_ts"] <= row["timestamp"] for row in attributed)
    assert run.rows("event_attribution_group_ids")


def test_a_deleted_flow_stays_in_its_events(whole: tuple[Run, Counter[str]]) -> None:
    """Nothing fails, its events keep its id, and it is in no other table."""
    run, _ = whole
    flows = {row["flow_id"] for row in run.rows("flows")}
    gone = {row["flow"] for row in run.rows("events") if row["flow"]} - flows
    assert gone
    assert not gone & {row["flow_id"] for row in run.rows("flow_actions")}
    assert run.said("WARNING") == []


def test_archived_ones_and_all_channels_are_there(whole: tuple[Run, Counter[str]]) -> None:
    """Klaviyo shows them only when they are asked for."""
    run, _ = whole
    campaigns = {(row["channel"], row["archived"]) for row in run.rows("campaigns")}
    assert campaigns == {
        (channel, archived) for channel in ("email", "sms", "mobile_push") for archived in (False, True)
    }
    assert {row["archived"] for row in run.rows("flows")} == {False, True}


def test_a_tag_that_moves_no_bookmark_is_read(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """The second run reads campaigns whole, unless the user says otherwise; then it misses the tag, as they chose."""
    sandbox = make_sandbox(profiles=5, events=0, limits=False)
    catalog = select(discovered(), {"campaign_tags": None})
    first = run_tap(tmp_path, config(sandbox), catalog=catalog)
    with sandbox.store.lock:
        tag = next(iter(sandbox.store.tags.rows))
        campaign = next(row for row in sandbox.store.campaigns.rows.values() if tag not in row["tag_ids"])
        sandbox.store.campaigns.put({**campaign, "tag_ids": [*campaign["tag_ids"], tag]})
    added = (campaign["id"], tag)

    second, narrow = two_at_a_time(
        partial(run_tap, tmp_path / name, config(sandbox, reread=reread), catalog=catalog, state=first.state)
        for name, reread in (("a", ["campaigns"]), ("b", []))
        if not (tmp_path / name).mkdir()
    )
    found = [
        {(row["campaign_id"], row["tag_id"]) for row in run.rows("campaign_tags")} for run in (first, second, narrow)
    ]
    assert found[1] - found[0] == {added}
    assert len(found[2]) < len(found[1])
    assert narrow.state == first.state


def test_a_preset_narrows_the_events(account: RunningSandbox, whole: tuple[Run, Counter[str]], tmp_path: Path) -> None:
    """Engagement under old names and new, and a metric of the user's own; nothing else, whatever others call theirs."""
    catalog = select(discovered(), {"events": {"metric_name", "metric_data_id"}})
    run = run_tap(tmp_path, config(account, event_metrics=["engagement", "placed order"]), catalog=catalog)
    names = {row["metric_name"] for row in run.rows("events")}
    assert {"Received SMS", "Received Text Message", "Opened Email", "Placed Order"} <= names
    assert not {"Viewed Product", "Active on Site", "ping"} & names
    metrics = {row["metric_data_id"] for row in run.rows("events")}
    integrations = {account.store.metrics.rows[metric]["integration"]["name"] for metric in metrics}
    assert integrations == {"Klaviyo", "Shopify"}
    expected = {row["id"] for row in whole[0].rows("events") if row["metric_data_id"] in metrics}
    assert {row["id"] for row in run.rows("events")} == expected


def test_the_preset_reads_text_messages_under_their_newest_names(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Events of a metric that was renamed are read, and what of the preset the account lacks is one line."""
    sandbox = make_sandbox(profiles=5, events=100, limits=False)
    store = sandbox.store
    for row in [row for row in store.metrics.rows.values() if row["name"].endswith("Transactional")]:
        store.metrics.drop(row["id"])
    klaviyos = next(row for row in store.metrics.rows.values() if row["name"] == "Received Email")
    event = next(iter(store.events.rows.values()))
    names = ("Unsubscribed from Text Messaging Marketing", "Subscribed to Text Messaging Marketing", "Opened Text")
    for number, name in enumerate(names):
        store.metrics.put({**klaviyos, "id": f"NEW{number}", "name": name})
        store.events.put({**event, "id": f"new{number}", "metric_id": f"NEW{number}"})
    run = run_tap(
        tmp_path,
        config(sandbox, event_metrics=["engagement"]),
        catalog=select(discovered(), {"events": {"metric_name"}}),
    )
    assert set(names) <= {row["metric_name"] for row in run.rows("events")}
    [line] = [line for line in run.errors.splitlines() if "of engagement, the account has no metric called" in line]
    assert "Subscribed to SMS Transactional" in line
    assert "SMS Marketing" not in line


def test_a_metric_that_nobody_knows_is_exit_2(account: RunningSandbox, tmp_path: Path) -> None:
    """Nothing would be read at all; the line names what was asked for."""
    run = run_tap(
        tmp_path, config(account, event_metrics=["Placed Odrer"]), catalog=select(discovered(), {"events": None})
    )
    assert run.code == 2
    assert "no metric called Placed Odrer" in run.errors.splitlines()[-1]


def test_strict_stops_at_the_first_missing_scope(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """Exit code 2 and the scope; without it the run goes on and names tables and columns."""
    sandbox = make_sandbox(profiles=10, events=20, limits=False, scopes="profiles:read lists:read flows:read")
    catalog = select(discovered(), {"profiles": None, "campaigns": None, "campaign_tags": None, "member_lists": None})
    strict, lenient = two_at_a_time(
        partial(run_tap, tmp_path / name, config(sandbox, strict=name == "strict"), catalog=catalog)
        for name in ("strict", "lenient")
        if not (tmp_path / name).mkdir()
    )
    assert strict.code == 2
    assert "accounts:read" in strict.errors.splitlines()[-1]
    assert lenient.code == 1
    last = lenient.errors.splitlines()[-1]
    assert "incomplete: member_lists.key, campaigns, campaign_tags skipped" in last
    assert "accounts:read, campaigns:read" in last
    assert {row["key"] for row in lenient.rows("member_lists")} == {None}
    assert len(lenient.rows("profiles")) == 10


def test_a_flow_that_is_deleted_while_it_is_read_is_skipped(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Gone between the listing and its actions' own calls: a warning names each, and every other message comes."""
    sandbox = make_sandbox(profiles=5, events=0, limits=False)
    catalog = select(discovered(), {"flow_action_messages": None})
    unarchived = [name for name, row in sandbox.store.flows.rows.items() if not row["archived"]]
    last = max(unarchived)

    observe = sandbox._sandbox._observer
    assert observe is not None

    def delete_when_listed(exchange: Exchange) -> None:
        """Called between the answer and the next request."""
        observe(exchange)
        if exchange.operation == "get_flows" and last.encode() in exchange.body:
            with sandbox.store.lock:
                sandbox.store.flows.drop(last)

    sandbox._sandbox._observer = delete_when_listed
    run = run_tap(tmp_path, config(sandbox), catalog=catalog)

    assert run.code == 0, run.errors
    rows = run.rows("flow_action_messages")
    gone = {row["flow_action_id"] for row in rows if row["flow_id"] == last}
    assert gone
    warnings = run.said("WARNING")
    assert warnings
    assert all("was deleted during the run; skipped" in line for line in warnings)
    assert {line.split("action ")[1].split()[0] for line in warnings} <= gone
    assert {row["channel"] is None for row in rows if row["flow_id"] != last} == {False}
