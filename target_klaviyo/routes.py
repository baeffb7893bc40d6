"""The ``streams`` setting: which incoming stream takes which action, and how its records become rows. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from klaviyo_client.errors import SettingsError
from target_klaviyo import contracts, mapping
from target_klaviyo.actions import ACTIONS
from target_klaviyo.batching import encoded
from target_klaviyo.contracts import Contract
from target_klaviyo.identity import identified
from target_klaviyo.mapping import Mapper
from target_klaviyo.model import Action, ListRef, Origin, Record, Row, Unfit

_COMMON = ("action", "mapping", "unknown_columns")
_UNKNOWN_COLUMNS = ("properties", "drop")


@dataclass(frozen=True)
class Route:
    """What happens to the records of one stream.

    Attributes:
        list: the list that the settings name, for records that name none.
        create_list: whether a list that a record names by an unknown name is made.
        region: ISO 3166 alpha-2 of phone numbers without a country code.
    """

    action: Action
    contract: Contract
    mapper: Mapper
    list: ListRef | None
    create_list: bool
    region: str | None

    def row(self, origin: Origin, record: Record) -> Row:
        """The record, ready to be sent.

        ``record`` is what the stream maps made of the origin's record.

        Raises:
            Unfit: it cannot be sent.
        """
        fields = identified(self.mapper.fields(record), self.region)
        self.contract.check(fields)
        payload = self.action.resource(fields)
        body = encoded(payload)
        limit = self.action.max_item_bytes
        if limit is not None and len(body) > limit:
            raise Unfit("too_large", f"the record is {len(body):,} bytes as JSON; Klaviyo takes {limit:,}")
        return Row(origin, payload, body, self._list(fields))

    def _list(self, fields: Record) -> ListRef | None:
        if "list_id" in fields or "list_name" in fields:
            return ListRef(fields.get("list_id"), fields.get("list_name"), create=self.create_list)
        if self.list is None and self.action.needs_list:
            raise Unfit("no_list", "the record has no list_id or list_name, and its stream has no option list")
        return self.list


def routes(streams: Mapping[str, Any], region: str | None) -> dict[str, Route]:
    """The route of every stream that the settings name, and of those that take an action by their name.

    Raises:
        SettingsError: naming the stream and the key that is wrong.
    """
    named = {stream: {"action": action.name} for action in ACTIONS.values() for stream in action.streams}
    return {stream: _route(stream, {**named.get(stream, {}), **_entry(stream, entry)}, region)
            for stream, entry in {**named, **streams}.items()}  # fmt: skip


def check_columns(stream: str, route: Route, columns: Iterable[str]) -> list[str]:
    """What the settings expect of a stream and its SCHEMA does not have: warnings.

    Raises:
        SettingsError: no record of the stream can be sent.
    """
    known = set(columns)
    fields = {target for name, target in route.mapper.named.items() if name in known} | set(route.mapper.mapped)
    if route.action.needs_list and route.list is None and not fields & {("list_id",), ("list_name",)}:
        raise SettingsError(
            f"streams.{stream}.list is missing: name the list, or give the records a column list_id or list_name"
        )
    lost = mapping.unknown_columns(route.mapper, known.__contains__)
    return [f"streams.{stream}.mapping reads {path}, and the stream has no such column" for path in lost]


def unmapped(stream: str) -> SettingsError:
    """The error for a stream that nothing says what to do with."""
    example = f'"streams": {{"{stream}": {{"action": "upsert_profile"}}}}'
    return SettingsError(
        f"nothing says what to do with the stream {stream}: add {example} to the settings "
        f"(actions: {', '.join(ACTIONS)}), or deselect it in the tap"
    )


def _entry(stream: str, entry: Any) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise SettingsError(f'streams.{stream} must be an object such as {{"action": "upsert_profile"}}')
    return entry


def _route(stream: str, entry: Mapping[str, Any], region: str | None) -> Route:
    action = _action(stream, entry)
    for key in entry:
        if key not in (*_COMMON, *action.options):
            raise SettingsError(f"streams.{stream}.{key} is unknown{_meant(key, (*_COMMON, *action.options))}")
    unknown = _choice(stream, entry, "unknown_columns", _UNKNOWN_COLUMNS)
    create = entry.get("create_list", False)
    if not isinstance(create, bool):
        raise SettingsError(f"streams.{stream}.create_list must be true or false")
    contract = contracts.load(action.name)
    wanted = entry.get("mapping") or {}
    if not isinstance(wanted, Mapping):
        raise SettingsError(f"streams.{stream}.mapping must be an object: Klaviyo's field -> column")
    try:
        mapper = mapping.compiled(contract.schema, wanted, keeps_unknown=unknown == "properties")
    except ValueError as error:
        raise SettingsError(f"streams.{stream}.{error}") from error
    return Route(action, contract, mapper, _list(stream, entry, create=create), create, region)


def _action(stream: str, entry: Mapping[str, Any]) -> Action:
    if "action" not in entry:
        raise SettingsError(f"streams.{stream}.action is missing: one of {', '.join(ACTIONS)}")
    return ACTIONS[_choice(stream, entry, "action", tuple(ACTIONS))]


def _choice(stream: str, entry: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = entry.get(key, choices[0])
    if value not in choices:
        raise SettingsError(f"streams.{stream}.{key} must be one of {', '.join(choices)}")
    return str(value)


def _list(stream: str, entry: Mapping[str, Any], *, create: bool) -> ListRef | None:
    value = entry.get("list")
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"streams.{stream}.list must be the name or the id of a list")
    return ListRef(id=value.strip(), name=value.strip(), create=create, configured=True)


def _meant(key: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f": did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
