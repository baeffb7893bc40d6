"""What Meltano asks of a target beside a run: a test of its settings, and reading on when a run has failed."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from support import warm
from support.commands import singer_lines
from support.fast_clock import fast_command
from support.patience import PATIENCE, until
from target_support import ADA, Command, records, schema_of

from klaviyo_client.http.clock import Clock
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.intake.reading_on import MAX_BYTES, SECONDS, read_on

# What `meltano config test` writes, as Meltano 4 does.
TEST_STREAM = [
    {
        "type": "SCHEMA",
        "stream": "meltano_test_stream",
        "key_properties": ["id"],
        "schema": {
            "type": "object",
            "properties": {
                "id": {"type": "integer"},
                "name": {"type": "string"},
                "created_at": {"type": "string", "format": "date-time"},
            },
        },
    },
    {
        "type": "RECORD",
        "stream": "meltano_test_stream",
        "record": {"id": 1, "name": "Meltano Test Record", "created_at": "2025-09-29T00:00:00Z"},
    },
    {"type": "STATE", "value": {"bookmarks": {"meltano_test_stream": {"last_record": 1}}}},
    {"type": "ACTIVATE_VERSION", "stream": "meltano_test_stream", "version": 1},
]


@pytest.mark.parametrize(
    "settings",
    [{}, {"dry_run": True}, {"strict_protocol": True}, {"streams": {"vips": {"action": "upsert_profile"}}},
     {"stream_maps": {"*": {"email": "name + '@example.com'"}}}],
)  # fmt: skip
def test_meltanos_test_of_the_settings_succeeds_and_sends_nothing(
    target: Command, account: RunningSandbox, settings: dict[str, Any]
) -> None:
    """The key is asked for; no record is sent or rejected, and no line has a word that Meltano takes for a failure."""
    run = target(TEST_STREAM, **settings)
    assert run.code == 0, run.stderr
    assert account.requests
    assert {entry.status for entry in account.requests if entry.method != "GET"} <= {400}
    assert run.rejects == []
    assert not any(word in (run.stdout + run.stderr).lower() for word in ("error", "exception"))


def test_meltanos_test_of_the_settings_fails_with_a_key_that_may_not(target: Command, account: RunningSandbox) -> None:
    """The last line says why, and the exit code is that of a key that must change."""
    account.control.change(scopes="lists:read")
    run = target(TEST_STREAM, streams={"vips": {"action": "upsert_profile"}})
    assert run.code == 2
    assert "profiles:write" in run.stderr.splitlines()[-1]


def test_a_stream_of_that_name_that_the_settings_know_is_a_stream(target: Command, account: RunningSandbox) -> None:
    """Whoever gives it an action gets the action."""
    messages = [schema_of("meltano_test_stream"), *records("meltano_test_stream", [ADA])]
    run = target(messages, streams={"meltano_test_stream": {"action": "upsert_profile"}})
    assert run.code == 0, run.stderr
    assert any(row["email"] == ADA["email"] for row in account.store.profiles.rows.values())


# Reading on -----------------------------------------------------------------------------------------------------------


def failing(target: Command, speed: float, **config: object) -> warm.Popen:
    """A target that has got a stream that nobody has told it of, and whose input goes on.

    Args:
        speed: how fast the time passes that it reads on for.
    """
    (target.folder / "config.json").write_text(json.dumps({**target.config, **config}))
    command = [*fast_command("target_klaviyo", speed), "--config", "config.json"]
    process = warm.Popen(command, stdin=warm.PIPE, stderr=warm.PIPE, text=True, cwd=target.folder)
    assert process.stdin is not None
    process.stdin.write(singer_lines([schema_of("unheard_of")]))
    process.stdin.flush()
    return process


def reason(process: warm.Popen, words: str) -> str:
    """The line that says why the run failed, as soon as it is there."""
    assert process.stderr is not None
    return next(line for line in process.stderr if "CRITICAL" in line and words in line)


@pytest.mark.parametrize(
    ("config", "words"), [({}, "unheard_of"), ({"on_reject": "perhaps"}, "on_reject")], ids=["a run", "the settings"]
)
def test_a_run_that_failed_reads_on(target: Command, config: dict[str, object], words: str) -> None:
    """The tap writes all it has to write and ends well; the reason is said at once, and the exit code is its own."""
    with failing(target, 0.01, **config) as process:
        assert reason(process, words)
        assert process.stdin is not None
        process.stdin.write(singer_lines(records("unheard_of", [ADA])) * 100_000)
        process.stdin.close()
        process.stdin = None
        assert process.wait(PATIENCE) == 2


def test_a_run_that_failed_does_not_read_on_for_ever(target: Command) -> None:
    """The input stays open; the process ends all the same."""
    with failing(target, 1000.0) as process:
        assert process.wait(PATIENCE) == 2


def test_a_signal_ends_the_reading_on(target: Command) -> None:
    """With the exit code of the failure, which is known already."""
    with failing(target, 0.01) as process:
        assert reason(process, "unheard_of")

        def has_ended() -> bool:
            process.send_signal(signal.SIGTERM)
            return process.poll() is not None

        # Again and again: the first may come before it has begun.
        until(has_ended)
        assert process.returncode in (2, 128 + signal.SIGTERM)


def test_a_check_that_fails_reads_nothing(target: Command, account: RunningSandbox) -> None:
    """Whoever asks for a check writes no input, and does not wait until it ends."""
    account.control.change(scopes="lists:read")
    (target.folder / "config.json").write_text(json.dumps({**target.config, "streams": {"a": {"action": "suppress"}}}))
    command = [*fast_command("target_klaviyo", 0.0001), "--config", "config.json", "--check"]
    with warm.Popen(command, stdin=warm.PIPE, stderr=warm.PIPE, text=True, cwd=target.folder) as process:
        assert process.wait(PATIENCE) == 2


def test_reading_on_is_bounded_in_bytes() -> None:
    """An input that never ends is left when enough was read of it, and not a byte later."""
    sizes: list[int] = []

    def read(size: int) -> bytes:
        sizes.append(size)
        return bytes(size)

    read_on(read, Clock(lambda: 0.0))
    assert sum(sizes) == MAX_BYTES


def test_reading_on_is_bounded_in_time() -> None:
    """An input of which nothing comes is left when the time is over."""

    def ticks() -> Iterator[float]:
        yield from (tick * SECONDS / 4 for tick in count())

    times, never = ticks(), threading.Event()
    read_on(lambda _: bytes(never.wait(PATIENCE)), Clock(lambda: next(times)))
    assert next(times) >= SECONDS
    never.set()


def test_reading_on_ends_with_the_input() -> None:
    """Also when reading breaks."""

    def broken(_: int) -> bytes:
        raise OSError("gone")

    read_on(broken, Clock(lambda: 0.0))
    blocks = [b"rest", b""]
    read_on(lambda _: blocks.pop(0), Clock(lambda: 0.0))
    assert blocks == []
