"""Published programs that know nothing of this project read and write the sandbox as they would an account.

Each is installed as it is published, into an environment of its own, and finds the sandbox at Klaviyo's own address.
"""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from support.calls import Caller
from support.environments import RegistryOutOfReach, programs
from support.klaviyo_address import klaviyo_address
from support.outsiders import ACCOUNT, AIRBYTE, CLI, EXPORTED, HEADLESS, INGESTR, TAP, Outsider, expected_in
from support.second_path import collection, witness

ROOT = Path(__file__).parents[2]
# Of their own: nobody uses one key at two addresses.
KEY = "pk_outsider"
# All that the account holds is later.
START = "2024-06-01T00:00:00Z"

pytestmark = pytest.mark.klaviyo_breaches(reason="the manners of other people's programs are not ours")


def installed(outsider: Outsider) -> Path:
    """The folder of a program."""
    return installed_from(outsider.name, outsider.requirement)


def installed_from(name: str, requirement: str) -> Path:
    try:
        return programs(name, requirement)
    except RegistryOutOfReach:
        pytest.skip(f"{requirement} is not installed, and no package registry is within reach")


@pytest.fixture(scope="module")
def account(make_shared_sandbox):
    return make_shared_sandbox(**ACCOUNT)


@pytest.fixture(scope="module")
def address(account, tmp_path_factory):
    """The environment of a program that is to take the account for Klaviyo."""
    folder = tmp_path_factory.mktemp("address")
    with klaviyo_address(account.url, installed_from("trustme", "trustme==1.2.1"), folder) as environment:
        yield environment


@pytest.fixture
def run(address, tmp_path):
    """Runs a program in an empty folder; gives what it prints."""
    return runner({**address, "KLAVIYO_API_KEY": KEY, "HOME": str(tmp_path), "TZ": "UTC"}, tmp_path)


def runner(environment, folder):
    def run(*command):
        done = subprocess.run(
            command, check=False, env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    return run


def singer_messages(output):
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def sorted_ids(pairs):
    """(stream, id) pairs as the ids of each stream."""
    found = defaultdict(list)
    for stream, row_id in pairs:
        found[stream].append(row_id)
    return {stream: sorted(ids) for stream, ids in found.items()}


@pytest.mark.exhaustive
def test_airbyte_reads_every_stream(account, run, tmp_path):
    """Windows of time with `+0000` in them, archived ones by a filter, and look-ups of each campaign and list."""
    program = installed(AIRBYTE) / "source-klaviyo"
    (tmp_path / "config.json").write_text(json.dumps({"api_key": KEY, "start_date": START}))
    (catalog,) = (
        message["catalog"]
        for message in singer_messages(run(program, "discover", "--config", "config.json"))
        if message["type"] == "CATALOG"
    )
    chosen = [
        {"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append"}
        for stream in catalog["streams"]
    ]
    (tmp_path / "catalog.json").write_text(json.dumps({"streams": chosen}))
    records = [
        message["record"]
        for message in singer_messages(run(program, "read", "--config", "config.json", "--catalog", "catalog.json"))
        if message["type"] == "RECORD"
    ]
    found = sorted_ids((record["stream"], record["data"]["id"]) for record in records)
    assert found == expected_in(witness(account), AIRBYTE.streams)
    assert all(record["data"]["campaign_messages"] for record in records if record["stream"] == "campaigns_detailed")


@pytest.mark.exhaustive
@pytest.mark.parametrize("stream", sorted(INGESTR.streams))
def test_ingestr_reads(account, run, tmp_path, stream):
    """A table of it, by windows of time that several workers read, into a database; a second run adds nothing."""
    for _ in range(2):
        run(
            *(installed(INGESTR) / "ingestr", "ingest", "--yes", "--progress", "log", "--interval-start", START),
            *("--source-uri", f"klaviyo://?api_key={KEY}", "--source-table", stream),
            *("--dest-uri", f"sqlite:///{tmp_path}/read.db", "--dest-table", "found"),
        )
    database = sqlite3.connect(tmp_path / "read.db")
    found = {stream: sorted(row_id for (row_id,) in database.execute("select id from found"))}
    database.close()
    assert found == expected_in(witness(account), {stream: INGESTR.streams[stream]})


@pytest.fixture
def read_by_tap(run, tmp_path):
    """Runs the old tap-klaviyo with all it finds selected; gives its messages."""
    program = installed(TAP) / "tap-klaviyo"
    (tmp_path / "config.json").write_text(json.dumps({"api_key": KEY, "start_date": START}))
    catalog = json.loads(run(program, "--config", "config.json", "--discover"))
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = True
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    return lambda *state: singer_messages(run(program, "--config", "config.json", "--catalog", "catalog.json", *state))


@pytest.mark.exhaustive
def test_the_old_tap_reads_every_stream(account, read_by_tap, tmp_path):
    """Its streams of single metrics, suppressions by their reasons; and from its bookmarks it reads only the last."""
    messages = read_by_tap()
    found = sorted_ids((message["stream"], message["record"]["id"]) for message in messages if "record" in message)
    assert found == expected_in(witness(account), TAP.streams)
    state = [message["value"] for message in messages if message["type"] == "STATE"][-1]
    (tmp_path / "state.json").write_text(json.dumps(state))
    again = [
        message["record"]
        for message in read_by_tap("--state", "state.json")
        if "record" in message and TAP.streams[message["stream"]].kind == "events"
    ]
    last = {bookmark["since"] for bookmark in state["bookmarks"].values()}
    assert len(again) >= len(last)
    assert len(again) < len(expected_in(witness(account), {"events": AIRBYTE.streams["events"]})["events"]) / 2


@pytest.mark.exhaustive
def test_klaviyo_cli_reads(account, run):
    """It lists what a marketer asks for, counts members, and adds up a metric."""
    program = installed(CLI) / "klaviyo"

    def ask(*arguments):
        return json.loads(run(program, "--json", *arguments))

    audiences = ask("list-audiences")
    metrics = ask("list-metrics")["metrics"]
    exported = {
        metric["id"]: run(program, "export-events", "--metric", metric["id"]).splitlines()
        for metric in metrics
        if metric["name"] in EXPORTED
    }
    found = {
        "list-audiences": [row["id"] for kind in ("lists", "segments") for row in audiences[kind]["data"]],
        "list-metrics": [metric["id"] for metric in metrics],
        "export-events": [json.loads(line)["id"] for lines in exported.values() for line in lines],
        "flows": [row["id"] for row in ask("flows")["data"]],
        "forms": [row["id"] for row in ask("forms")],
        "list-campaigns": [row["id"] for row in ask("list-campaigns", "--limit", "100")["data"]],
    }
    truth = witness(account)
    assert {stream: sorted(ids) for stream, ids in found.items()} == expected_in(truth, CLI.streams)
    members = defaultdict(int)
    for segment_id, _ in truth.members("segments"):
        members[segment_id] += 1
    segment = max(members, key=lambda segment: members[segment])
    assert ask("segment-count", segment)["profile_count"] == members[segment]
    metric, lines = max(exported.items(), key=lambda entry: len(entry[1]))
    counted = ask("metric-aggregate", metric, "--since", START[:10], "--measurements", "count")
    (row,) = counted["data"]["attributes"]["data"]
    assert sum(row["measurements"]["count"]) == len(lines) > 0


@pytest.mark.exhaustive
def test_klaviyo_cli_writes(make_sandbox, tmp_path):
    """It records an event of somebody new, and suppresses and unsubscribes them."""
    account = make_sandbox(limits=False, job_seconds=0.0)
    program = installed(CLI) / "klaviyo"
    email = "outsider@example.com"
    (folder := tmp_path / "address").mkdir()
    with klaviyo_address(account.url, installed_from("trustme", "trustme==1.2.1"), folder) as environment:
        run = runner({**environment, "KLAVIYO_API_KEY": KEY}, tmp_path)
        run(program, "push-event", "--email", email, "--metric", "Opened Door", "--value", "3.5")
        run(program, "suppress", "--emails", email, "--yes")
        jobs = json.loads(run(program, "--json", "suppression-jobs"))["jobs"]
    (event,) = collection(account, "events", sort="-datetime", page__size=1)[:1]
    assert event["attributes"]["event_properties"]["$value"] == 3.5
    (profile,) = collection(
        account, "profiles", filter=f"equals(email,'{email}')", additional_fields__profile="subscriptions"
    )
    suppression = profile["attributes"]["subscriptions"]["email"]["marketing"]["suppression"]
    assert [entry["reason"] for entry in suppression] == ["USER_SUPPRESSED"]
    assert [job["direction"] for job in jobs] == ["suppress"]


@pytest.mark.exhaustive
def test_headless_klaviyo_reads_all(account, run, tmp_path):
    """A program of Klaviyo's own, on an older SDK of theirs, writes every definition that it is told of into files."""
    run(installed(HEADLESS) / "klaviyo", "get", "all")
    found = sorted_ids(
        (stream, json.loads(file.read_text())["id"])
        for stream in HEADLESS.streams
        for file in (tmp_path / stream).glob("*.json")
    )
    assert found == expected_in(witness(account), HEADLESS.streams)


@pytest.fixture
def ask_assistant(account):
    """Asks the tools for assistants something (a method of the Model Context Protocol); gives the result."""
    environment = {
        **os.environ,
        "BASE_URL": account.url,
        "API_KEY": f"Klaviyo-API-Key {KEY}",
        "RATE_LIMIT_REQUESTS_PER_SECOND": "1000",
    }
    numbers = itertools.count(1)
    program = installed_from("mcparmory-klaviyo", "mcparmory-klaviyo==1.0.3") / "mcparmory-klaviyo"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([program], env=environment, text=True, **pipes) as process:

        def ask(method, **parameters):
            number = next(numbers)
            message = {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            return next(answer["result"] for answer in map(json.loads, process.stdout) if answer.get("id") == number)

        hello = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        ask("initialize", **hello)
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\n")
        yield ask
        process.terminate()


@pytest.mark.exhaustive
def test_an_assistant_reads_the_first_page_of_everything(account, ask_assistant):
    """Each of its tools that lists something, and needs no id for that, shows what plain requests do."""
    tools = [
        tool["name"]
        for tool in ask_assistant("tools/list")["tools"]
        if tool["annotations"].get("readOnlyHint") and tool["inputSchema"]["required"] == ["revision"]
    ]
    caller = Caller(account.url)
    read = []
    for tool in tools:
        before = len(account.requests)
        answer = ask_assistant("tools/call", name=tool, arguments={"revision": "2026-01-15"})
        # Some need an id, although they do not say so.
        if len(account.requests) > before:
            path = account.requests[-1].path.removeprefix("/api/")
            shown = json.loads(answer["content"][0]["text"])["data"]
            assert [row["id"] for row in shown] == [row["id"] for row in caller.get(path).json()["data"]]
            read.append(path)
    caller.close()
    assert {"catalog-items", "events", "flows", "lists", "metrics", "profiles", "segments", "tags"} < set(read)
