"""Parses the setting ``reports``: each entry declares a stream with a schema of its own. Pure.

What a report has (statistics, groupings, intervals) is in ``operations.json``, from Klaviyo's document.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from klaviyo_client.api.operations import Operation, QueryBody, operation
from klaviyo_client.errors import SettingsError
from tap_klaviyo.reports.timeframes import TimeFrame, offered, parse_day, parse_timeframe

# The setting's name of a report -> the operation that answers it.
OPERATIONS: Mapping[str, str] = {
    "campaign_values": "query_campaign_values",
    "flow_values": "query_flow_values",
    "flow_series": "query_flow_series",
    "form_values": "query_form_values",
    "form_series": "query_form_series",
    "segment_values": "query_segment_values",
    "segment_series": "query_segment_series",
    "metric_aggregates": "query_metric_aggregates",
}
CONVERSION_METRIC = "Placed Order"
# In place of a metric's name: every one, of conversions those that are not Klaviyo's own.
EVERY_METRIC = "all"
REREAD_DAYS = 30

Shape = Literal["values", "series", "aggregates"]
Unit = Literal["day", "week", "month"]

# Klaviyo's words for intervals, which differ between reports and aggregates, and the unit of finished days of each.
_UNITS: Mapping[str, Unit] = {
    **dict.fromkeys(("hourly", "hour", "daily", "day"), "day"),
    **dict.fromkeys(("weekly", "week"), "week"),
    **dict.fromkeys(("monthly", "month"), "month"),
}
_HOURLY = ("hourly", "hour")
# Our word for no interval at all: one row for a grouping, told of a whole time frame.
TOTAL = "total"
# A report of values has no intervals: there is one call for each of these.
_CALL_INTERVALS = ("daily", "weekly", "monthly", TOTAL)
# What an entry says of days that are read one after another, and of no whole time frame.
_OF_DAYS = ("start_date", "reread_days")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# A report of segments has no group_by: it always has a row for each.
_SEGMENT = ("segment_id",)

_DAY = {"type": "string", "format": "date"}
_TEXT = {"type": "string"}
_NUMBER = {"type": ["number", "null"]}


@dataclass(frozen=True)
class Report:
    """One stream of a report.

    Attributes:
        name: the stream's.
        report: what it is to Klaviyo, as in ``OPERATIONS``.
        statistics: the statistics (an aggregate's measurements), a column each.
        group_by: the groupings (an aggregate's dimensions), a column each.
        interval: Klaviyo's word for how long each row is; of values, how long each call is, or ``TOTAL``.
        metrics: names or ids of the metrics that are aggregated, or whose events are conversions; empty for neither.
        by_metric: whether the metrics were given as several, so that the metric is in the key.
        every_metric: whether it is every metric of the account; ``metrics`` names none then.
        filter: a condition more, as Klaviyo writes it.
        start: the first day to read, None for the earliest that Klaviyo has.
        reread_days: how many finished days are read again in every run.
        timeframe: what a row is told of, where the interval is ``TOTAL``.
    """

    name: str
    report: str
    statistics: tuple[str, ...]
    group_by: tuple[str, ...]
    interval: str
    metrics: tuple[str, ...] = ()
    by_metric: bool = False
    every_metric: bool = False
    filter: str | None = None
    start: date | None = None
    reread_days: int = REREAD_DAYS
    timeframe: TimeFrame | None = None

    @property
    def operation(self) -> Operation:
        return operation(OPERATIONS[self.report])

    @property
    def query(self) -> QueryBody:
        return _query(self.report)

    @property
    def shape(self) -> Shape:
        return _shape(self.report)

    @property
    def unit(self) -> Unit:
        """The days that are finished together."""
        return _UNITS[self.interval]

    @property
    def by_hour(self) -> bool:
        return self.interval in _HOURLY

    @property
    def days(self) -> tuple[str, ...]:
        """The columns of a row's days; the last or only one of them is the bookmark's."""
        return ("timeframe_start", "timeframe_end") if self.shape == "values" else ("date",)

    @property
    def replication_key(self) -> str | None:
        """The bookmark's column; None where a whole time frame is read anew in every run."""
        return None if self.timeframe is not None else self.days[-1]

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row."""
        times = ("date_time",) if self.by_hour else self.days
        return (*times, *map(column, self.group_by), *(self.metric_columns[:1] if self.by_metric else ()))

    @property
    def has_metric(self) -> bool:
        """Whether it is about metrics: those that it names, or every one."""
        return self.every_metric or bool(self.metrics)

    @property
    def metric_columns(self) -> tuple[str, ...]:
        """The columns of the metric's id and, where there are several, of its name."""
        names = ("id", "name") if self.by_metric else ("id",) if self.has_metric else ()
        return tuple(f"{'' if self.shape == 'aggregates' else 'conversion_'}metric_{name}" for name in names)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a row."""
        hours = {"date_time": {"type": "string", "format": "date-time"}} if self.by_hour else {}
        return {
            "type": "object",
            "properties": {
                **dict.fromkeys(self.days, _DAY),
                **hours,
                **{column(name): _TEXT for name in self.group_by},
                **dict.fromkeys(self.metric_columns, _TEXT),
                **dict.fromkeys(self.statistics, _NUMBER),
            },
            "required": list(self.key),
        }


def column(grouping: str) -> str:
    """The column of a grouping: ``$attributed_flow`` is ``attributed_flow``, ``Campaign Name`` is ``campaign_name``."""
    return re.sub(r"\W+", "_", grouping.removeprefix("$")).lower()


def parse_reports(entries: Sequence[Mapping[str, Any]], taken: Container[str] = ()) -> list[Report]:
    """The reports that the setting declares. Its shape was checked against the schema.

    Args:
        entries: the setting.
        taken: names of other streams.

    Raises:
        SettingsError: an entry names what its report does not have, or two reports have one name.
    """
    reports = [_parse_report(entry) for entry in entries]
    names = [report.name for report in reports]
    for name in names:
        if name in taken:
            raise SettingsError(f"reports: {name} is the name of a table; give the report another one")
        if names.count(name) > 1:
            raise SettingsError(f"reports: two are called {name}; give each a name of its own")
    return reports


def _parse_report(entry: Mapping[str, Any]) -> Report:
    kind = entry["report"]
    name = entry.get("name") or kind
    if not _NAME.fullmatch(name):
        raise SettingsError(f"reports: {name!r} is no name: letters, digits and _ make one, and no digit comes first")
    words = {"statistics": "statistics", "group_by": "group_by", "metric": "conversion_metric"}
    if _shape(kind) == "aggregates":
        words = {"statistics": "measurements", "group_by": "by", "metric": "metric"}
    _check_words(name, kind, entry, words.values())
    query = _query(kind)
    interval = _parse_interval(name, kind, entry, query)
    return Report(
        name=name,
        report=kind,
        statistics=_parse_values(name, entry, words["statistics"], query.values[words["statistics"]]),
        group_by=_parse_group_by(name, entry, words["group_by"], query),
        interval=interval,
        **_parse_metrics(name, entry.get(words["metric"]), query),
        filter=entry.get("filter"),
        start=parse_day(f"start_date of {name}", entry["start_date"]) if entry.get("start_date") is not None else None,
        reread_days=entry.get("reread_days", REREAD_DAYS),
        timeframe=_parse_total(name, entry, query) if interval == TOTAL else None,
    )


def _parse_metrics(name: str, given: str | Sequence[str] | None, query: QueryBody) -> dict[str, Any]:
    """Which metrics the report is about, as members of it."""
    if not given:
        if "metric_id" in query.required:
            raise SettingsError(f"reports: {name} needs metric, the name or id of the metric to aggregate")
        return {"metrics": (CONVERSION_METRIC,) if "conversion_metric_id" in query.required else ()}
    names = (given,) if isinstance(given, str) else tuple(given)
    if any(word.strip().casefold() == EVERY_METRIC for word in names):
        return {"by_metric": True, "every_metric": True}
    return {"metrics": names, "by_metric": not isinstance(given, str)}


def _check_words(name: str, kind: str, entry: Mapping[str, Any], words: Iterable[str]) -> None:
    """Refuse members that belong to other reports."""
    query = _query(kind)
    metric_words = {"metric": "metric_id", "conversion_metric": "conversion_metric_id"}
    allowed = {word for word in words if metric_words.get(word, word) in {*query.required, *query.values}}
    for word in ("statistics", "group_by", "measurements", "by", *metric_words):
        if word in entry and word not in allowed:
            raise SettingsError(f"reports: {name} has {word}, but {kind} takes {', '.join(sorted(allowed))}")


def _parse_values(name: str, entry: Mapping[str, Any], word: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """The values that the entry names, in its order; by default all that Klaviyo has."""
    wanted = entry.get(word)
    if wanted is None:
        return tuple(allowed)
    if unknown := [value for value in wanted if value not in allowed]:
        raise SettingsError(f"reports: {name} has {word} {', '.join(unknown)}; Klaviyo has {', '.join(allowed)}")
    return tuple(wanted)


def _parse_group_by(name: str, entry: Mapping[str, Any], word: str, query: QueryBody) -> tuple[str, ...]:
    if word not in query.values:
        return _SEGMENT
    if entry.get(word) is None:
        return query.default_group_by
    wanted = _parse_values(name, entry, word, query.values[word])
    needed = [
        *query.required_group_by,
        *(query.group_by_requires[value] for value in wanted if value in query.group_by_requires),
    ]
    if missing := [value for value in dict.fromkeys(needed) if value not in wanted]:
        raise SettingsError(f"reports: {word} of {name} must hold {', '.join(missing)}, too")
    return wanted


def _parse_interval(name: str, kind: str, entry: Mapping[str, Any], query: QueryBody) -> str:
    allowed = _CALL_INTERVALS if _shape(kind) == "values" else query.values["interval"]
    wanted = entry.get("interval") or (
        TOTAL if "timeframe" in entry else next(word for word in ("daily", "day") if word in allowed)
    )
    if wanted == TOTAL and wanted not in allowed:
        values = kind.replace("_series", "_values")
        which = f", as {values}, have" if values in OPERATIONS and values != kind else " have"
        raise SettingsError(f"reports: {name} cannot have a whole time frame: only reports of values{which} total")
    if wanted not in allowed:
        raise SettingsError(f"reports: {name} has interval {wanted}; it can be {', '.join(allowed)}")
    if "timeframe" in entry and wanted != TOTAL:
        raise SettingsError(f"reports: {name} has interval {wanted}; with timeframe it is {TOTAL}, or left out")
    return str(wanted)


def _parse_total(name: str, entry: Mapping[str, Any], query: QueryBody) -> TimeFrame:
    if "timeframe" not in entry:
        raise SettingsError(f"reports: {name} needs timeframe, one of {offered(query.timeframes)}")
    for word in _OF_DAYS:
        if word in entry:
            raise SettingsError(f"reports: {name} has {word}, but with interval {TOTAL} the timeframe says which days")
    return parse_timeframe(name, entry["timeframe"], query.timeframes, query.max_years or 1)


def _query(kind: str) -> QueryBody:
    query = operation(OPERATIONS[kind]).query
    if query is None:
        raise ValueError(f"{kind} is no query")
    return query


def _shape(kind: str) -> Shape:
    return "values" if kind.endswith("_values") else "series" if kind.endswith("_series") else "aggregates"
