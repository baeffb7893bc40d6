"""Settings that both plugins share."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from klaviyo_client.errors import SettingsError
from klaviyo_client.plugin import config_check, settings

OAUTH = {"client_id": "app-1", "client_secret": "a-secret", "refresh_token": "a-token"}
SCHEMA: dict[str, Any] = {"type": "object", "properties": dict(settings.CONNECTION), "oneOf": settings.CREDENTIALS}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "api_key is missing: put it into the config, or set TAP_KLAVIYO_API_KEY"),
        ({"api_key": 471100}, "api_key is wrong: type must be string"),
        ({"api_key": "pk_1", "rate_limit_share": 2}, "rate_limit_share is wrong: maximum must be 1"),
        ({"api_key": "pk_1", "request_timeout": float("nan")}, "request_timeout is wrong"),
        ({"api_key": "pk_1", "user_agent": "471100\n"}, "user_agent is wrong: pattern"),
        ({"api_key": "pk_1", "request_timeout": "soon"}, "request_timeout is wrong: type must be number"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(config: dict[str, Any], said: str) -> None:
    """The message says which setting and what was expected; a value may be the key."""
    with pytest.raises(SettingsError) as caught:
        config_check.check(SCHEMA, config, "tap-klaviyo", SCHEMA["properties"])
    assert said in str(caught.value)
    assert "471100" not in str(caught.value)
    assert "soon" not in str(caught.value)


@pytest.mark.parametrize("revision", ["2026-10-15", "2019-01-01", "latest", "", None])
def test_a_revision_is_taken_and_changes_nothing(revision: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """Who set it, and to whatever, is told that it does nothing now; its value is not told."""
    config = {"api_key": "pk_1", **({} if revision is None else {"revision": revision})}
    config_check.check(SCHEMA, config, "tap-klaviyo", SCHEMA["properties"])
    settings.connect(config, "tap-klaviyo")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == bool(revision)
    assert all("the setting revision has no effect any more, remove it" in line for line in said)
    assert not any("2026" in line or "latest" in line for line in said)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "or give client_id, client_secret and refresh_token of an OAuth app"),
        ({"client_id": "a", "refresh_token": "b"}, "client_secret is missing: put it into the config, or set TAP_KLA"),
        ({"client_id": "a", "client_secret": ""}, "client_secret is missing"),
        ({"refresh_token_path": "471100"}, "client_id is missing"),
        ({"api_key": "pk_1", "client_id": "471100"}, "api_key and client_id are given"),
        ({"api_key": "pk_1", **OAUTH}, "api_key and client_id, client_secret, refresh_token are given"),
        ({"api_key": "pk_1", "refresh_token_path": "471100"}, "api_key and refresh_token_path are given"),
    ],
)
def test_exactly_one_kind_of_credentials_must_be_given(config: dict[str, Any], said: str) -> None:
    """None, half of one, or both: the message names the settings that are missing or too many."""
    with pytest.raises(SettingsError) as caught:
        config_check.check(SCHEMA, config, "tap-klaviyo", SCHEMA["properties"])
    assert said in str(caught.value)
    assert "471100" not in str(caught.value)


@pytest.mark.parametrize("config", [OAUTH, {**OAUTH, "api_key": ""}, {"api_key": "pk_1", "client_id": ""}])
def test_an_empty_setting_is_not_given(config: dict[str, Any]) -> None:
    """A variable that is set to nothing is how an environment leaves it out."""
    config_check.check(SCHEMA, config, "tap-klaviyo", SCHEMA["properties"])
    client = settings.connect(config, "tap-klaviyo")
    assert (client.app is None) is ("refresh_token" not in config)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rate_limit_shar", "the setting rate_limit_shar is unknown: did you mean rate_limit_share?"),
        ("xyz", "the setting xyz is unknown; there are api_key, api_url"),
    ],
)
def test_a_setting_that_there_is_not_is_a_mistake(name: str, said: str) -> None:
    """What was meant by it would silently not happen; its value is not told."""
    with pytest.raises(SettingsError) as caught:
        config_check.check(SCHEMA, {"api_key": "pk_1", name: "471100"}, "tap-klaviyo", SCHEMA["properties"])
    assert said in str(caught.value)
    assert "471100" not in str(caught.value)


def test_notes_beside_the_settings_are_let_be() -> None:
    """Whoever keeps a remark or a schema's address in the file calls it by a name that no setting has."""
    config = {"api_key": "pk_1", "_note": "mine", "$schema": "tap.json"}
    config_check.check(SCHEMA, config, "tap-klaviyo", SCHEMA["properties"])


@pytest.mark.parametrize(
    ("text", "meant"), [("true", True), ("Yes", True), ("0", False), ("", False), ("ture", "ture")]
)
def test_truth_values_come_as_text(text: str, meant: bool | str) -> None:
    """Meltano hands them on as they were typed; what is no word for either stays, for the schema to refuse."""
    schema = {"properties": {"strict": {"type": "boolean"}}}
    assert config_check.coerce_types(schema, {"strict": text}) == {"strict": meant}


def test_numbers_come_as_text_and_as_decimals() -> None:
    """Environment variables hold text, and the SDK reads config files with decimals."""
    config = {
        "rate_limit_share": "0.5",
        "request_timeout": Decimal(30),
        "api_key": "5",
        "streams": {"a": [Decimal(1)]},
    }
    made = config_check.coerce_types(SCHEMA, config)
    assert made == {"rate_limit_share": 0.5, "request_timeout": 30, "api_key": "5", "streams": {"a": [1]}}
    assert {type(value) for value in made.values()} == {float, int, str, dict}


@pytest.mark.parametrize(
    "config",
    [
        {"api_key": ""},
        {"api_key": "pk_ 1"},
        {"api_key": "pk_é"},
        {"api_key": "pk_1", "rate_limit_share": 0},
        {"api_key": "pk_1", "request_timeout": 0},
        {"api_key": "pk_1", "api_url": "http://example.com"},
        {**OAUTH, "api_url": "http://example.com"},
        {**OAUTH, "client_id": "a:b"},
        {**OAUTH, "refresh_token_path": "/"},
        {**OAUTH, "api_key": "pk_1"},
    ],
)
def test_a_client_that_cannot_work_is_not_made(config: dict[str, Any]) -> None:
    """What a schema cannot say is said before anything is sent."""
    with pytest.raises(SettingsError):
        settings.connect(config, "tap-klaviyo")
