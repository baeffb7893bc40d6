"""The V1 tables as users select them: what they cost, what they hold, and their keys as PostgreSQL makes them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from support.calls import Caller
from support.demo import load
from tap_support import Run, config, discovered, run_tap, select, two_at_a_time

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.tables import BY_DEFAULT, STREAMS

V1 = [name for name in STREAMS if name.startswith("esp_")]
V2 = [name for name in STREAMS if name in BY_DEFAULT]
EVENTS = [f"esp_{name}" for name in ("sends", "bounces", "opens", "clicks", "spams", "unsubscribes", "events")]
INTEGRATION = "4711"


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=60, events=1200, seed=11, limits=False)


def asked(account: RunningSandbox, before: int) -> Counter[str]:
    """How often each path was asked for since then."""
    return Counter(entry.path for entry in list(account.requests)[before:])


@pytest.fixture(scope="module")
def both(account: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Counter[str]]:
    """One run of all tables of both specifications, with what it asked for."""
    before = len(account.requests)
    catalog = select(discovered(), dict.fromkeys((*V2, *V1)))
    settings = config(account, esp_integration_id=INTEGRATION)
    run = run_tap(tmp_path_factory.mktemp("both"), settings, catalog=catalog)
    assert run.code == 0, run.errors
    assert run.said("WARNING") == []
    return run, asked(account, before)


def test_both_sets_cost_what_one_does(both: tuple[Run, Counter[str]], account: RunningSandbox, tmp_path: Path) -> None:
    """Not one request more than the V2 tables alone, which is what a run without a catalog reads."""
    before = len(account.requests)
    alone = run_tap(tmp_path, config(account, esp_integration_id=INTEGRATION))
    assert {stream for kind, stream in alone.kinds if kind == "SCHEMA"} == set(V2)
    assert asked(account, before) == both[1]
    for stream in V2:
        assert alone.rows(stream) == both[0].rows(stream)


def test_each_event_is_in_exactly_one_table(both: tuple[Run, Counter[str]]) -> None:
    """Every table has some, and together they have all, each once."""
    run, _ = both
    found = [row["id"] for stream in EVENTS for row in run.rows(stream)]
    assert sorted(found) == sorted(row["id"] for row in run.rows("events"))
    assert min(len(run.rows(stream)) for stream in EVENTS) > 0
    names = {row["id"]: row["metric_name"] for row in run.rows("events")}
    clicks = {names[row["id"]] for row in run.rows("esp_clicks")}
    assert clicks == {"Clicked Email", "Clicked SMS", "Clicked Text Message"}


def test_join_keys_find_their_rows(both: tuple[Run, Counter[str]], account: RunningSandbox) -> None:
    """Members, campaigns, flows and lists of every table, but for what was deleted in Klaviyo."""
    run, _ = both
    store = account.store
    left = {*store.flows.rows, *store.flow_messages.rows, *store.campaigns.rows}
    named = {row[column] for row in run.rows("events") for column in ("flow", "message")} - {None}
    gone = {hashlib.md5(f"Klaviyo:{INTEGRATION}:{deleted}".encode()).hexdigest() for deleted in named - left}
    keys = {
        name: {row["key"] for row in run.rows(f"esp_{name}s")} for name in ("member", "campaign", "automation", "list")
    }
    for stream in V1:
        for name, known in keys.items():
            wanted = {row[f"{name}_join_key"] for row in run.rows(stream) if row.get(f"{name}_join_key")}
            assert wanted - known <= (gone if name in ("campaign", "automation") else set())


def test_a_flows_message_has_its_own_time_where_that_is_had(
    both: tuple[Run, Counter[str]], account: RunningSandbox, tmp_path: Path
) -> None:
    """Its own, where another table asks for it anyway, and else the flow's; never is it asked for by this table."""
    messages = {row["flow_action_message_id"]: row for row in both[0].rows("flow_action_messages")}
    of_messages = {id_: row["updated"] for id_, row in messages.items()}
    of_flows = {id_: row["flow_updated"] for id_, row in messages.items()}
    assert of_messages != of_flows
    for run, times in (
        (both[0], of_messages),
        (run_tap(tmp_path, config(account), catalog=select(discovered(), {"esp_campaigns": None})), of_flows),
    ):
        assert {row["id"]: row["updated_at"] for row in run.rows("esp_campaigns") if row["id"] in messages} == times


def test_members_have_the_channels_of_their_consents(both: tuple[Run, Counter[str]]) -> None:
    """As the profiles' own columns say of each channel, and some people have several."""
    run, _ = both
    columns = {
        "email": "email_marketing_consent",
        "sms": "sms_marketing_consent",
        "whatsapp": "whatsapp_marketing_consent",
        "mobile_push": "push_marketing_consent",
    }
    subscribed = {
        row["profile_id"]: [channel for channel, column in columns.items() if row[column] == "SUBSCRIBED"]
        for row in run.rows("profiles")
        if "$consent" not in (row["properties"] or {})
    }
    found = {row["id"]: json.loads(row["consent"] or "[]") for row in run.rows("esp_members")}
    assert {id_: found[id_] for id_ in subscribed} == subscribed
    assert {len(channels) for channels in found.values()} >= {0, 1, 2}


def test_the_rows_of_one_stream_come_from_two_collections(
    both: tuple[Run, Counter[str]], account: RunningSandbox, tmp_path: Path
) -> None:
    """Lists and segments, campaigns and messages of flows: as with all tables selected, from no more than is needed."""
    catalog = select(discovered(), {"esp_lists": None, "esp_campaigns": None})
    before = len(account.requests)
    run = run_tap(tmp_path, config(account, esp_integration_id=INTEGRATION), catalog=catalog)
    assert set(asked(account, before)) == {"/api/lists", "/api/segments", "/api/campaigns", "/api/flows"}
    for stream, parts in (
        ("esp_lists", ("lists", "segments")),
        ("esp_campaigns", ("campaigns", "flow_action_messages")),
    ):
        ids = [row["id"] for row in run.rows(stream)]
        assert len(ids) == len(set(ids)) == sum(len(both[0].rows(part)) for part in parts)
        assert run.kinds["SCHEMA", stream] == 1
        # Together with events, there are messages that only these know of.
        key = {row["id"]: row["key"] for row in both[0].rows(stream) if row["id"] in ids}
        assert {row["id"]: row["key"] for row in run.rows(stream)} == key


def test_a_bookmark_of_two_collections_waits_for_both(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Without the scope for segments the lists come, and no bookmark says that all was read."""
    scopes = "lists:read metrics:read accounts:read"
    sandboxes = [
        make_sandbox(profiles=5, events=0, limits=False, scopes=found) for found in (scopes, f"{scopes} segments:read")
    ]
    catalog = select(discovered(), {"esp_lists": None})
    few, whole = two_at_a_time(
        partial(run_tap, tmp_path / name, config(sandbox), catalog=catalog)
        for name, sandbox in zip("ab", sandboxes, strict=True)
        if not (tmp_path / name).mkdir()
    )
    assert (few.code, whole.code) == (1, 0)
    assert {row["list_type"] for row in few.rows("esp_lists")} == {"list"}
    assert "replication_key_value" not in few.state["bookmarks"].get("esp_lists", {})
    assert {row["list_type"] for row in whole.rows("esp_lists")} == {"list", "segment"}
    assert whole.state["bookmarks"]["esp_lists"]["replication_key_value"] == max(
        row["updated_at"] for row in whole.rows("esp_lists") if row["list_type"] == "segment"
    )


def test_only_what_columns_need_is_asked_for(
    both: tuple[Run, Counter[str]], account: RunningSandbox, tmp_path: Path
) -> None:
    """Events with metric, properties and address, and nothing of attributions; the account once, for its id."""
    catalog = select(discovered(), {"esp_clicks": None, "esp_unsubscribes": None})
    before = len(account.requests)
    run = run_tap(tmp_path, config(account), catalog=catalog)
    entries = list(account.requests)[before:]
    assert {entry.path for entry in entries} == {"/api/accounts", "/api/events", "/api/metrics"}
    assert [entry.path for entry in entries].count("/api/accounts") == 1
    query = next(entry.query for entry in entries if entry.path == "/api/events")
    assert query["include"] == "profile"
    assert query["fields[event]"] == "datetime,event_properties"
    assert query["fields[profile]"] == "email"
    [names] = [entry.query for entry in entries if entry.path == "/api/metrics"]
    assert names["fields[metric]"] == "integration,name"
    (integration,) = {row["esp_integration_id"] for stream in run.streams for row in run.rows(stream)}
    assert integration == both[0].rows("stg_member_lists")[0]["_account_id"]


def test_a_key_without_the_accounts_scope_leaves_keys_null(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """No row is lost for it, the columns of every collection are named, and the setting makes the call needless."""
    sandbox = make_sandbox(profiles=5, events=20, limits=False, scopes="metrics:read lists:read segments:read")
    catalog = select(discovered(), {"esp_metrics": None, "esp_lists": None})
    without, told = two_at_a_time(
        partial(run_tap, tmp_path / name, config(sandbox, **settings), catalog=catalog)
        for name, settings in (("a", {}), ("b", {"esp_integration_id": INTEGRATION}))
        if not (tmp_path / name).mkdir()
    )
    assert (without.code, told.code) == (1, 0)
    assert "esp_metrics.key" in without.errors.splitlines()[-1]
    assert "esp_lists.key" in without.errors.splitlines()[-1]
    for stream in ("esp_metrics", "esp_lists"):
        assert {row["key"] for row in without.rows(stream)} == {None}
        assert [row["id"] for row in without.rows(stream)] == [row["id"] for row in told.rows(stream)] != []
        assert None not in {row["key"] for row in told.rows(stream)}


def test_a_metric_of_another_integration_is_no_opening_or_unsubscribing(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Of two metrics of one name, Klaviyo's has its events in the table of that name, the other in ``esp_events``."""
    sandbox = make_sandbox(profiles=5, events=200, limits=False)
    posted = dict.fromkeys(("Unsubscribed", "Opened Email", "Clicked Text Message"), "posted")
    with contextlib.closing(Caller(sandbox.url)) as caller:
        for name in posted:
            metric = {"type": "metric", "attributes": {"name": name, "service": "shopify"}}
            profile = {"type": "profile", "attributes": {"email": "ada@example.com"}}
            attributes = {"metric": {"data": metric}, "profile": {"data": profile}, "properties": {"from": "posted"}}
            answer = caller.post("events", {"data": {"type": "event", "attributes": attributes}})
            assert answer.status_code == 202
    wanted = {"esp_metrics": None, "metrics": None, "events": {"id", "metric_name", "event_properties"}}
    catalog = select(discovered(), {**wanted, **dict.fromkeys(EVENTS)})
    run = run_tap(tmp_path, config(sandbox), catalog=catalog)
    events = {row["id"]: row for row in run.rows("events")}
    others = {id_ for id_, row in events.items() if "posted" in str(row["event_properties"])}
    assert {events[id_]["metric_name"] for id_ in others} == set(posted)
    assert others <= {row["id"] for row in run.rows("esp_events")}
    assert sorted(row["id"] for stream in EVENTS for row in run.rows(stream)) == sorted(events)
    integrations = {row["metric_id"]: row["integration_name"] for row in run.rows("metrics")}
    destinations = {(row["name"], integrations[row["id"]]): row["destination"] for row in run.rows("esp_metrics")}
    assert {destinations[name, "Shopify"] for name in posted} == {"events"}
    assert (destinations["Opened Email", "Klaviyo"], destinations["Placed Order", "Shopify"]) == ("opens", "events")


# As PostgreSQL has it -------------------------------------------------------------------------------------------------

KEY = "md5('Klaviyo:4711:' || {})"


def _event(routed: str) -> str:
    hashes = [f"md5({column}), {KEY.format(column)}" for column in ("message", "flow", "profile_data_id")]
    return f"select id, {KEY.format('id')}, {', '.join(hashes)} from named_events where {routed}"


_ROUTED = {
    "esp_sends": "metric_name = 'Received Email'",
    "esp_bounces": "metric_name = 'Bounced Email'",
    "esp_opens": "metric_name = 'Opened Email'",
    "esp_clicks": "metric_name in ('Clicked Email', 'Clicked SMS', 'Clicked Text Message')",
    "esp_spams": "metric_name = 'Marked Email as Spam'",
    "esp_unsubscribes": "metric_name ~ '^Unsubscribed( from (List|Email Marketing))?$'",
}
# Of Klaviyo's own metrics only; and a blank names neither flow nor message.
_ROUTED = {stream: f"own and {names}" for stream, names in _ROUTED.items()}
_NAMED_EVENTS = """
create view named_events as
select id, profile_data_id, metric_name, integration_name = 'Klaviyo' as own,
       nullif(btrim(message), '') as message, nullif(btrim(flow), '') as flow
from events join metrics on metric_id = metric_data_id
"""
_FOREIGN = ("campaign_key, campaign_join_key", "automation_key, automation_join_key", "member_key, member_join_key")
# V1 table -> its columns, and the same from the V2 tables.
SAME: dict[str, tuple[str, str]] = {
    "esp_metrics": ("id, key", f"select metric_id, {KEY.format('metric_id')} from metrics"),
    "esp_campaigns": (
        "id, key, automation_key, automation_join_key",
        (
            f"select campaign_id, {KEY.format('campaign_id')}, null, null from campaigns union all "
            f"select flow_action_message_id, {KEY.format('flow_action_message_id')}, md5(flow_id), "
            f"{KEY.format('flow_id')} from flow_action_messages union all "
            f"select distinct message, {KEY.format('message')}, md5(flow), {KEY.format('flow')} from named_events "
            "where message not in (select campaign_id from campaigns) "
            "and message not in (select flow_action_message_id from flow_action_messages)"
        ),
    ),
    "esp_automations": ("id, key", f"select flow_id, {KEY.format('flow_id')} from flows"),
    "esp_lists": (
        "id, key, list_type",
        (
            f"select list_id, {KEY.format('list_id')}, 'list' from lists union all "
            f"select segment_id, {KEY.format('segment_id')}, 'segment' from segments"
        ),
    ),
    "esp_campaign_lists": (
        "id, key, list_join_key, campaign_join_key",
        (
            f"select audience_id || ':' || campaign_id, {KEY.format('audience_id')[:-1]} || ':' || campaign_id), "
            f"{KEY.format('audience_id')}, {KEY.format('campaign_id')} from campaign_audiences_included"
        ),
    ),
    "esp_members": ("id, key", f"select profile_id, {KEY.format('profile_id')} from profiles"),
    "esp_member_attributes": (
        "id, name, key, member_key, member_join_key",
        (
            f"select profile_id, jsonb_object_keys(properties::jsonb), {KEY.format('profile_id')}, md5(profile_id), "
            f"{KEY.format('profile_id')} from profiles"
        ),
    ),
    "esp_member_exclusions": (
        "member_id, reason, created_at, _sync_id",
        (
            "select s.profile_id, reason, timestamp, md5(email) from profile_email_suppressions s "
            "join profiles p on p.profile_id = s.profile_id"
        ),
    ),
    "esp_stg_member_lists": (
        "list_id, member_id, _sync_id, _account_id",
        "select list_id, member_id, md5(list_id || ':' || member_id), _account_id from stg_member_lists",
    ),
    "esp_member_lists": (
        "id, member_id, key, member_list_join_key, member_join_key, subscribed_at, subscribed, unsubscribed_at",
        (
            f"select list_id, member_id, {KEY.format('list_id')}, {KEY.format('list_id')[:-1]} || ':' || member_id), "
            f"{KEY.format('member_id')}, subscribed_at, subscribed, unsubscribed_at from member_lists"
        ),
    ),
    **{
        stream: (f"id, key, {', '.join(_FOREIGN)}", _event(routed))
        for stream, routed in (
            *_ROUTED.items(),
            ("esp_events", f"not coalesce({' or '.join(_ROUTED.values())}, false)"),
        )
    },
}


@pytest.fixture(scope="module")
def database(both: tuple[Run, Counter[str]]) -> Iterator[psycopg.Connection]:
    """A PostgreSQL with every table landed, each column as text."""
    with load().postgres() as uri, psycopg.connect(uri, autocommit=True) as connection:
        for stream in (*V2, *V1):
            rows = both[0].rows(stream)
            names = ", ".join(f'"{name}"' for name in rows[0])
            typed = ", ".join(f'"{name}" text' for name in rows[0])
            connection.execute(
                f'create table "{stream}" as select {names} from json_to_recordset(%s) as r({typed})',
                [json.dumps(rows)],
            )
        connection.execute(_NAMED_EVENTS)
        yield connection


@pytest.mark.parametrize("stream", V1)
def test_keys_are_what_postgres_makes_of_the_v2_tables(database: psycopg.Connection, stream: str) -> None:
    """Keys, foreign keys and join keys, row by row; no row is missing and none is too many."""
    columns, same = SAME[stream]
    found = database.execute(f"select {columns} from {stream}").fetchall()
    assert Counter(found) == Counter(database.execute(same).fetchall())
    assert found


def test_a_campaigns_list_is_one_of_its_audiences(database: psycopg.Connection) -> None:
    """Unhashed in list_key, and a key of lists in list_join_key."""
    query = (
        f"select count(*), count(a.audience_id), count(case when list_join_key = {KEY.format('list_key')} then 1 end) "
        "from esp_campaigns c left join campaign_audiences_included a on campaign_id = id and audience_id = list_key "
        "where list_key is not null"
    )
    (counts,) = database.execute(query).fetchall()
    assert len(set(counts)) == 1
    assert counts[0] > 0
