"""The ``streams`` setting: which incoming stream takes which action, and how its records become rows. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs

from klaviyo_client.errors import SettingsError
from klaviyo_client.plugin import config_check
from klaviyo_client.plugin.booleans import parse_boolean
from target_klaviyo.actions import ACTIONS
from target_klaviyo.actions.lists import MIRROR
from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.intake import contracts, mapping
from target_klaviyo.intake.contracts import Contract
from target_klaviyo.intake.mapping import Mapper
from target_klaviyo.model.identifiers import IDENTIFIERS, normalize_identifiers, parse_phone_number
from target_klaviyo.model.records import (
    Context,
    ListRef,
    Note,
    Options,
    OutcomeKind,
    Record,
    RejectedRecord,
    SourceRecord,
)
from target_klaviyo.model.times import parse_time

_DELETED = "_sdc_deleted_at"
# Databases such as Snowflake write the names of columns in capitals.
_MARKS = (_DELETED, _DELETED.upper())
# What every action's entry may say.
_COMMON = ("action", "mapping", "unknown_columns")
_UNKNOWN_COLUMNS = ("properties", "drop")


@dataclass(frozen=True)
class Route:
    """What happens to the records of one stream.

    Attributes:
        options: the action's options, as the settings have them or by default.
        list: the list that the settings name, for records that name none.
        region: ISO 3166 alpha-2 of phone numbers without a country code.
        now: the time, in UTC.
        entry: what the settings say of the stream.
        is_named: whether the stream has its action by its name alone.
    """

    action: Action
    contract: Contract
    mapper: Mapper
    options: Options
    list: ListRef | None
    region: str | None
    now: Callable[[], datetime]
    entry: Mapping[str, Any]
    is_named: bool = False

    def self_copy_guard(self, stream: str) -> tuple[str, str] | None:
        """The operation and the column that tell whether a stream of the tap comes from this very account."""
        found = self.action.self_copy_guard
        return found[1:] if found is not None and self.is_named and found[0] == stream else None

    def row(self, origin: SourceRecord, record: Record) -> tuple[Action, Row]:
        """What is to be done with the record, ready to be sent; ``origin`` is told how many outcomes to wait for.

        ``record`` is what the stream maps made of the origin's record.

        Raises:
            RejectedRecord: it cannot be sent.
        """
        is_deleted = any(_is_deleted(source) for source in (record, origin.record))
        if is_deleted and (self.is_mirror or not self.action.accepts_deleted):
            raise RejectedRecord(
                "deleted_in_source",
                "records that their source marks as deleted are left out",
                kind=OutcomeKind.LEFT_OUT,
            )
        context = Context(self.options, self.now(), is_deleted)
        fields: Record = self.mapper.fields(self.action.normalize(record))
        note: Note | None = None
        if self.action.is_about_people:
            taken = [name for name in IDENTIFIERS if name in self.contract.fields]
            found, faults = normalize_identifiers(fields, self.region, taken or IDENTIFIERS)
            fields, note = self.action.select_fields(found, faults, context)
        self.contract.check(_without_nulls(fields) if self.mapper.keeps_nulls else fields)
        if self.action.steps is None:
            return self.action, replace(self._made(self.action, origin, fields, context), note=note)
        parts = [(ACTIONS[part.action], part.fields) for part in self.action.steps(fields, context)]
        if not parts:
            raise RejectedRecord("nothing_to_do", "the record says nothing that could be sent")
        following: tuple[Action, Row] | None = None
        for action, its_fields in reversed(parts):
            own = {**defaults(action), **{name: self.options[name] for name in action.options if name in self.options}}
            its_context = replace(context, options=own)
            sifted, its_note = action.select_fields(its_fields, {}, its_context)
            row = self._made(action, origin, sifted, its_context)
            following = action, replace(row, next_step=following, note=its_note)
        origin.pending = len(parts)
        assert following is not None  # noqa: S101 - there is at least one part
        return following

    @property
    def is_mirror(self) -> bool:
        """Whether a list is to equal the stream."""
        return self.options.get("mode") == MIRROR

    @property
    def may_send_only(self) -> bool:
        """Whether there are records of which no more is sent than was judged: never their other columns."""
        return "properties" not in self.contract.fields or self.action.accepts_deleted

    def sends_only(self, row: Row) -> bool:
        """Whether this is the row of such a record."""
        return "properties" not in self.contract.fields or bool(self.action.removes(row.batch_key))

    def who(self, record: Record) -> dict[str, Any]:
        """What identifies the person of a record that cannot be sent, as far as it can be read."""
        with contextlib.suppress(RejectedRecord, ValueError, RecursionError, OverflowError):
            fields = self.mapper.fields(self.action.normalize(record))
            found = {name: str(fields[name]) for name in IDENTIFIERS if fields.get(name)}
            with contextlib.suppress(RejectedRecord):
                if "phone_number" in found:
                    found["phone_number"] = parse_phone_number(found["phone_number"], self.region)
            return found
        return {}

    def _made(self, action: Action, origin: SourceRecord, fields: Record, context: Context) -> Row:
        if action.resource is None:
            raise TypeError(f"the action {action.name} is made of others")
        payload = action.resource(fields, context)
        body = encode_json(payload)
        limit = action.max_item_bytes
        if limit is not None and len(body) > limit:
            raise RejectedRecord("too_large", f"the record is {len(body):,} bytes as JSON; Klaviyo takes {limit:,}")
        return Row(origin, payload, body, self._list(action, fields), action.batch_key(fields, context))

    def _list(self, action: Action, fields: Record) -> ListRef | None:
        said = {name: (fields.get(name) or "").strip() or None for name in ("list_id", "list_name")}
        if any(said.values()):
            return ListRef(said["list_id"], said["list_name"], create=bool(self.options.get("create_list")))
        # Blank, it means some list: that of the stream, and without one never all.
        meant = action.needs_list or not said.keys().isdisjoint(name for name in fields if fields[name] is not None)
        if self.list is None and meant:
            raise RejectedRecord("no_list", "the record has no list_id or list_name, and its stream has no option list")
        return self.list if "list" in action.options else None


def defaults(action: Action) -> dict[str, Any]:
    """What an action's options are where nothing is said."""
    return {name: schema["default"] for name, schema in action.options.items() if "default" in schema}


def routes(
    streams: Mapping[str, Any], region: str | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> dict[str, Route]:
    """The route of every stream that the settings name, and of those that take an action by their name.

    Raises:
        SettingsError: naming the stream and the key that is wrong.
    """
    named = {stream: {"action": action.name} for action in ACTIONS.values() for stream in action.streams}
    made = {}
    for stream, entry in {**named, **streams}.items():
        route = _route(stream, {**named.get(stream, {}), **_entry(stream, entry)}, region, now)
        made[stream] = replace(route, is_named="action" not in streams.get(stream, {}))
    return made


def fitted(stream: str, route: Route, columns: Collection[str]) -> Route:
    """The route for a stream of these columns: the tap's own are known by them."""
    found = route.action.column_defaults(columns)
    if not found:
        return route
    made = _route(stream, {**found, **route.entry}, route.region, route.now)
    return replace(made, is_named=route.is_named)


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
    copied = ", ".join(action.self_copy_guard[0] for action in ACTIONS.values() if action.self_copy_guard)
    return SettingsError(
        f"nothing says what to do with the stream {stream}: deselect it in the tap (of tap-klaviyo's streams a copy "
        f"takes {copied} only), or, where its records are meant for Klaviyo, add {example} to the settings, "
        f"with the action that they need (one of {', '.join(ACTIONS)})"
    )


def _is_deleted(record: Record) -> bool:
    """Whether the source marks a record as deleted: by a time, or by a word.

    Raises:
        RejectedRecord: the mark is neither. Nobody is removed by it, and nobody who is gone is kept.
    """
    return any(_is_mark(record[name]) for name in _MARKS if name in record)


def _is_mark(value: Any) -> bool:
    try:
        return bool(parse_boolean(value))
    except ValueError:
        parse_time(value, _DELETED)
        return True


def _without_nulls(fields: Record) -> dict[str, Any]:
    """What the contract speaks of: a null is no value, but asks to clear one."""
    return {
        name: _without_nulls(value) if isinstance(value, Mapping) else value
        for name, value in fields.items()
        if value is not None
    }


def _entry(stream: str, entry: Any) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise SettingsError(f'streams.{stream} must be an object such as {{"action": "upsert_profile"}}')
    return entry


def _route(stream: str, entry: Mapping[str, Any], region: str | None, now: Callable[[], datetime]) -> Route:
    action = _action(stream, entry)
    for key in entry:
        if key not in (*_COMMON, *action.options):
            raise SettingsError(
                f"streams.{stream}.{key} is unknown{config_check.suggestion(key, (*_COMMON, *action.options))}"
            )
    options = {
        **defaults(action),
        **{name: _option(stream, entry, action, name) for name in action.options if name in entry},
    }
    unknown = _choice(stream, entry, "unknown_columns", _UNKNOWN_COLUMNS)
    contract = contracts.load(action.name)
    open_ended = "properties" in contract.fields
    if "unknown_columns" in entry and unknown == "properties" and not open_ended:
        raise SettingsError(f"streams.{stream}.unknown_columns must be drop: {action.name} takes no custom properties")
    wanted = entry.get("mapping") or {}
    if not isinstance(wanted, Mapping):
        raise SettingsError(f"streams.{stream}.mapping must be an object: Klaviyo's field -> column")
    try:
        mapper = mapping.compiled(
            contract.schema,
            wanted,
            keeps_unknown=unknown == "properties" and open_ended,
            keeps_nulls=options.get("nulls") == "clear",
            ignored=tuple(filter(None, [options.get("size_field")])),
        )
        if action.check is not None:
            action.check(options)
    except ValueError as error:
        raise SettingsError(f"streams.{stream}.{error}") from error
    return Route(action, contract, mapper, options, _list(options), region, now, entry)


def _option(stream: str, entry: Mapping[str, Any], action: Action, name: str) -> Any:
    schema, value = action.options[name], entry[name]
    if schema["type"] == "boolean" and value is not None:  # what is no word for either stays, and is refused
        with contextlib.suppress(ValueError):
            value = parse_boolean(value)
    if schema["type"] == "array":
        value = mapping.listed(value, are_words=True)
    if not jsonschema_rs.is_valid(dict(schema), value):
        raise SettingsError(f"streams.{stream}.{name} must be {expected(schema)}")
    return value.strip() if isinstance(value, str) else value


def expected(schema: Mapping[str, Any]) -> str:
    """What an option's schema asks for, in words."""
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if schema["type"] == "array":
        return f"a list, each entry {expected(schema['items'])}"
    return {"boolean": "true or false", "string": "a text that is not empty"}.get(schema["type"], f"a {schema['type']}")


def _action(stream: str, entry: Mapping[str, Any]) -> Action:
    if "action" not in entry:
        raise SettingsError(f"streams.{stream}.action is missing: one of {', '.join(ACTIONS)}")
    return ACTIONS[_choice(stream, entry, "action", tuple(ACTIONS))]


def _choice(stream: str, entry: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = entry.get(key, choices[0])
    if value not in choices:
        raise SettingsError(f"streams.{stream}.{key} must be one of {', '.join(choices)}")
    return str(value)


def _list(options: Options) -> ListRef | None:
    name = options.get("list")
    if name is None:
        return None
    return ListRef(id=name, name=name, create=bool(options.get("create_list")), configured=True)
