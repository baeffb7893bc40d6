"""The setting ``reports`` as JSON Schema. What each report can be asked for is checked by ``declaration``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tap_klaviyo.reports.declaration import CONVERSION_METRIC, EVERY_METRIC, OPERATIONS, REREAD_DAYS

# Klaviyo has the numbers of one year; within it there must be room for a first day.
_MAX_REREAD_DAYS = 300


def _names(description: str) -> dict[str, Any]:
    return {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "minItems": 1,
        "uniqueItems": True,
        "description": description,
    }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description}


def _metrics(description: str) -> dict[str, Any]:
    return {**_names(description), "type": ["string", "array"], "minLength": 1}


SETTING: Mapping[str, Any] = {
    "type": "array",
    "title": "Reports",
    "description": (
        "Klaviyo's reports, one stream for each entry: one row for each grouping and day (or week, month, hour), "
        "one column for each statistic. Read by finished days of the account's time zone."
    ),
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["report"],
        "properties": {
            "report": {
                "type": "string",
                "enum": list(OPERATIONS),
                "description": "Which of Klaviyo's reports it is.",
            },
            "name": _text("The stream's name. By default the report's."),
            "statistics": _names("The statistics, one column each. By default all that the report has."),
            "group_by": _names("The groupings, one column each. By default Klaviyo's own."),
            "conversion_metric": _metrics(
                "Name or id of the metric whose events are conversions, a list of several, a call for each, or "
                f"{EVERY_METRIC} for every one that is not Klaviyo's own. By default {CONVERSION_METRIC}."
            ),
            "metric": _metrics(
                f"Name or id of the metric that metric_aggregates is about, a list of several, or {EVERY_METRIC}."
            ),
            "measurements": _names("The measurements of metric_aggregates, one column each. By default all."),
            "by": _names("The dimensions of metric_aggregates, one column each. By default none: one row a day."),
            "interval": _text(
                "How long each row is, in Klaviyo's words: hourly, daily, weekly or monthly; for metric_aggregates "
                "hour, day, week or month. A report of values is asked for each day, week or month, or, with total, "
                "once for a whole timeframe. By default a day."
            ),
            "timeframe": {
                "type": ["string", "object"],
                "description": (
                    "What a report of values tells as a whole, one row for each grouping, read anew in every run: a "
                    "name of Klaviyo's, such as last_30_days, or start and end, two days that are both included."
                ),
            },
            "filter": _text("A condition of Klaviyo's filter language that narrows the report."),
            "start_date": {
                "type": "string",
                "format": "date",
                "description": "The first day to read, such as 2026-01-31. By default the day of the tap's start_date.",
            },
            "reread_days": {
                "type": "integer",
                "minimum": 0,
                "maximum": _MAX_REREAD_DAYS,
                "default": REREAD_DAYS,
                "description": (
                    "How many finished days are read again in every run, because what is attributed to them still "
                    f"changes. By default {REREAD_DAYS}."
                ),
            },
        },
    },
}
