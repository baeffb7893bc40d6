"""HTML page of a run's report, for people. Pure.

``templates/run_report.html`` says what the page shows; Jinja escapes each value that it puts in.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from target_klaviyo.reporting.rejected_people import hint_at_person

# Rows of one table that are shown; all are in the document.
MAX_ROWS = 1_000

# What happened to records: key in the document -> label and meaning on the page.
_OUTCOMES = {
    "delivered": {"label": "Delivered", "meaning": "Klaviyo has them"},
    "accepted": {"label": "Accepted", "meaning": "Klaviyo accepted them and does not report the result"},
    "rejected": {"label": "Rejected", "meaning": "not in Klaviyo, or only in part"},
    "left_out": {"label": "Left out", "meaning": "skipped by a setting"},
}


def render_page(report: Mapping[str, Any]) -> str:
    """The page of a run report's JSON document."""
    # Imported here, because most runs write no page and need not wait for it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("target_klaviyo.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_to_text,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"to_readable_time": _to_readable_time, "to_duration": _to_duration, "to_json": _to_json}
    environment.filters |= {"hint_at_person": hint_at_person}
    environment.globals |= {"numeric_columns": _numeric_columns, "max_rows": MAX_ROWS}
    script = environment.get_template("run_report.js").render()
    return environment.get_template("run_report.html").render(
        report=report,
        outcomes=_OUTCOMES,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        total=max(1, sum(report["totals"].values())),
        nothing_arrived=_nothing_arrived(report["totals"]),
        streams_without_arrivals=[_nothing_arrived(counts) for counts in report["streams"]],
        stream_rows=[_stream_row(counts) for counts in report["streams"]],
        request_rows=[_request_row(usage) for usage in report["requests"]],
    )


def _nothing_arrived(counts: Mapping[str, Any]) -> bool:
    """Whether something was rejected and nothing else was sent."""
    return bool(counts["rejected"] and not counts["delivered"] and not counts["accepted"])


def _stream_row(counts: Mapping[str, Any]) -> list[Any]:
    return [counts["stream"], counts["action"], *(counts[outcome] for outcome in _OUTCOMES)]


def _request_row(usage: Mapping[str, Any]) -> list[Any]:
    return [usage["operation"], usage["requests"], usage["per_minute"], f"{100 * usage['share']:.1f} %"]


def _to_text(value: Any) -> str:
    """Text of any value. Jinja escapes it after this; text that is HTML already stays as it is."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False, default=str)


def _numeric_columns(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[bool]:
    """Whether each column holds numbers, which stand at the right; the first row tells."""
    first = rows[0] if rows else ()
    return [index < len(first) and _is_numeric(first[index]) for index in range(len(columns))]


def _is_numeric(value: Any) -> bool:
    return (isinstance(value, int | float) and not isinstance(value, bool)) or str(value).endswith(" %")


def _to_json(record: Any) -> str:
    """A rejected record as JSON; a line that could not be read is text already."""
    return record if isinstance(record, str) else json.dumps(record, indent=2, ensure_ascii=False)


def _to_readable_time(text: str) -> str:
    return text[:19].replace("T", " ")


def _to_duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} seconds"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
