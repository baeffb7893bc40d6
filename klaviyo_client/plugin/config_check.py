"""Checks a plugin's config: reads numbers and booleans that come as text, and refuses what the schema forbids."""

from __future__ import annotations

import copy
import difflib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from jsonschema_rs import Draft202012Validator

from klaviyo_client.errors import SettingsError
from klaviyo_client.plugin.booleans import parse_boolean_setting
from klaviyo_client.plugin.settings import OAUTH

logger = logging.getLogger("klaviyo_client")


def coerce_types(schema: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with plain numbers and booleans where the schema asks for them. Other text stays as it is.

    Environment variables hold text, Meltano passes settings of an unknown kind as text, and the SDK reads numbers of
    files as decimals.
    """
    return {name: _coerce(_plain(value), schema["properties"].get(name, {})) for name, value in config.items()}


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


def boolean_variables(environment: Mapping[str, str], prefix: str, schema: Mapping[str, Any]) -> dict[str, str]:
    """Boolean setting -> its text in an environment variable, for the SDK takes every word it does not know for false.

    Args:
        environment: the process's variables.
        prefix: what the variables of the plugin begin with.
        schema: the plugin's settings.
    """
    names = [name for name, entry in schema["properties"].items() if entry.get("type") == "boolean"]
    variables = {name: prefix + name.upper() for name in names}
    return {name: environment[variable] for name, variable in variables.items() if variable in environment}


def _coerce(value: Any, schema: Mapping[str, Any]) -> Any:
    parsers: Mapping[str, Callable[[str], Any]] = {"number": float, "integer": int, "boolean": parse_boolean_setting}
    name = schema.get("type")
    parse = parsers.get(name) if isinstance(name, str) else None
    if parse is parse_boolean_setting and isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str) or parse is None:
        return value
    try:
        return parse(value)
    except ValueError:
        return value


@contextmanager
def config_errors() -> Iterator[None]:
    """Turns what goes wrong while the SDK reads a config into a SettingsError that says what to do."""
    try:
        yield
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise config_error(error) from error


def config_error(error: Exception) -> SettingsError:
    """The error for a config that cannot be read: no such file, no JSON, an environment variable of the wrong kind."""
    if isinstance(error, OSError):
        return SettingsError(f"the config file cannot be read: {error}")
    if isinstance(error, ValueError | TypeError):
        return SettingsError(f"the config is not a JSON object, or a setting is not the JSON it should be: {error}")
    return SettingsError(f"the settings cannot be used: {error}")


def known_names(schema: Mapping[str, Any], add: Callable[[dict[str, Any]], None]) -> frozenset[str]:
    """The names of a plugin's own settings, and of those that ``add`` puts beside them in a copy of the schema."""
    extended = copy.deepcopy(dict(schema))
    add(extended)
    return frozenset(extended["properties"])


def suggestion(name: str, known: Collection[str]) -> str:
    """The end of a message about an unknown name: the known one that is most like it, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(known))}"


def check(schema: Mapping[str, Any], config: Mapping[str, Any], plugin: str, known: Collection[str]) -> None:
    """Refuse settings that the schema forbids, and warn of those that do nothing any more.

    Values are not quoted, for one of them is the key.

    Args:
        schema: that of the plugin's own settings.
        config: the settings.
        plugin: the plugin's name.
        known: the names of all settings, the Meltano SDK's too; any other is a mistake, unless it begins with _ or $.

    Raises:
        SettingsError: naming every setting that is missing or wrong, and what was expected. Of credentials, exactly one
            kind must be given, and whole; an empty setting counts as not given.
    """
    problems = [
        _problem(list(error.instance_path), list(error.schema_path), schema)
        # Credentials are checked below, with a better message; the schema would take an empty one for given.
        for error in Draft202012Validator({**schema, "oneOf": [{}]}).iter_errors(dict(config))
    ]
    problems += _credential_problems(config, plugin)
    problems += [
        f"the setting {name} is unknown{suggestion(name, known)}"
        for name in config
        if name not in known and not name.startswith(("_", "$"))
    ]
    if problems:
        raise SettingsError("; ".join(sorted(problems)))
    for name, setting in schema["properties"].items():
        if setting.get("deprecated") and config.get(name) not in (None, ""):
            logger.warning("the setting %s has no effect any more, remove it: %s", name, setting["description"])


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
