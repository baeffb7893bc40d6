"""A run's document as one HTML page, for people. Pure.

No script and nothing from elsewhere; whatever the document holds is shown as text.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

# Rows of one table that are shown; all are in the document.
MAX_ROWS = 1_000

_KINDS = {"delivered": "Delivered", "accepted": "Accepted", "rejected": "Rejected", "left_out": "Left out"}
_MEANINGS = {
    "delivered": "Klaviyo says that it has them",
    "accepted": "Klaviyo took them and tells no more",
    "rejected": "not in Klaviyo, or not whole",
    "left_out": "as a setting says",
}

_STYLE = """
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1b1f24; --soft: #59636e; --line: #d9dee4;
  --good: #1a7f37; --bad: #c02b2b; --warn: #8a5a00; --bar: #d65353; --calm: #b58420; }
@media (prefers-color-scheme: dark) { :root { --back: #0f1216; --card: #181c22; --text: #e8ebef; --soft: #9aa5b1;
  --line: #303740; --good: #4fc36b; --bad: #ff7b72; --warn: #e0a93b; --bar: #d65353; --calm: #b58420; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.25rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .6rem; }
p { margin: .35rem 0; }
.soft, .note { color: var(--soft); }
.badge { display: inline-block; padding: 0 .6rem; border: 1px solid; border-radius: 1rem; font-size: .9rem;
  font-weight: 600; vertical-align: .15rem; }
.done { color: var(--good); } .failed { color: var(--bad); } .stopped { color: var(--warn); }
.why { border-left: 4px solid var(--bad); background: var(--card); padding: .6rem .9rem; margin: .9rem 0 0; }
.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem;
  margin: 1.25rem 0 0; }
.totals div, .card, details { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.totals div { padding: .6rem .9rem; display: flex; flex-direction: column; }
.totals dt { order: 2; font-weight: 600; }
.totals dd { margin: 0; font-size: 1.6rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.totals dd.soft { order: 3; font-size: .85rem; line-height: 1.35; }
.totals .bad dd:not(.soft) { color: var(--bad); }
.bars { list-style: none; margin: 0; padding: .3rem 1rem .8rem; }
.bars li { padding: .6rem 0 .2rem; }
.bars .head { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem;
  font-weight: 600; }
.bars .count { white-space: nowrap; font-variant-numeric: tabular-nums; }
.track { height: .6rem; border-radius: .3rem; background: var(--line); margin: .25rem 0; }
.bar { height: 100%; min-width: .3rem; border-radius: .3rem; background: var(--bar); }
.calm .bar { background: var(--calm); }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .5rem .7rem; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th { font-size: .85rem; color: var(--soft); font-weight: 600; min-width: 4.5rem; }
th:first-child, td:first-child { padding-left: 1rem; }
th:last-child, td:last-child { padding-right: 1rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
details { margin: 0 0 .5rem; }
summary { padding: .55rem .9rem; cursor: pointer; }
summary code { margin-right: .35rem; font-weight: 600; }
summary .soft { display: block; font-size: .9rem; }
details > div { padding: 0 .9rem .7rem; }
pre { margin: .4rem 0 0; padding: .7rem; background: var(--back); border-radius: .35rem; white-space: pre-wrap;
  font: .85rem/1.45 ui-monospace, monospace; }
code { font: .9em ui-monospace, monospace; }
@media (max-width: 40rem) {
  table, tbody, tr, td { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { padding: .5rem 1rem; border-bottom: 1px solid var(--line); }
  tr:last-child { border-bottom: 0; }
  td, .number, td:first-child, td:last-child { display: flex; justify-content: space-between; gap: 1rem; border: 0;
    padding: .1rem 0; text-align: right; }
  td::before { content: attr(data-label); color: var(--soft); flex: none; max-width: 45%; text-align: left; }
  td > span { min-width: 0; }
  td:has(> span:empty) { display: none; }
}
@media print { details { break-inside: avoid; } }
"""


def page(document: Mapping[str, Any]) -> str:
    """The page of a run's document."""
    title = f"{document['plugin']}: {document['ending']}, {_moment(document['started'])}"
    body = "".join(
        (
            _header(document),
            _totals(document),
            _why(document["reasons"]),
            _streams(document["streams"]),
            *(_section(section) for section in document["sections"]),
            _requests(document["requests"]),
            _rejected(document),
        )
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{body}</main>
</body>
</html>
"""


def _text(value: Any) -> str:
    """The only way of a value into the page."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    shown = value if isinstance(value, str | float) else json.dumps(value, ensure_ascii=False, default=str)
    return html.escape(str(shown), quote=True)


def _header(document: Mapping[str, Any]) -> str:
    ending = document["ending"]
    by = f" by signal {document['signal']}" if document["signal"] else ""
    reason = f'<p class="why">{_text(document["reason"])}</p>\n' if document["reason"] else ""
    return (
        f"<header>\n<h1>{_text(document['plugin'])} "
        f'<span class="badge {_text(ending)}">{_text(ending + by)}</span></h1>\n'
        f'<p class="soft">{_moment(document["started"])} to {_moment(document["ended"])} UTC, '
        f"{_duration(document['seconds'])}; version {_text(document['version'])}</p>\n{reason}</header>\n"
    )


def _totals(document: Mapping[str, Any]) -> str:
    tiles = [("records", "Records", "taken in", document["records"])]
    tiles += [(kind, name, _MEANINGS[kind], document["totals"][kind]) for kind, name in _KINDS.items()]
    tiles.append(("not_sent", "Not sent", "they come again in the next run", document["not_sent"]))
    shown = [tile for tile in tiles if tile[3] or tile[0] not in ("left_out", "not_sent")]
    return f'<dl class="totals">\n{"".join(_tile(*tile) for tile in shown)}</dl>\n'


def _tile(name: str, label: str, meaning: str, count: int) -> str:
    bad = ' class="bad"' if count and name == "rejected" else ""
    return f'<div{bad}><dt>{label}</dt><dd id="total-{name}">{_text(count)}</dd><dd class="soft">{meaning}</dd></div>\n'


def _why(reasons: Sequence[Mapping[str, Any]]) -> str:
    rejected = [reason for reason in reasons if reason["outcome"] == "rejected"]
    others = [reason for reason in reasons if reason["outcome"] != "rejected"]
    found = ""
    if rejected:
        found += f"<h2>Why records were rejected</h2>\n{_bars(rejected, 'bars card')}"
    if others:
        found += f"<h2>What else Klaviyo or a setting says</h2>\n{_bars(others, 'bars card calm')}"
    return found


def _bars(reasons: Sequence[Mapping[str, Any]], look: str) -> str:
    most = max(reason["count"] for reason in reasons)
    items = "".join(
        f'<li><div class="head"><code>{_text(reason["code"])}</code> <span class="count">{_text(reason["count"])} '
        f"{_text(reason['outcome'])}</span></div>"
        f'<div class="track" aria-hidden="true">'
        f'<div class="bar" style="width:{100 * reason["count"] / most:.2f}%"></div></div>'
        f'<span class="soft">{_text(reason["sample"])}</span></li>\n'
        for reason in reasons
    )
    return f'<ul class="{look}">\n{items}</ul>\n'


def _streams(streams: Sequence[Mapping[str, Any]]) -> str:
    if not streams:
        return "<h2>Streams</h2>\n<p>No record came.</p>\n"
    rows = [[entry["stream"], entry["action"], *(entry[kind] for kind in _KINDS)] for entry in streams]
    return "<h2>Streams</h2>\n" + _table(["Stream", "Action", *_KINDS.values()], rows)


def _rejected(document: Mapping[str, Any]) -> str:
    rows = document["rejected"]
    if not document["totals"]["rejected"]:
        return ""
    left_out = document["rejected_not_shown"]
    note = f'<p class="note">{_text(left_out)} more are only in the rejects file.</p>\n' if left_out else ""
    return f"<h2>Rejected records</h2>\n{note}{''.join(map(_record, rows))}"


def _record(row: Mapping[str, Any]) -> str:
    where = " · ".join(_text(row[name]) for name in ("stream", "action", "pointer") if row[name])
    record = row["record"]
    shown = record if isinstance(record, str) else json.dumps(record, indent=2, ensure_ascii=False)
    return (
        f'<details class="row"><summary><code>{_text(row["code"])}</code> {_text(row["reason"])}'
        f'<span class="soft">{where}</span></summary><div><pre>{_text(shown)}</pre></div></details>\n'
    )


def _section(section: Mapping[str, Any]) -> str:
    table, notes = section["table"], section["notes"]
    body = "".join(f"<p>{_text(note)}</p>\n" for note in notes)
    if table["rows"]:
        body += _table(table["columns"], table["rows"])
    return f"<h2>{_text(section['title'])}</h2>\n{body}"


def _requests(requests: Sequence[Mapping[str, Any]]) -> str:
    if not requests:
        return ""
    rows = [
        [entry["operation"], entry["requests"], entry["per_minute"], f"{100 * entry['share']:.1f} %"]
        for entry in requests
    ]
    return (
        "<h2>Requests to Klaviyo</h2>\n"
        + _table(["Operation", "Requests", "Allowed a minute", "Used"], rows)
        + '<p class="note">Used: the part of what the account allows in the time of the run, at least a minute.</p>\n'
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    # The roles say what the narrow layout, which is no table to a browser, would take from screen readers.
    head = "".join(
        f'<th role="columnheader" scope="col"{_look(rows, at)}>{_text(name)}</th>' for at, name in enumerate(columns)
    )
    body = "".join(f'<tr role="row">{_cells(columns, rows, row)}</tr>\n' for row in rows[:MAX_ROWS])
    more = len(rows) - MAX_ROWS
    note = f'<p class="note">{_text(more)} more rows are in the JSON document.</p>\n' if more > 0 else ""
    return (
        f'<div class="card"><table role="table"><thead role="rowgroup"><tr role="row">{head}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{body}</tbody></table></div>\n{note}'
    )


def _cells(columns: Sequence[str], rows: Sequence[Sequence[Any]], row: Sequence[Any]) -> str:
    return "".join(
        f'<td role="cell" data-label="{_text(name)}"{_look(rows, at)}><span>{_text(value)}</span></td>'
        for at, (name, value) in enumerate(zip(columns, row, strict=False))
    )


def _look(rows: Sequence[Sequence[Any]], at: int) -> str:
    """Numbers stand at the right; the first row tells."""
    value = rows[0][at] if rows and at < len(rows[0]) else None
    numeric = (isinstance(value, int | float) and not isinstance(value, bool)) or str(value).endswith(" %")
    return ' class="number"' if numeric else ""


def _moment(text: str) -> str:
    return _text(text[:19].replace("T", " "))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} seconds"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
