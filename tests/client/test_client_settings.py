"""Settings that both plugins share."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from klaviyo_client import settings
from klaviyo_client.errors import SettingsError

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
        ({"api_key": "pk_1", "revision": "latest"}, "revision is wrong: pattern"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(config: dict[str, Any], said: str) -> None:
    """The message says which setting and what was expected; a value may be the key."""
    with pytest.raises(SettingsError) as caught:
        settings.check(SCHEMA, config, "tap-klaviyo")
    assert said in str(caught.value)
    assert "471100" not in str(caught.value)
    assert "soon" not in str(caught.value)


def test_numbers_come_as_text_and_as_decimals() -> None:
    """Environment variables hold text, and the SDK reads config files with decimals."""
    config = {
        "rate_limit_share": "0.5",
        "request_timeout": Decimal(30),
        "api_key": "5",
        "streams": {"a": [Decimal(1)]},
    }
    made = settings.with_numbers(SCHEMA, config)
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
    ],
)
def test_a_client_that_cannot_work_is_not_made(config: dict[str, Any]) -> None:
    """What a schema cannot say is said before anything is sent."""
    with pytest.raises(SettingsError):
        settings.connect(config, "tap-klaviyo")
