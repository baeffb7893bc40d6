"""STATE is a receipt."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from singer_sdk import Target
from support.commands import singer_lines
from target_support import Command, records, respond, schema_of, scripted_session

from klaviyo_client.errors import Unavailable
from klaviyo_client.http.transport import Request, Response
from target_klaviyo import target as module
from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.delivery.dispatch import Dispatcher
from target_klaviyo.target import TargetKlaviyo

STREAMS = {"other": {"action": "upsert_profile"}}


def state(value: int) -> dict[str, Any]:
    return {"type": "STATE", "value": {"at": value}}


def person(index: int) -> dict[str, str]:
    return {"email": f"p{index}@example.com"}


def run(messages: Sequence[dict[str, Any]], folder: Path, fails_at: str | None = None, batch: int = 2) -> TargetKlaviyo:
    config = {
        "api_key": "pk_x",
        "rejects_path": str(folder / "rejects.jsonl"),
        "batch_size_rows": batch,
        "streams": STREAMS,
    }
    target = TargetKlaviyo(config=config)

    def wire(request: Request) -> Response:
        if fails_at and fails_at.encode() in (request.body or b""):
            return respond(503)
        return respond(201, {"data": {}})

    target.session, _ = scripted_session(wire)
    target.listen(io.StringIO(singer_lines(messages)))
    return target


def states(capsys: pytest.CaptureFixture[str]) -> list[int]:
    return [json.loads(line)["at"] for line in capsys.readouterr().out.splitlines()]


def numbered(count: int) -> list[dict[str, Any]]:
    """Records of one stream with a state after each."""
    messages = [schema_of("profiles")]
    for index in range(count):
        messages += [*records("profiles", [person(index)]), state(index)]
    return messages


def test_a_state_comes_out_with_every_full_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """States do not wait for the end of input and do not cut batches short; a later one may stand for an earlier."""
    run(numbered(40), tmp_path)
    written = states(capsys)
    assert written == sorted(set(written))
    assert written[-1] == 39
    assert len(written) > 1


def test_a_state_waits_while_another_stream_has_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What vouches for two streams comes out when both are settled."""
    messages = [schema_of("profiles"), schema_of("other"), *records("other", [person(99)]), *numbered(4)[1:]]
    run(messages, tmp_path)
    assert states(capsys) == [3]


def test_a_failing_batch_lets_no_later_state_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last state on stdout is from before the batch that Klaviyo could not take."""
    with pytest.raises(Unavailable):
        run(numbered(8), tmp_path, fails_at="p4@example.com")
    assert states(capsys)[-1] == 3


def test_a_rejected_record_is_on_disk_before_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever acts on the state can rely on the file."""
    seen: list[int] = []
    path = tmp_path / "rejects.jsonl"
    write = Target._write_state_message

    def spy(self: TargetKlaviyo, value: dict[str, Any]) -> None:
        seen.append(len(path.read_text().splitlines()))
        write(self, value)

    monkeypatch.setattr(Target, "_write_state_message", spy)
    run([schema_of("profiles"), *records("profiles", [person(0), {"email": "bad"}]), state(1)], tmp_path)
    assert seen == [2]
    assert states(capsys) == [1]


def test_after_some_time_a_state_no_longer_waits_for_a_full_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a slow tap at most STATE_SECONDS are repeated after a crash."""
    monkeypatch.setattr(module, "STATE_SECONDS", -1.0)
    sizes: list[int] = []
    send = Dispatcher._send

    def spy(self: Dispatcher, queue: Any, slot: Any) -> None:
        sizes.append(len(slot.rows))
        send(self, queue, slot)

    monkeypatch.setattr(Dispatcher, "_send", spy)
    run(numbered(3), tmp_path, batch=1000)
    assert sizes == [1, 1, 1]
    assert states(capsys)[-1] == 2


def test_rows_from_before_a_changed_schema_are_sent_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK makes a new sink for a new SCHEMA; the older rows must not arrive after the newer ones."""
    sent: list[str] = []
    wider = schema_of("profiles")
    wider["schema"] = {**wider["schema"], "properties": {**wider["schema"]["properties"], "plan": {"type": "string"}}}
    messages = [
        schema_of("profiles"),
        *records("profiles", [{"email": "old@example.com"}]),
        wider,
        *records("profiles", [{"email": "new1@example.com"}, {"email": "new2@example.com"}]),
    ]
    add = Dispatcher.add

    def spy(self: Dispatcher, stream: str, action: Action, row: Row) -> None:
        sent.append(row.payload["attributes"]["email"])
        add(self, stream, action, row)

    flush = Dispatcher.flush

    def flushing(self: Dispatcher) -> None:
        flush(self)
        sent.append("flushed")

    monkeypatch.setattr(Dispatcher, "add", spy)
    monkeypatch.setattr(Dispatcher, "flush", flushing)
    run(messages, tmp_path)
    assert sent[:4] == ["old@example.com", "flushed", "new1@example.com", "new2@example.com"]


@pytest.mark.parametrize("depth", [90, 900, 100_000])
def test_a_state_that_is_nested_deeply_breaks_nothing(target: Command, depth: int) -> None:
    """It goes out, or, where it cannot be read, onto the file of rejected lines; what came before it stands."""
    deep = '{"type": "STATE", "value": {"a": ' + '{"a": ' * depth + "1" + "}" * depth + "}}"
    done = target([schema_of("profiles"), *records("profiles", [person(1)]), state(1), deep])
    assert done.code == 0, done.stderr
    came = [line.startswith('{"a": {"a"') for line in done.stdout.splitlines()]
    assert came[-1] if depth < 1_000 else (not any(came) and len(done.rejected) == 1)


def test_a_signal_vouches_for_nothing_that_was_not_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a signal nothing more is sent, no state speaks for what waited, and the exit is not a success."""
    target = run([], tmp_path)
    target._process_schema_message(schema_of("profiles"))
    for message in records("profiles", [person(0)]):
        target._process_record_message(message)
    target._process_state_message(state(9))
    target._handle_termination(15, None)
    with pytest.raises(SystemExit) as caught:
        target.process_endofpipe()
    assert caught.value.code == 143
    assert states(capsys) == []


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """Whoever asks twice does not want to wait for what is under way."""
    target = run([], tmp_path)
    target._handle_termination(2, None)
    with pytest.raises(SystemExit) as caught:
        target._handle_termination(2, None)
    assert caught.value.code == 130
