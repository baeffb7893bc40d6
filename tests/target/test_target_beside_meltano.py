"""What Meltano asks of a target beside a run: a test of its settings, and reading on when a run has failed."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import ADA, Command, records, schema_of

from klaviyo_sandbox import RunningSandbox

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
