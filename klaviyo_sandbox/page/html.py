"""Pages as HTML. Pure: nothing of the account gets in but as text."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from klaviyo_sandbox.page.model import Badge, Cell, Document, Facts, Link, Meter, Moment, Pager, Table, Tiles, View


def page(view: View) -> str:
    """The whole document."""
    main = "".join(_block(block) for block in view.blocks)
    search = "" if view.search is None else _search(view.search)
    body = f'<main id="main">\n{_header(view)}{search}{main}</main>\n'
    if view.live:
        # Before the rest, so that it comes right after the numbers on a phone.
        body = (
            f'<main id="main" class="split">\n{_header(view)}{_live(view)}'
            f'<div class="account">\n{search}{main}</div>\n</main>\n'
        )
    script = '<script src="/sandbox/static/live.js" defer></script>\n' if view.live else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(view.title)} · Klaviyo sandbox</title>
<link rel="icon" href="/sandbox/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/sandbox/static/page.css">
{script}</head>
<body>
<a class="skip" href="#main">To the content</a>
<nav class="top" aria-label="Pages"><a class="home" href="/">Klaviyo sandbox</a> <a href="/profiles">Profiles</a>
<a href="/events">Events</a></nav>
{body}</body>
</html>
"""


def text(value: Any) -> str:
    """The only way of a value into a page."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    shown = value if isinstance(value, str | float) else json.dumps(value, ensure_ascii=False, default=str)
    # Half of a surrogate pair can be in an account, and in no answer.
    return html.escape(str(shown).encode("utf-8", "replace").decode(), quote=True)


def rows(table: Table) -> str:
    """The rows of a table alone, as a script puts them in."""
    return "".join(f'<tr role="row">{_cells(table, row)}</tr>\n' for row in table.rows)


def _header(view: View) -> str:
    trail = "".join(f"<li>{_cell(link)}</li>" for link in view.crumbs)
    crumbs = f'<nav aria-label="Breadcrumb"><ol class="crumbs">{trail}</ol></nav>\n' if trail else ""
    subtitle = f'<p class="soft">{text(view.subtitle)}</p>\n' if view.subtitle else ""
    tiles = _tiles(view.tiles) if view.tiles else ""
    return f"<header>\n{crumbs}<h1>{text(view.title)}</h1>\n{subtitle}{tiles}</header>\n"


def _search(wanted: str) -> str:
    return (
        '<form class="search" role="search" action="/profiles"><label for="q">Find a profile</label>\n'
        f'<input id="q" name="q" type="search" value="{text(wanted)}" autocomplete="off" '
        'placeholder="E-mail, phone, external id or id"><button>Find</button></form>\n'
    )


def _live(view: View) -> str:
    # Whoever has no script sees no button and no promise.
    return (
        f'<aside id="live" aria-label="Requests" data-cursor="{view.cursor}" tabindex="0">\n'
        '<p class="state" hidden><span id="live-state" role="status">Live</span> '
        '<button id="live-pause" type="button" aria-pressed="false">Pause</button></p>\n'
        f"{''.join(map(_block, view.live))}</aside>\n"
    )


@singledispatch
def _block(block: object) -> str:
    raise TypeError(f"a page has no {type(block).__name__}")


@_block.register
def _table(table: Table) -> str:
    if not table.rows and not table.names:
        return f"<section><h2>{text(table.caption)}</h2>\n<p>{text(table.empty)}</p></section>\n"
    # The roles say what the narrow layout, which is no table to a browser, would take from screen readers.
    head = "".join(
        f'<th role="columnheader" scope="col"{_look(table, at)}>{text(name)}</th>'
        for at, name in enumerate(table.columns)
    )
    body = f' id="{text(table.names)}"' if table.names else ""
    empty = f'<p class="empty"{" hidden" if table.rows else ""}>{text(table.empty)}</p>' if table.names else ""
    note = f'<p class="soft note">{text(table.note)}</p>\n' if table.note else ""
    more = f'<p class="more">{_cell(table.more)}</p>\n' if table.more else ""
    return (
        f'<section><table role="table"><caption>{text(table.caption)}</caption>\n'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n'
        f'<tbody role="rowgroup"{body}>\n{rows(table)}</tbody></table>\n{empty}{note}{more}</section>\n'
    )


def _tiles(block: Tiles) -> str:
    tiles = "".join(
        f"<div><dt>{_cell(Link(label, href) if href else label)}</dt>"
        f'<dd id="total-{text(name)}">{text(count)}</dd></div>\n'
        for name, label, count, href in block.tiles
    )
    return f'<dl class="totals">\n{tiles}</dl>\n'


@_block.register
def _facts(block: Facts) -> str:
    shown = "".join(
        f"<div><dt>{text(name)}</dt><dd>{_cell(value)}</dd></div>\n"
        for name, value in block.values.items()
        if value not in (None, "")
    )
    return f'<section><h2>{text(block.caption)}</h2>\n<dl class="facts card">\n{shown}</dl></section>\n'


@_block.register
def _document(block: Document) -> str:
    shown = json.dumps(block.value, indent=2, ensure_ascii=False, default=str)
    return f'<section><h2>{text(block.caption)}</h2>\n<pre class="card">{text(shown)}</pre></section>\n'


@_block.register
def _pager(block: Pager) -> str:
    ends = ((block.newer, "prev", "Newer"), (block.older, "next", "Older"))
    links = " ".join(f'<a rel="{rel}" href="{text(href)}">{name}</a>' for href, rel, name in ends if href)
    return f'<nav class="pager" aria-label="Further rows">{text(block.text)} {links}</nav>\n'


def _cells(table: Table, row: Sequence[Cell]) -> str:
    return "".join(
        f'<td role="cell" data-label="{text(name)}"{_look(table, at)}><span{_title(value)}>{_cell(value)}</span></td>'
        for at, (name, value) in enumerate(zip(table.columns, row, strict=True))
    )


def _cell(value: Cell) -> str:
    if isinstance(value, Link):
        return f'<a href="{text(value.href)}">{text(value.text)}</a>'
    if isinstance(value, Moment):
        shown = f"<time>{text(value.text)}</time>"
        return f'<a href="{text(value.href)}">{shown}</a>' if value.href else shown
    if isinstance(value, Badge):
        return f'<span class="badge {text(value.tone)}">{text(value.text)}</span>'
    if isinstance(value, Meter):
        high = value.allowed * 0.8
        return (
            f'{text(value.used)}<span class="soft"> of {text(value.allowed)}</span>'
            f'<meter min="0" max="{value.allowed}" low="{high}" high="{high}" optimum="0" value="{value.used}" '
            f'aria-label="{text(value.label)}"></meter>'
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_cell, value))
    return text(value)


def _title(value: Cell) -> str:
    """What may be cut short can be read whole by pointing at it."""
    shown = value.text if isinstance(value, Link) else value
    return f' title="{text(shown)}"' if isinstance(shown, str) and len(shown) > 24 else ""


def _look(table: Table, at: int) -> str:
    """Numbers stand at the right."""
    values = [row[at] for row in table.rows if row[at] is not None]
    numeric = bool(values) and all(isinstance(value, int | float | Meter) for value in values)
    numeric = numeric and not any(isinstance(value, bool) for value in values)
    return ' class="number"' if numeric or table.columns[at] in table.numeric else ""
