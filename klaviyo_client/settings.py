"""The settings that both plugins share, as JSON Schema, and the client that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from importlib import metadata
from typing import Any

from jsonschema_rs import Draft202012Validator

from klaviyo_client.client import DEFAULT_API_URL, KlaviyoClient
from klaviyo_client.errors import SettingsError
from klaviyo_client.operations import pinned_revision

CONNECTION: Mapping[str, Mapping[str, Any]] = {
    "api_key": {
        "type": "string",
        "secret": True,
        "title": "Private API key",
        "description": "A private key of your Klaviyo account (pk_...), made in Klaviyo under Settings, API keys.",
    },
    "api_url": {
        "type": "string",
        "default": DEFAULT_API_URL,
        "title": "API address",
        "description": "Where the API is. Must be https, unless it is on this machine (a klaviyo-sandbox, say).",
    },
    "revision": {
        "type": "string",
        "pattern": r"^\d{4}-\d{2}-\d{2}(\.\w+)?$",
        "default": pinned_revision(),
        "title": "API revision",
        "description": "The revision of Klaviyo's API to ask for. A revision that Klaviyo has retired is an error.",
    },
    "rate_limit_share": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "default": 0.9,
        "title": "Share of the rate limits",
        "description": "The part of the account's rate limits that may be spent; the rest is for your other apps.",
    },
    "request_timeout": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 60,
        "title": "Request time-out",
        "description": "Seconds to wait for a connection and for each part of an answer.",
    },
    "user_agent": {
        "type": "string",
        "pattern": r"^[\x20-\x7e]+$",
        "title": "User agent",
        "description": "How the requests name themselves to Klaviyo. By default the plugin's name and version.",
    },
}


def version() -> str:
    """The installed version of this distribution."""
    return metadata.version("singer-klaviyo")


def connect(
    config: Mapping[str, Any], plugin: str, made: Callable[..., KlaviyoClient] = KlaviyoClient
) -> KlaviyoClient:
    """The client that these settings describe.

    Args:
        config: the settings.
        plugin: whose they are.
        made: makes the client.

    Raises:
        SettingsError: a setting cannot be used.
    """
    return made(
        api_key=config.get("api_key", ""),
        api_url=config.get("api_url") or DEFAULT_API_URL,
        revision=config.get("revision"),
        rate_limit_share=config.get("rate_limit_share", 0.9),
        request_timeout=config.get("request_timeout", 60),
        user_agent=config.get("user_agent") or f"{plugin}/{version()}",
    )


def with_numbers(schema: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with plain numbers: environment variables hold text, and the SDK reads files with decimals."""
    return {name: _number(_plain(value), schema["properties"].get(name, {})) for name, value in config.items()}


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {name: _plain(entry) for name, entry in value.items()}
        case list():
            return [_plain(entry) for entry in value]
        case _:
            return value


def _number(value: Any, schema: Mapping[str, Any]) -> Any:
    kinds = {"number": float, "integer": int}
    name = schema.get("type")
    kind = kinds.get(name) if isinstance(name, str) else None
    if not isinstance(value, str) or kind is None:
        return value
    try:
        return kind(value)
    except ValueError:
        return value


def unreadable(error: Exception) -> SettingsError:
    """The error for a config that cannot be read: no such file, no JSON, an environment variable of the wrong kind."""
    if isinstance(error, OSError):
        return SettingsError(f"the config file cannot be read: {error}")
    if isinstance(error, ValueError | TypeError):
        return SettingsError(f"the config is not a JSON object, or a setting is not the JSON it should be: {error}")
    return SettingsError(f"the settings cannot be used: {error}")


def check(schema: Mapping[str, Any], config: Mapping[str, Any], plugin: str) -> None:
    """Refuse settings that the schema forbids, without quoting their values: one of them is the key.

    Raises:
        SettingsError: naming every setting that is missing or wrong, and what was expected.
    """
    problems = [
        _problem(list(error.instance_path), list(error.schema_path), schema, error.message, plugin)
        for error in Draft202012Validator(dict(schema)).iter_errors(dict(config))
    ]
    if problems:
        raise SettingsError("; ".join(sorted(problems)))


def _problem(path: list[str | int], rule: list[str | int], schema: Mapping[str, Any], message: str, plugin: str) -> str:
    if rule[-1] == "required" and not path:
        name = message.split('"')[1]
        variable = f"{plugin}_{name}".upper().replace("-", "_")
        return f"the setting {name} is missing: put it into the config, or set {variable}"
    expected: Any = schema
    for step in rule:
        expected = expected[step]
    name = ".".join(str(step) for step in path) or "config"
    return f"the setting {name} is wrong: {rule[-1]} must be {expected}"
