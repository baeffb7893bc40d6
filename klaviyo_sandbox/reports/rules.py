"""What the body of a report or an aggregate must keep to beyond its shape, and the filters in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.reads.paging import Cursor, parse_cursor
from klaviyo_sandbox.reports.timeframes import Frame, NoTimeframe, check_length, frame
from klaviyo_sandbox.spec.errors import Problem, Refusal, invalid, invalid_parameter
from klaviyo_sandbox.spec.filters import Clause, parse

ATTRIBUTES = "/data/attributes"
# "Max of 100 items per list filter."
MOST_IN_A_FILTER = 100


def refused(detail: str, attribute: str) -> Refusal:
    """A 400 that points at an attribute of the body."""
    return Refusal([invalid(detail, f"{ATTRIBUTES}/{attribute}")])


def zone_of(store: Store) -> ZoneInfo:
    """The account's time zone."""
    account = next(iter(store.accounts.rows.values()))
    return ZoneInfo(account["timezone"])


def check_report(store: Store, query: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
    """Refuse a report that asks for nothing, groups by half, or counts conversions of no metric.

    Raises:
        Refusal: 400 with all that is wrong.
    """
    problems: list[Problem] = []
    if not attributes["statistics"]:
        problems.append(invalid("At least one statistic is required.", f"{ATTRIBUTES}/statistics"))
    given = attributes.get("group_by")
    if given is not None:
        needed = [
            *query.get("required_group_by", ()),
            *(query.get("group_by_requires", {}).get(name, name) for name in given),
        ]
        if missing := sorted({*needed} - {*given}):
            problems.append(invalid(f"group_by must hold {', '.join(missing)}, too.", f"{ATTRIBUTES}/group_by"))
    if "conversion_metric_id" in attributes and attributes["conversion_metric_id"] not in store.metrics:
        detail = f"A metric with id {attributes['conversion_metric_id']} does not exist."
        problems.append(invalid(detail, f"{ATTRIBUTES}/conversion_metric_id"))
    if problems:
        raise Refusal(problems)


def frame_of(store: Store, query: Mapping[str, Any], attributes: Mapping[str, Any]) -> Frame:
    """The time that a report is about.

    Raises:
        Refusal: 400, it cannot be, or is too long.
    """
    today = store.now().astimezone(zone_of(store)).date()
    try:
        found = frame(attributes["timeframe"], today, query["max_years"])
        check_length(found, attributes.get("interval", ""), query.get("max_days", {}))
    except NoTimeframe as error:
        raise refused(str(error), "timeframe") from None
    return found


def clauses_of(text: str | None, rules: Mapping[str, Any], now: datetime, place: str = "filter") -> Sequence[Clause]:
    """The conditions of a body's filter.

    Raises:
        Refusal: 400 that points at it: it cannot be read, names a field twice, or lists too much.
    """
    if text is None:
        return ()
    try:
        clauses = parse(text, rules, now)
    except Refusal as refusal:
        raise refused(refusal.problems[0].detail, place) from None
    fields = [clause.field for clause in clauses]
    if len(fields) > len({*fields}):
        raise refused("Only one filter can be used per attribute.", place)
    if any(isinstance(clause.value, tuple) and len(clause.value) > MOST_IN_A_FILTER for clause in clauses):
        raise refused(f"A list may hold at most {MOST_IN_A_FILTER} items.", place)
    return clauses


def holds(clause: Clause, values: Sequence[str | None]) -> bool:
    """Does one of the values satisfy the condition; for ``contains-all``, do they together?"""
    if clause.operator == "contains-all":
        return {*clause.value} <= {*values}
    return clause.holds(values)


def place_of(cursor: str | None) -> int:
    """The number of rows before the page that a cursor leads to.

    Raises:
        Refusal: 400, it is none.
    """
    if cursor is None:
        return 0
    found = parse_cursor(cursor).position[0]
    if not re.fullmatch(r"[0-9]{1,9}", found):
        raise invalid_parameter("Invalid cursor provided.", "page_cursor")
    return int(found)


def cursor_at(place: int) -> str:
    """The cursor of the page that begins there."""
    return Cursor("next", (str(place), "")).encode()
