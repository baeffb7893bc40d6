"""The ``streams`` setting: its entries are checked here, and each becomes a route. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs

from klaviyo_client.errors import SettingsError
from klaviyo_client.plugin import config_check
from klaviyo_client.plugin.booleans import parse_boolean
from target_klaviyo.actions import ACTIONS
from target_klaviyo.delivery.action import Action
from target_klaviyo.endpoints.empty_fields import SET_IF_EMPTY
from target_klaviyo.intake import contracts
from target_klaviyo.intake.bad_values import DROP, REJECT
from target_klaviyo.intake.column_types import ColumnTypes, parse_types
from target_klaviyo.intake.column_types import missing_columns as missing_types
from target_klaviyo.intake.contracts import Contract
from target_klaviyo.intake.field_values import parse_list
from target_klaviyo.intake.mapping import Mapper, missing_columns
from target_klaviyo.intake.mapping_compiler import compile_mapper
from target_klaviyo.intake.routes import Route, default_options
from target_klaviyo.intake.set_if_empty import missing_properties, paths_to_set_if_empty
from target_klaviyo.model.identifiers import checked_region
from target_klaviyo.model.records import ListRef, Options

# Keys that every action's entry may have.
_COMMON_KEYS = ("action", "mapping", "unknown_columns", "default_region", "on_bad_value", "types")
_UNKNOWN_COLUMNS = ("properties", "drop")


def parse_routes(
    streams: Mapping[str, Any],
    region: str | None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    refuse: Callable[[str, SettingsError], None] | None = None,
) -> dict[str, Route]:
    """The route of every stream that the settings name, and of those that take an action by their name.

    Args:
        streams: the setting.
        region: that of phone numbers, where a stream names none.
        now: gives the time, in UTC.
        refuse: is told of each stream that is wrong, and why, where the others are wanted all the same.

    Raises:
        SettingsError: naming every stream and key that is wrong, where nobody else is told.
    """
    by_name = {stream: {"action": action.name} for action in ACTIONS.values() for stream in action.streams}
    routes = {}
    faults = _Faults()
    for stream, entry in {**by_name, **streams}.items():
        with faults.collecting() if refuse is None else _refusing(stream, refuse):
            route = _parse_route(stream, {**by_name.get(stream, {}), **_check_entry(stream, entry)}, region, now)
            routes[stream] = replace(route, is_by_name="action" not in streams.get(stream, {}))
    if refuse is None:
        with faults.collecting():
            _refuse_disowned_mirrors(routes)
    faults.raise_all()
    return routes


class _Faults:
    """What is wrong with settings: all of it is told at once."""

    def __init__(self) -> None:
        self._faults: list[str] = []

    @contextlib.contextmanager
    def collecting(self, prefix: str = "") -> Iterator[None]:
        """The context of one thing that may be wrong; ``prefix`` names what is checked in a ValueError."""
        try:
            yield
        except SettingsError as error:
            self._faults.append(str(error))
        except ValueError as error:
            self._faults.append(f"{prefix}{error}")

    def __len__(self) -> int:
        return len(self._faults)

    def raise_all(self) -> None:
        """Fail when something is wrong.

        Raises:
            SettingsError: with all of it.
        """
        if self._faults:
            raise SettingsError("; ".join(self._faults))


@contextlib.contextmanager
def _refusing(stream: str, refuse: Callable[[str, SettingsError], None]) -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        refuse(stream, error)


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
    faults = _Faults()
    needed = route.action.needs_field
    with faults.collecting():
        if needed and not fields & {(name,) for name in needed}:
            raise SettingsError(f"streams.{stream} needs a column {' or '.join(needed)}, by its name or by the mapping")
    for name in missing_types(route.types, known, route.mapper):
        with faults.collecting():
            suggestion = config_check.suggestion(name, sorted(known))
            raise SettingsError(f"streams.{stream}.types.{name}: the stream has no such column{suggestion}")
    for name in missing_properties(route.options.get(SET_IF_EMPTY) or (), route.mapper, known):
        with faults.collecting():
            hint = config_check.suggestion(name, sorted(known))
            raise SettingsError(f"streams.{stream}.{SET_IF_EMPTY}: nothing comes in as {name}{hint}")
    faults.raise_all()
    missing = missing_columns(route.mapper, known.__contains__)
    return [f"streams.{stream}.mapping reads {path}, and the stream has no such column" for path in missing]


def _refuse_disowned_mirrors(routes: Mapping[str, Route]) -> None:
    """Refuse to begin a run whose mirrors must not take people off whom others have put on their lists.

    A rehearsal goes on, and tells it with whatever else keeps them there.

    Raises:
        SettingsError: naming the streams.
    """
    disowned = [f"streams.{stream}" for stream, route in routes.items() if route.is_disowned_mirror]
    if disowned:
        raise SettingsError(
            f"{', '.join(disowned)}: owns_list must be true for mode: mirror, which also removes people added by a "
            "form or by hand; a run with dry_run: true lists these people, and all other reasons for a refusal"
        )


def unknown_stream(stream: str) -> SettingsError:
    """The error for a stream that nothing says what to do with."""
    action = next((name for name in (stream, stream.removesuffix("s")) if name in ACTIONS), "upsert_profile")
    example = f'"streams": {{"{stream}": {{"action": "{action}"}}}}'
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
    prefix = f"streams.{stream}."
    faults = _Faults()
    options = _parse_options(stream, entry, action, faults)
    contract = contracts.load(action.name)
    unknown = _UNKNOWN_COLUMNS[0]
    with faults.collecting():
        unknown = _parse_choice(stream, entry, "unknown_columns", _UNKNOWN_COLUMNS)
    takes_properties = "properties" in contract.fields
    with faults.collecting(prefix):
        if "unknown_columns" in entry and unknown == "properties" and not takes_properties:
            raise ValueError(f"unknown_columns must be drop: {action.name} takes no custom properties")
    drops_bad_values = True
    with faults.collecting():
        drops_bad_values = _parse_choice(stream, entry, "on_bad_value", (DROP, REJECT)) == DROP
    types = ColumnTypes({})
    with faults.collecting(prefix):
        types = parse_types(entry.get("types"))
    mapper = None
    with faults.collecting(prefix):
        mapper = _parse_mapping(entry, contract, options, keeps_unknown=unknown == "properties" and takes_properties)
    if mapper is not None and options.get(SET_IF_EMPTY):
        with faults.collecting(prefix):
            options[SET_IF_EMPTY] = paths_to_set_if_empty(options[SET_IF_EMPTY], mapper)
    with faults.collecting():
        region = _parse_region(stream, entry) or region
    faults.raise_all()
    assert mapper is not None  # noqa: S101 - or there was a fault
    list_ref = _parse_list_ref(options)
    return Route(
        action, contract, mapper, options, list_ref, region, now, entry, drops_bad_values=drops_bad_values, types=types
    )


def _parse_options(stream: str, entry: Mapping[str, Any], action: Action, faults: _Faults) -> dict[str, Any]:
    """The action's options, those that are wrong as by default; ``faults`` is told of them and of unknown keys."""
    known = (*_COMMON_KEYS, *action.options)
    options = default_options(action)
    is_right = True
    for key in entry:
        before = len(faults)
        with faults.collecting():
            if key not in known:
                raise SettingsError(f"streams.{stream}.{key} is unknown{config_check.suggestion(key, known)}")
            if key in action.options:
                options[key] = _parse_option(stream, entry, action, key)
        is_right = is_right and len(faults) == before
    if is_right and action.check is not None:  # of what is wrong anyway it could only say the same again
        with faults.collecting(f"streams.{stream}."):
            action.check(options)
    return options


def _parse_mapping(entry: Mapping[str, Any], contract: Contract, options: Options, *, keeps_unknown: bool) -> Mapper:
    """The option ``mapping``.

    Raises:
        ValueError: naming what is wrong.
    """
    mapping = entry.get("mapping") or {}
    if not isinstance(mapping, Mapping):
        raise ValueError("mapping must be an object: Klaviyo's field -> column")  # noqa: TRY004 - of a setting
    return compile_mapper(
        contract.schema,
        mapping,
        keeps_unknown=keeps_unknown,
        keeps_nulls=options.get("nulls") == "clear",
        ignored=tuple(filter(None, [options.get("size_field")])),
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
        value = parse_list(value, are_words="enum" in schema["items"])
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
