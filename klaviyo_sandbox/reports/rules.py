"""Checks and reads the body of a report or an aggregate, whose shape has been checked: filters, time frame, cursor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.reads.paging import Cursor, parse_cursor
from klaviyo_sandbox.reports.timeframes import InvalidTimeframe, TimeFrame, check_length, parse_timeframe
from klaviyo_sandbox.spec.errors import Problem, Refusal, invalid, invalid_parameter
from klaviyo_sandbox.spec.filters import Clause, parse

ATTRIBUTES = "/data/attributes"
# "Max of 100 items per list filter."
MAX_FILTER_VALUES = 100
# Production clients filter by the first, and the specification names the second.
_CHANNEL_ALIAS, _CHANNEL = "campaign_channel", "send_channel"


def invalid_attribute(detail: str, attribute: str) -> Refusal:
    """A 400 that points at an attribute of the body."""
    return Refusal([invalid(detail, f"{ATTRIBUTES}/{attribute}")])


def account_timezone(store: Store) -> ZoneInfo:
    """The account's time zone."""
    account = next(iter(store.accounts.rows.values()))
    return ZoneInfo(account["timezone"])


def check_report(store: Store, query: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
    """Refuse a report without statistics, with a group-by that needs others, or with an unknown conversion metric.

    Raises:
        Refusal: 400 with all problems.
    """
    problems: list[Problem] = []
    if not attributes["statistics"]:
        problems.append(invalid("At least one statistic is required.", f"{ATTRIBUTES}/statistics"))
    group_by = attributes.get("group_by")
    if group_by is not None:
        required = [
            *query.get("required_group_by", ()),
            *(query.get("group_by_requires", {}).get(name, name) for name in group_by),
        ]
        if missing := sorted({*required} - {*group_by}):
            problems.append(invalid(f"group_by must hold {', '.join(missing)}, too.", f"{ATTRIBUTES}/group_by"))
    if "conversion_metric_id" in attributes and attributes["conversion_metric_id"] not in store.metrics:
        detail = f"A metric with id {attributes['conversion_metric_id']} does not exist."
        problems.append(invalid(detail, f"{ATTRIBUTES}/conversion_metric_id"))
    if problems:
        raise Refusal(problems)


def report_timeframe(store: Store, query: Mapping[str, Any], attributes: Mapping[str, Any]) -> TimeFrame:
    """The time frame of a report.

    Raises:
        Refusal: 400, it cannot be read, or is too long.
    """
    today = store.now().astimezone(account_timezone(store)).date()
    try:
        frame = parse_timeframe(attributes["timeframe"], today, query["max_years"])
        check_length(frame, attributes.get("interval", ""), query.get("max_days", {}))
    except InvalidTimeframe as error:
        raise invalid_attribute(str(error), "timeframe") from None
    return frame


def parse_filter(text: str | None, rules: Mapping[str, Any], now: datetime) -> Sequence[Clause]:
    """The conditions of a body's filter.

    Raises:
        Refusal: 400 that points at it: it cannot be read, names a field twice, or lists too many values.
    """
    if text is None:
        return ()
    try:
        rules = {**rules, _CHANNEL_ALIAS: rules[_CHANNEL]} if _CHANNEL in rules else rules
        clauses = [
            replace(clause, field=_CHANNEL) if clause.field == _CHANNEL_ALIAS else clause
            for clause in parse(text, rules, now)
        ]
    except Refusal as refusal:
        raise invalid_attribute(refusal.problems[0].detail, "filter") from None
    fields = [clause.field for clause in clauses]
    if len(fields) > len({*fields}):
        raise invalid_attribute("Only one filter can be used per attribute.", "filter")
    if any(isinstance(clause.value, tuple) and len(clause.value) > MAX_FILTER_VALUES for clause in clauses):
        raise invalid_attribute(f"A list may hold at most {MAX_FILTER_VALUES} items.", "filter")
    return clauses


def is_met(clause: Clause, values: Sequence[str | None]) -> bool:
    """Whether one of the values satisfies the condition; for ``contains-all``, whether all of them together do."""
    if clause.operator == "contains-all":
        return {*clause.value} <= {*values}
    return clause.holds(values)


def parse_row_cursor(cursor: str | None) -> int:
    """The index of the first row of the page that a cursor leads to; 0 without a cursor.

    Raises:
        Refusal: 400, the text is no such cursor.
    """
    if cursor is None:
        return 0
    index = parse_cursor(cursor).position[0]
    if not re.fullmatch(r"[0-9]{1,9}", index):
        raise invalid_parameter("Invalid cursor provided.", "page_cursor")
    return int(index)


def row_cursor(index: int) -> str:
    """The cursor of the page that begins with the row of this index."""
    return Cursor("next", (str(index), "")).encode()
