"""Routes: what is done with the records of each stream, and how a record becomes rows. Pure."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

from klaviyo_client.api.json_text import LOST_TEXT, has_lost_text
from target_klaviyo.actions import ACTIONS
from target_klaviyo.actions.lists import MIRROR
from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.intake import contracts
from target_klaviyo.intake.bad_values import LeftOut, below, is_part_of
from target_klaviyo.intake.column_types import ColumnTypes
from target_klaviyo.intake.contracts import Contract
from target_klaviyo.intake.deletion_marks import is_marked_deleted
from target_klaviyo.intake.mapping import Mapper
from target_klaviyo.intake.mapping_compiler import compile_mapper
from target_klaviyo.intake.regions import COUNTRY_CODE, region_of
from target_klaviyo.model.identifiers import (
    IDENTIFIERS,
    VISITOR_IDENTIFIERS,
    normalize_identifiers,
    parse_phone_number,
    refuse_lost_text,
)
from target_klaviyo.model.records import (
    Context,
    ListRef,
    Options,
    OutcomeKind,
    Record,
    RejectedRecord,
    SourceRecord,
    Step,
)
from target_klaviyo.model.texts import is_blank

# Fields that tell one person, event, list, code or run from others, or name several such.
_IDENTIFYING = re.compile(r"(?:^|_)ids?$|^list|^metric$|^event$|^unique_code$")


@dataclass(frozen=True)
class Route:
    """What is done with the records of one stream.

    Attributes:
        options: the action's options, as the settings have them or by default.
        list: the list that the settings name, for records that name none.
        region: ISO 3166 alpha-2 of phone numbers without a country code, where the record names none.
        now: the time, in UTC.
        entry: what the settings say of the stream.
        drops_bad_values: whether a value that does not fit, and that a record can do without, is left out of it.
        types: how columns and properties are read.
        is_by_name: whether the stream has its action by its name alone.
    """

    action: Action
    contract: Contract
    mapper: Mapper
    options: Options
    list: ListRef | None
    region: str | None
    now: Callable[[], datetime]
    entry: Mapping[str, Any]
    is_by_name: bool = False
    drops_bad_values: bool = True
    types: ColumnTypes = field(default_factory=lambda: ColumnTypes({}))

    def self_copy_guard(self, stream: str) -> tuple[str, str] | None:
        """The operation and the column that tell whether a stream of the tap comes from this very account."""
        guard = self.action.self_copy_guard
        return guard[1:] if guard is not None and self.is_by_name and guard[0] == stream else None

    def row(self, source: SourceRecord, record: Record) -> tuple[Action, Row]:
        """The first step of a record, ready to be sent; each row holds the step after it.

        ``record`` is what the stream maps made of the source record; ``source`` is told how many outcomes to wait
        for.

        Raises:
            RejectedRecord: it cannot be sent.
        """
        is_deleted = is_marked_deleted(record) or is_marked_deleted(source.record)
        if is_deleted and (self.is_mirror or not self.action.accepts_deleted):
            raise RejectedRecord(
                "deleted_in_source",
                "records that their source marks as deleted are left out",
                kind=OutcomeKind.LEFT_OUT,
            )
        lost_text = self._lost_text(source.record) if source.has_lost_text else ""
        context = Context(self.options, self.now(), is_deleted, lost_text, self.drops_bad_values)
        left_out = LeftOut(self.contract.optional if self.drops_bad_values else ())
        fields = self._fields(record, context, left_out)
        if self.action.steps is None:
            return self.action, self._build_row(self.action, source, fields, context, left_out)
        make_steps = self.action.steps
        steps = left_out.without_faults(lambda some: list(make_steps(some, context)), fields)
        if not steps:
            raise RejectedRecord("nothing_to_do", "the record has nothing that can be sent")
        action, row = self._chain(source, steps, context)
        return action, replace(row, notes=(*left_out.notes, *row.notes))

    def _lost_text(self, as_it_came: Record) -> str:
        """The columns that hold text which cannot be sent, as JSON; without those that are never sent."""
        columns = {name: value for name, value in as_it_came.items() if not self.mapper.is_ignored(name)}
        return json.dumps(
            {name: value for name, value in columns.items() if has_lost_text((name, value))}, sort_keys=True
        )

    def _fields(self, record: Record, context: Context, left_out: LeftOut) -> Record:
        """The action's fields of a record, mapped, normalised and checked, but for what is left out."""
        columns, notes = (
            self.types.read_columns(record, self.mapper, self.can_do_without) if self.types else (record, [])
        )
        left_out.notes += notes
        fields = self._map(columns, left_out)
        country = fields.pop(COUNTRY_CODE, None)
        if not self.action.is_about_people:
            return left_out.without_faults(self._check, fields)
        identifiers = [name for name in (*IDENTIFIERS, *VISITOR_IDENTIFIERS) if name in self.contract.fields]
        region = self._region_of(columns, country, fields)
        normalized, faults = normalize_identifiers(fields, region, identifiers or IDENTIFIERS)
        selected, note = self.action.select_fields(normalized, faults, context)
        left_out.notes += filter(None, [note])
        try:
            return left_out.without_faults(self._check, selected)
        except RejectedRecord as rejection:
            # What is missing is perhaps what could not be used.
            raise (next(iter(faults.values()), rejection) if rejection.pointer == "/" else rejection) from None

    def _map(self, record: Record, left_out: LeftOut) -> dict[str, Any]:
        """The action's fields of a record, as the mapping and the action make them of its columns."""
        columns = left_out.without_faults(self.action.normalize, record)
        mapped = self.mapper.fields(columns, left_out.add)
        fields = left_out.without_faults(lambda some: self.action.arrange(dict(some)), mapped)
        return self.types.read_properties(fields, left_out, self.mapper, record) if self.types else fields

    def _check(self, fields: Record) -> Record:
        """The fields, where the contract and what tells one from others allow them.

        Raises:
            RejectedRecord: they do not.
        """
        self.contract.check(_without_nulls(fields) if self.mapper.keeps_nulls else fields)
        _refuse_lost_identity(fields)
        return fields

    def _region_of(self, record: Record, country: Any, fields: Record) -> str | None:
        """The region of a record's phone number, where that has no country code."""
        phone = fields.get("phone_number")
        if not isinstance(phone, str) or phone.lstrip().startswith("+"):
            return None
        person = (fields.get("profile") or {}) if "profile" in self.contract.fields else fields
        return region_of(record, country, person, self.region)

    def _chain(self, source: SourceRecord, steps: Sequence[Step], context: Context) -> tuple[Action, Row]:
        """The first of these steps, with those that follow behind it."""
        *earlier, last = steps
        first = self._step(source, last, context, None)
        for step in reversed(earlier):
            first = self._step(source, step, context, first)
        source.pending = len(steps)
        return first

    def _step(
        self, source: SourceRecord, step: Step, context: Context, next_step: tuple[Action, Row] | None
    ) -> tuple[Action, Row]:
        action = ACTIONS[step.action]
        options = {name: self.options[name] for name in action.options if name in self.options}
        context = replace(context, options={**default_options(action), **options})
        contract = contracts.load(action.name)
        left_out = LeftOut(contract.optional if self.drops_bad_values else ())
        try:
            mapper = _step_mapper(action.name)
            coerced = mapper.coerce(step.fields, left_out.add)
            if step.field is not None:  # nobody has read it yet
                coerced = self.types.read_properties(coerced, left_out, mapper, {})
            selected, note = action.select_fields(coerced, {}, context)
            left_out.notes += filter(None, [note])
            fields = left_out.without_faults(contract.check, selected)
            _refuse_lost_identity(fields)
            row = self._build_row(action, source, fields, context, left_out, next_step)
            return action, replace(row, notes=tuple(below(row.notes, step.field)))
        except RejectedRecord as rejection:
            if step.field is None:
                raise
            raise rejection.below(step.field) from rejection

    @property
    def is_mirror(self) -> bool:
        """Whether a list is made equal to the stream."""
        return self.options.get("mode") == MIRROR

    @property
    def is_disowned_mirror(self) -> bool:
        """Whether it is a mirror that does not say that it may remove people whom others have put on the list."""
        return self.is_mirror and not self.options["owns_list"]

    @property
    def may_ignore_schema(self) -> bool:
        """Whether there are records that may be sent although they break their SCHEMA; ``ignores_schema`` says which.

        Those of which only fields of the contract are sent: the contract has checked them, and no other column.
        """
        return "properties" not in self.contract.fields or self.action.accepts_deleted

    def ignores_schema(self, row: Row) -> bool:
        """Whether this is the row of such a record."""
        return "properties" not in self.contract.fields or bool(self.action.removes(row.batch_key))

    def can_do_without(self, column: str, keys: Collection[str] = ()) -> bool:
        """Whether a value of a column may be left out where it does not fit; ``keys`` are those of its table."""
        others = {*self.contract.optional, *((name,) for name in (*IDENTIFIERS, *VISITOR_IDENTIFIERS))}
        is_needed = column in keys or column == self.options.get("size_field")
        return (
            self.drops_bad_values
            and not is_needed
            and not column.casefold().startswith("_sdc_")
            and all(is_part_of(path, others) for path in self.mapper.fields_of(column))
        )

    def identifiers_in(self, record: Record) -> dict[str, Any]:
        """The identifiers of the person of a record that cannot be sent, as far as they can be read."""
        with contextlib.suppress(RejectedRecord, ValueError, RecursionError, OverflowError):
            fields = self._map(record, LeftOut(self.contract.optional))
            identifiers = {name: str(fields[name]) for name in IDENTIFIERS if fields.get(name)}
            # Whose they are cannot be told when a part of them is lost.
            identifiers = {name: text for name, text in identifiers.items() if LOST_TEXT not in text}
            with contextlib.suppress(RejectedRecord):
                if "phone_number" in identifiers:
                    region = self._region_of(record, fields.get(COUNTRY_CODE), fields)
                    identifiers["phone_number"] = parse_phone_number(identifiers["phone_number"], region)
            return identifiers
        return {}

    def _build_row(
        self,
        action: Action,
        source: SourceRecord,
        fields: Record,
        context: Context,
        left_out: LeftOut,
        next_step: tuple[Action, Row] | None = None,
    ) -> Row:
        make = action.resource
        if make is None:
            raise TypeError(f"the action {action.name} is made of others")
        fields, payload = left_out.without_faults(lambda some: (some, make(some, context)), fields)
        body = encode_json(payload)
        limit = action.max_item_bytes
        if limit is not None and len(body) > limit:
            raise RejectedRecord("too_large", f"the record is {len(body):,} bytes as JSON; Klaviyo takes {limit:,}")
        list_ref, batch_key = self._list_of(action, fields), action.batch_key(fields, context)
        notes = tuple(left_out.notes)
        return Row(source, payload, body, list_ref, batch_key, next_step, notes, self.drops_bad_values)

    def _list_of(self, action: Action, fields: Record) -> ListRef | None:
        """The list that a row is for: the record's own, or that of the settings."""
        texts = {name: (fields.get(name) or "").strip() for name in ("list_id", "list_name")}
        names = {name: None if is_blank(text) else text for name, text in texts.items()}
        if any(names.values()):
            return ListRef(names["list_id"], names["list_name"], create=bool(self.options.get("create_list")))
        # Blank, it means some list: that of the stream, and without one never all.
        needs_list = action.needs_list or not names.keys().isdisjoint(
            name for name in fields if fields[name] is not None
        )
        if self.list is None and needs_list:
            raise RejectedRecord(
                "no_list", "the record has no list_id or list_name, and the stream's option list is not set"
            )
        return self.list if "list" in action.options else None


def _refuse_lost_identity(fields: Record) -> None:
    """Refuse fields of which one that tells the person, event or list from others has lost text.

    Raises:
        RejectedRecord: naming it.
    """
    for name, value in fields.items():
        if _is_identifying(name):
            refuse_lost_text(name, value)


@functools.lru_cache(maxsize=256)
def _is_identifying(field: str) -> bool:
    return _IDENTIFYING.search(field) is not None


@cache
def _step_mapper(action: str) -> Mapper:
    return compile_mapper(contracts.load(action).schema, {}, keeps_unknown=False)


def default_options(action: Action) -> dict[str, Any]:
    """An action's options where the settings say nothing."""
    return {name: schema["default"] for name, schema in action.options.items() if "default" in schema}


def _without_nulls(fields: Record) -> dict[str, Any]:
    """The fields that the contract can check: a null is no value, but asks to clear one."""
    return {
        name: _without_nulls(value) if isinstance(value, Mapping) else value
        for name, value in fields.items()
        if value is not None
    }
