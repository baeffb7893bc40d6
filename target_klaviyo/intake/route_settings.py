"""The ``streams`` setting: its entries are checked here, and each becomes a route. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs

from klaviyo_client.errors import SettingsError
from klaviyo_client.plugin import config_check
from klaviyo_client.plugin.booleans import parse_boolean
from target_klaviyo.actions import ACTIONS
from target_klaviyo.delivery.action import Action
from target_klaviyo.intake import contracts
from target_klaviyo.intake.bad_values import DROP, REJECT
from target_klaviyo.intake.column_types import missing_columns as missing_types
from target_klaviyo.intake.column_types import parse_types
from target_klaviyo.intake.field_values import parse_list
from target_klaviyo.intake.mapping import missing_columns
from target_klaviyo.intake.mapping_compiler import compile_mapper
from target_klaviyo.intake.routes import Route, default_options
from target_klaviyo.model.identifiers import checked_region
from target_klaviyo.model.records import ListRef, Options

# Keys that every action's entry may have.
_COMMON_KEYS = ("action", "mapping", "unknown_columns", "default_region", "on_bad_value", "types")
_UNKNOWN_COLUMNS = ("properties", "drop")


def parse_routes(
    streams: Mapping[str, Any], region: str | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> dict[str, Route]:
    """The route of every stream that the settings name, and of those that take an action by their name.

    Raises:
        SettingsError: naming the stream and the key that is wrong.
    """
    by_name = {stream: {"action": action.name} for action in ACTIONS.values() for stream in action.streams}
    routes = {}
    for stream, entry in {**by_name, **streams}.items():
        route = _parse_route(stream, {**by_name.get(stream, {}), **_check_entry(stream, entry)}, region, now)
        routes[stream] = replace(route, is_by_name="action" not in streams.get(stream, {}))
    return routes


def with_column_defaults(stream: str, route: Route, columns: Collection[str]) -> Route:
    """The route for a stream of these columns: the tap's own streams are known by them."""
    defaults = route.action.column_defaults(columns)
    if not defaults:
        return route
    return replace(
        _parse_route(stream, {**defaults, **route.entry}, route.region, route.now), is_by_name=route.is_by_name
    )


def check_columns(stream: str, route: Route, columns: Iterable[str]) -> list[str]:
    """Warnings about columns that the settings expect of a stream and its SCHEMA does not have.

    Raises:
        SettingsError: no record of the stream can be sent.
    """
    known = set(columns)
    fields = {route.mapper.field_of(name) for name in known} | set(route.mapper.mapped)
    if route.action.needs_list and route.list is None and not fields & {("list_id",), ("list_name",)}:
        raise SettingsError(
            f"streams.{stream}.list is missing: name the list, or give the records a column list_id or list_name"
        )
    needed = route.action.needs_field
    if needed and not fields & {(name,) for name in needed}:
        raise SettingsError(f"streams.{stream} needs a column {' or '.join(needed)}, by its name or by the mapping")
    for name in missing_types(route.types, known, route.mapper):
        suggestion = config_check.suggestion(name, sorted(known))
        raise SettingsError(f"streams.{stream}.types.{name}: the stream has no such column{suggestion}")
    missing = missing_columns(route.mapper, known.__contains__)
    return [f"streams.{stream}.mapping reads {path}, and the stream has no such column" for path in missing]


def unknown_stream(stream: str) -> SettingsError:
    """The error for a stream that nothing says what to do with."""
    example = f'"streams": {{"{stream}": {{"action": "upsert_profile"}}}}'
    copied = ", ".join(action.self_copy_guard[0] for action in ACTIONS.values() if action.self_copy_guard)
    return SettingsError(
        f"nothing says what to do with the stream {stream}: deselect it in the tap (of tap-klaviyo's streams a copy "
        f"takes {copied} only), or, where its records are meant for Klaviyo, add {example} to the settings, "
        f"with the action that they need (one of {', '.join(ACTIONS)})"
    )


def _check_entry(stream: str, entry: Any) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise SettingsError(f'streams.{stream} must be an object such as {{"action": "upsert_profile"}}')
    return entry


def _parse_route(stream: str, entry: Mapping[str, Any], region: str | None, now: Callable[[], datetime]) -> Route:
    action = _parse_action(stream, entry)
    for key in entry:
        known = (*_COMMON_KEYS, *action.options)
        if key not in known:
            raise SettingsError(f"streams.{stream}.{key} is unknown{config_check.suggestion(key, known)}")
    options = {
        **default_options(action),
        **{name: _parse_option(stream, entry, action, name) for name in action.options if name in entry},
    }
    unknown = _parse_choice(stream, entry, "unknown_columns", _UNKNOWN_COLUMNS)
    contract = contracts.load(action.name)
    takes_properties = "properties" in contract.fields
    if "unknown_columns" in entry and unknown == "properties" and not takes_properties:
        raise SettingsError(f"streams.{stream}.unknown_columns must be drop: {action.name} takes no custom properties")
    drops_bad_values = _parse_choice(stream, entry, "on_bad_value", (DROP, REJECT)) == DROP
    mapping = entry.get("mapping") or {}
    if not isinstance(mapping, Mapping):
        raise SettingsError(f"streams.{stream}.mapping must be an object: Klaviyo's field -> column")
    try:
        types = parse_types(entry.get("types"))
        mapper = compile_mapper(
            contract.schema,
            mapping,
            keeps_unknown=unknown == "properties" and takes_properties,
            keeps_nulls=options.get("nulls") == "clear",
            ignored=tuple(filter(None, [options.get("size_field")])),
        )
        if action.check is not None:
            action.check(options)
    except ValueError as error:
        raise SettingsError(f"streams.{stream}.{error}") from error
    region = _parse_region(stream, entry) or region
    list_ref = _parse_list_ref(options)
    return Route(
        action, contract, mapper, options, list_ref, region, now, entry, drops_bad_values=drops_bad_values, types=types
    )


def _parse_region(stream: str, entry: Mapping[str, Any]) -> str | None:
    text = entry.get("default_region")
    try:
        return checked_region(text if isinstance(text, str | None) else "?")
    except SettingsError as error:
        raise SettingsError(f"streams.{stream}.{error}") from error


def _parse_option(stream: str, entry: Mapping[str, Any], action: Action, name: str) -> Any:
    schema, value = action.options[name], entry[name]
    if schema["type"] == "boolean" and value is not None:  # what is no word for either stays, and is refused
        with contextlib.suppress(ValueError):
            value = parse_boolean(value)
    if schema["type"] == "array":
        value = parse_list(value, are_words=True)
    if not jsonschema_rs.is_valid(dict(schema), value):
        raise SettingsError(f"streams.{stream}.{name} must be {describe_option(schema)}")
    return value.strip() if isinstance(value, str) else value


def describe_option(schema: Mapping[str, Any]) -> str:
    """What an option's schema asks for, in words."""
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if schema["type"] == "array":
        return f"a list, each entry {describe_option(schema['items'])}"
    return {"boolean": "true or false", "string": "a text that is not empty"}.get(schema["type"], f"a {schema['type']}")


def _parse_action(stream: str, entry: Mapping[str, Any]) -> Action:
    if "action" not in entry:
        raise SettingsError(f"streams.{stream}.action is missing: one of {', '.join(ACTIONS)}")
    return ACTIONS[_parse_choice(stream, entry, "action", tuple(ACTIONS))]


def _parse_choice(stream: str, entry: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = entry.get(key, choices[0])
    if value not in choices:
        raise SettingsError(f"streams.{stream}.{key} must be one of {', '.join(choices)}")
    return str(value)


def _parse_list_ref(options: Options) -> ListRef | None:
    name = options.get("list")
    if name is None:
        return None
    return ListRef(id=name, name=name, create=bool(options.get("create_list")), configured=True)
