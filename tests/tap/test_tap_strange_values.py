"""Texts and numbers that JSON, or a destination, does not have, and that accounts hold nevertheless."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tap_support import config, discovered, select

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.transport import Request, RequestsTransport, Response
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo import tap

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=40, events=60, limits=False)


@pytest.fixture
def read(
    account: RunningSandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Rows]:
    """Runs the tap on an account in whose answers parts of the JSON are others; gives rows by stream."""
    monkeypatch.setattr(KlaviyoClient, "acquire", lambda *_: None)
    send = RequestsTransport.send

    def run(changes: dict[bytes, bytes], **settings: Any) -> Rows:
        def send_changed(transport: RequestsTransport, request: Request) -> Response:
            response = send(transport, request)
            body = response.body
            for old, new in changes.items():
                body = body.replace(old, new)
            return replace(response, body=body)

        monkeypatch.setattr(RequestsTransport, "send", send_changed)
        catalog = select(discovered(), dict.fromkeys(("profiles", "events", "lists", "metrics")))
        made = tap.TapKlaviyo(config=config(account, **settings), catalog=catalog, parse_env_config=False)
        made.sync_all()
        rows: Rows = defaultdict(list)
        for line in capfd.readouterr().out.splitlines():
            message = json.loads(line, parse_constant=pytest.fail)
            line.encode()
            if message["type"] == "RECORD":
                rows[message["stream"]].append(message["record"])
        return rows

    return run


@pytest.mark.parametrize("processes", [0, 2])
def test_half_a_surrogate_pair_and_nan_stop_nothing(read: Callable[..., Rows], processes: int) -> None:
    """In names and values, in rows and in what is included: every row is there, with ? and null in those places."""
    plain = read({}, processes=processes)
    rows = read(
        {
            b'"properties":{': b'"properties":{"odd\\ud83d":NaN,"text":"x\\ude00",',
            b'"event_properties":{': b'"event_properties":{"odd\\ud83d":-Infinity,"text":"\\ud83d",',
            b'"type":"metric","id":': b'"meta":{"\\ud83d":NaN},"type":"metric","id":',
        },
        processes=processes,
    )
    assert {name: len(found) for name, found in rows.items()} == {name: len(found) for name, found in plain.items()}
    assert all(row["event_properties"]["odd?"] is None for row in rows["events"])
    assert {row["event_properties"]["text"] for row in rows["events"]} == {"?"}
    assert all(row["properties"]["odd?"] is None for row in rows["profiles"])
    assert {row["properties"]["text"] for row in rows["profiles"]} == {"x?"}


@pytest.mark.parametrize("processes", [0, 2])
def test_no_row_holds_a_null_character(read: Callable[..., Rows], processes: int) -> None:
    """PostgreSQL, the destination that is documented, takes it neither in a text nor in the name of a property."""
    rows = read(
        {
            b'"properties":{': b'"properties":{"zero\\u0000":["\\u0000x"],',
            b'"event_properties":{': b'"event_properties":{"zero\\u0000":"\\u0000","Subject":"a\\u0000b",',
            b'"first_name":"': b'"first_name":"\\u0000',
        },
        processes=processes,
    )
    assert "\0" not in "".join(_texts(rows))
    assert all(row["properties"]["zero\ufffd"] == ["\ufffdx"] for row in rows["profiles"])
    assert all(row["event_properties"]["zero\ufffd"] == "\ufffd" for row in rows["events"])


def test_postgresql_takes_every_row_of_an_account_with_null_characters(
    read: Callable[..., Rows], make_database: Callable[[], str]
) -> None:
    """Names, texts and names of properties arrive as text and as jsonb; a row with U+0000 itself would not."""
    rows = read(
        {
            b'"properties":{': b'"properties":{"zero\\u0000":["\\u0000x"],"about":"\\\\u0000",',
            b'"event_properties":{': b'"event_properties":{"zero\\u0000":"\\u0000",',
            b'"first_name":"': b'"first_name":"\\u0000',
            b'"name":"': b'"name":"\\u0000',
        }
    )
    sent = [("\n".join(_texts(row)), json.dumps(row)) for found in rows.values() for row in found]
    insert = "insert into landed (said, record) values (%s, %s)"
    with psycopg.connect(make_database()) as database:
        database.execute("create table landed (place serial, said text, record jsonb)")
        database.cursor().executemany(insert, sent)
        landed = database.execute("select said, record from landed order by place").fetchall()
        assert landed == [(text, json.loads(record)) for text, record in sent]
        for refused in (("\0", "{}"), ("", '{"\\u0000": 1}')):
            with pytest.raises(psycopg.DataError), database.transaction():
                database.execute(insert, refused)
    assert {name for name, found in rows.items() if "\ufffd" in "".join(_texts(found))} == set(rows)
    assert all(row["properties"]["about"] == "\\u0000" for row in rows["profiles"])


def _texts(value: Any) -> Iterator[str]:
    """Every text and name in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from (name, *_texts(entry))
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
