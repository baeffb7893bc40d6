"""The settings that both plugins share, as JSON Schema, and the client that they make."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from importlib import metadata
from typing import Any

from jsonschema_rs import Draft202012Validator

from klaviyo_client.api.operations import pinned_revision
from klaviyo_client.auth.oauth import App
from klaviyo_client.client import DEFAULT_API_URL, KlaviyoClient
from klaviyo_client.errors import SettingsError
from klaviyo_client.plugin.truth import truth

OAUTH = ("client_id", "client_secret", "refresh_token")
# Kinds of credentials, of which a schema asks for exactly one.
CREDENTIALS = [{"required": ["api_key"]}, {"required": list(OAUTH)}]

CONNECTION: Mapping[str, Mapping[str, Any]] = {
    "api_key": {
        "type": "string",
        "secret": True,
        "title": "Private API key",
        "description": (
            "A private key of your Klaviyo account (pk_...), made in Klaviyo under Settings, API keys. "
            "Either this is needed, or client_id, client_secret and refresh_token of an OAuth app."
        ),
    },
    "client_id": {
        "type": "string",
        "title": "OAuth client id",
        "description": "The id of an OAuth app that the account has authorised; in place of api_key.",
    },
    "client_secret": {
        "type": "string",
        "secret": True,
        "title": "OAuth client secret",
        "description": "The secret of the OAuth app.",
    },
    "refresh_token": {
        "type": "string",
        "secret": True,
        "title": "OAuth refresh token",
        "description": "The refresh token that the account's authorisation of the OAuth app gave.",
    },
    "refresh_token_path": {
        "type": "string",
        "minLength": 1,
        "title": "File of the refresh token",
        "description": (
            "Where a refresh token that Klaviyo gives in place of the configured one is kept for the next run; only "
            "its owner may read the file. It is preferred to refresh_token until that is set to another one. "
            "By default a new one is kept for the run only, and a warning tells of it."
        ),
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
        api_key=config.get("api_key") or "",
        app=_app(config),
        api_url=config.get("api_url") or DEFAULT_API_URL,
        revision=config.get("revision"),
        rate_limit_share=config.get("rate_limit_share", 0.9),
        request_timeout=config.get("request_timeout", 60),
        user_agent=config.get("user_agent") or f"{plugin}/{version()}",
    )


def _app(config: Mapping[str, Any]) -> App | None:
    if not any(config.get(name) for name in OAUTH):
        return None
    return App(
        client_id=config.get("client_id") or "",
        client_secret=config.get("client_secret") or "",
        refresh_token=config.get("refresh_token") or "",
        refresh_token_path=config.get("refresh_token_path") or None,
    )


def typed(schema: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with plain numbers and truth values.

    Environment variables hold text, Meltano hands on as text what it is not to judge, and the SDK reads files with
    decimals.
    """
    return {name: _typed(_plain(value), schema["properties"].get(name, {})) for name, value in config.items()}


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


def as_truth(text: str) -> bool:
    """A setting's word for a truth value; an empty text is a variable that is set to nothing, and means no.

    Raises:
        ValueError: it is no such word.
    """
    found = truth(text)
    if found is None and text.strip():
        raise ValueError(text)
    return bool(found)


def said_in(environment: Mapping[str, str], prefix: str, schema: Mapping[str, Any]) -> dict[str, str]:
    """The words for truth values as variables have them: the SDK takes every word that it does not know for false."""
    names = [name for name, entry in schema["properties"].items() if entry.get("type") == "boolean"]
    variables = {name: prefix + name.upper() for name in names}
    return {name: environment[variable] for name, variable in variables.items() if variable in environment}


def _typed(value: Any, schema: Mapping[str, Any]) -> Any:
    kinds: Mapping[str, Callable[[str], Any]] = {"number": float, "integer": int, "boolean": as_truth}
    name = schema.get("type")
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is as_truth and isinstance(value, int | float):
        value = str(value)
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


def names(schema: Mapping[str, Any], add: Callable[[dict[str, Any]], None]) -> frozenset[str]:
    """The names of a plugin's own settings, and of those that ``add`` puts beside them in a copy of the schema."""
    whole = copy.deepcopy(dict(schema))
    add(whole)
    return frozenset(whole["properties"])


def meant(name: str, known: Collection[str]) -> str:
    """What to say of a name that is unknown: the one that it is like, or all that there are."""
    close = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(known))}"


def check(schema: Mapping[str, Any], config: Mapping[str, Any], plugin: str, known: Collection[str]) -> None:
    """Refuse settings that the schema forbids, without quoting their values: one of them is the key.

    Args:
        schema: that of the plugin's own settings.
        config: the settings.
        plugin: whose they are.
        known: the names of all settings, the Meltano SDK's too; any other is a mistake, unless it begins with _ or $.

    Raises:
        SettingsError: naming every setting that is missing or wrong, and what was expected. Of credentials, exactly one
            kind must be given, and whole; an empty setting is not given.
    """
    problems = [
        _problem(list(error.instance_path), list(error.schema_path), schema)
        # Which credentials are wanted is said below in words of its own; an empty one, the schema would take for given.
        for error in Draft202012Validator({**schema, "oneOf": [{}]}).iter_errors(dict(config))
    ]
    problems += _credential_problems(config, plugin)
    problems += [
        f"the setting {name} is unknown{meant(name, known)}"
        for name in config
        if name not in known and not name.startswith(("_", "$"))
    ]
    if problems:
        raise SettingsError("; ".join(sorted(problems)))


def _problem(path: list[str | int], rule: list[str | int], schema: Mapping[str, Any]) -> str:
    expected: Any = schema
    for step in rule:
        expected = expected[step]
    name = ".".join(str(step) for step in path) or "config"
    return f"the setting {name} is wrong: {rule[-1]} must be {expected}"


def _credential_problems(config: Mapping[str, Any], plugin: str) -> list[str]:
    oauth = [name for name in (*OAUTH, "refresh_token_path") if config.get(name)]
    if config.get("api_key"):
        both = f"the settings api_key and {', '.join(oauth)} are given: keep the private key or the OAuth app, not both"
        return [both] if oauth else []
    wanted = OAUTH if oauth else ("api_key",)
    instead = "" if oauth else f", or give {', '.join(OAUTH[:-1])} and {OAUTH[-1]} of an OAuth app"
    return [
        f"the setting {name} is missing: put it into the config, or set "
        f"{f'{plugin}_{name}'.upper().replace('-', '_')}{instead}"
        for name in wanted
        if not config.get(name)
    ]
