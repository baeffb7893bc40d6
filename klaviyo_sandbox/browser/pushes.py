"""What was pushed lately: the requests that wrote, what each leads to, and its rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from klaviyo_sandbox.account.rows import IDENTIFIERS, pending_id
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.browser import live, tables
from klaviyo_sandbox.browser.model import Badge, Block, Cell, Document, Facts, Link, Table, View, link_to
from klaviyo_sandbox.http.app import Sandbox
from klaviyo_sandbox.http.request_log import Push
from klaviyo_sandbox.http.traffic import is_write
from klaviyo_sandbox.writes.bodies import BULK_ROWS, parse_json

# Requests that are searched for writes, from the latest back; reads stand between them.
_MAX_SEARCHED = 5_000
# People whom a line names, and the longest text that is shown of a row.
_MAX_PEOPLE, _MAX_TEXT = 3, 2_000
# How the types of resources begin that are no people's, and by which attributes those are known.
_NOT_PEOPLE = ("coupon", "catalog-", "data-source-", "object-")
_IDS = ("external_id", "unique_code")
_SUBSCRIPTION, _ACCEPTED = "profile-subscription-bulk-create-job", 202
_LIST_PATH = re.compile(r"/api/lists/([^/]+)/.*")


@dataclass(frozen=True)
class _Outline:
    """What the body of a push says of itself.

    Attributes:
        first_rows: a few.
        count: how many rows there are.
        groups: those that it names, as (type, id).
        subscribed: whom it subscribes, as (e-mail address, id); what is no text is left out.
    """

    first_rows: Sequence[Any]
    count: int
    groups: Sequence[tuple[str, str]]
    subscribed: Sequence[tuple[str, str]]


def latest(sandbox: Sandbox, store: Store, count: int, more: Link | None = None) -> Table:
    """The latest requests that write, the latest first. The caller holds ``store.lock``."""
    log, total = sandbox.requests, sandbox.request_count
    searched = islice(enumerate(reversed(log)), _MAX_SEARCHED)
    writes = ((total - index, request) for index, request in searched if is_write(request))
    rows: list[Sequence[Cell]] = []
    for number, request in islice(writes, count):
        push = sandbox.pushes.get(number)
        time = live.clock_time(request.at, link_to("pushes", str(number)).href if push else "")
        operation = request.operation or f"{request.method} {request.path}"
        links = _links(store, push) if push else None
        rows.append((time, operation, live.status(request), request.items or None, links))
    columns = ("Time", "Operation", "Status", "Items", "Leads to")
    return Table("Pushed lately", columns, rows, "Nothing was written yet.", numeric=("Items",), more=more)


def index(sandbox: Sandbox) -> View:
    """The latest writes, as many as can be kept with their rows."""
    store = sandbox.store
    with store.lock:
        return View("Pushes", [latest(sandbox, store, sandbox.pushes.max_count)], breadcrumbs=[Link("Overview", "/")])


def page(sandbox: Sandbox, number: str, query: Mapping[str, str]) -> View | None:
    """A write with its rows and its answer; None when it is not kept any more, or never was."""
    push = sandbox.pushes.get(int(number)) if number.isascii() and number.isdigit() and len(number) < 16 else None
    if push is None:
        return None
    store, request, start = sandbox.store, push.request, tables.parse_start(query)
    rows = _rows_of(_parse(push.body))
    with store.lock:
        facts: dict[str, Cell] = {
            "Time": live.clock_time(request.at),
            "Request": f"{request.method} {request.path}",
            "Status": live.status(request),
            "Items": request.items or None,
            "Client": request.client,
            "Leads to": _links(store, push),
        }
        shown = [(_person(store, row) or "", _shorten(_content(row))) for row in rows[start : start + tables.PAGE_SIZE]]
        table = Table("Rows", ("Profile", "What was sent"), shown, "The body holds no rows.")
        blocks: list[Block] = [Facts("About", facts), table]
        if len(rows) > tables.PAGE_SIZE:
            blocks.append(tables.pager(f"/pushes/{number}", start, len(rows)))
    answer = _parse(push.answer)
    if answer is not None:
        blocks.append(Document("Answer", answer))
    title = request.operation or f"{request.method} {request.path}"
    return View(title, blocks, breadcrumbs=[Link("Overview", "/"), Link("Pushes", "/pushes")])


def _links(store: Store, push: Push) -> list[Link | Badge] | None:
    """The job, the lists and segments, and the first people that a push was about, as far as they are there.

    Those who wait for their double opt-in are counted.
    """
    outline = _outline(push.body)
    path = _LIST_PATH.fullmatch(push.request.path)
    answered = _reference(_at(_parse(push.answer), "data"))
    groups = [*outline.groups, *([("list", path[1])] if path else ()), *([answered] if answered else ())]
    links = [link for kind, row_id in groups for link in _resource_links(store, kind, row_id)]
    people = [link for row in outline.first_rows if isinstance(link := _person(store, row), Link)]
    unnamed = outline.count - _MAX_PEOPLE
    if people and unnamed > 0:
        people.append(Link(f"{unnamed:,}\N{NO-BREAK SPACE}more", f"/pushes/{push.number}"))
    found = dict.fromkeys(sorted(links, key=lambda link: not link.href.startswith("/jobs/")) + people)
    waiting = _count_waiting(store, outline) if push.request.status == _ACCEPTED else 0
    badges = [Badge(f"{waiting:,} {'waits' if waiting == 1 else 'wait'} for confirmation", "busy")] if waiting else []
    return [*found, *badges] or None


def _count_waiting(store: Store, outline: _Outline) -> int:
    """How many of those who were subscribed wait for their double opt-in now."""
    if not len(store.pending_consents):
        return 0
    list_id = next((group_id for kind, group_id in outline.groups if kind == "list"), None)
    addresses = [email or str((store.profiles.get(row_id) or {}).get("email")) for email, row_id in outline.subscribed]
    return len({pending_id(list_id, address) for address in addresses} & store.pending_consents.rows.keys())


def _resource_links(store: Store, kind: str, row_id: str) -> Iterator[Link]:
    if kind.endswith("-job"):
        if any(row_id in table for table in (store.jobs, store.suppress_jobs, store.unsuppress_jobs)):
            yield link_to("jobs", row_id, "Job")
    elif kind in ("list", "segment"):
        row = (store.lists if kind == "list" else store.segments).get(row_id)
        if row is not None:
            yield link_to(f"{kind}s", row_id, row["name"])


def _person(store: Store, row: Any) -> Link | str | None:
    """Whom a row is about: a link where there is such a profile now, else the identifier that it was sent with.

    What is no person's has the id that the shop knows it by.
    """
    if str(_at(row, "type")).startswith(_NOT_PEOPLE):
        names = [_at(row, "attributes", name) for name in _IDS] + [_at(row, "id")]
        return next((name for name in names if isinstance(name, str) and name), None)
    profile = _at(row, "attributes", "profile", "data") or row
    attributes = _at(profile, "attributes")
    values = [("id", _at(profile, "id"))] if _at(profile, "type") == "profile" else []
    values += [(name, _at(attributes, name)) for name in IDENTIFIERS]
    identifiers = [(name, value) for name, value in values if isinstance(value, str) and value]
    for name, value in identifiers:
        profile_id = (
            (value if value in store.profiles else None) if name == "id" else store.find_profile_id(name, value)
        )
        if profile_id and profile_id in store.profiles:
            return tables.profile_link(store, profile_id)
    return identifiers[0][1] if identifiers else None


def _content(row: Any) -> Any:
    """What a row says, without the wrapping of its resource."""
    attributes = _at(row, "attributes")
    return attributes if isinstance(attributes, dict) and attributes else row


def _shorten(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "Too deep to be shown."
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


@lru_cache(maxsize=32)
def _outline(body: bytes) -> _Outline:
    document = _parse(body)
    rows = _rows_of(document)
    relationships = _at(document, "data", "relationships")
    named = [_at(relationships, name, "data") for name in ("lists", "list", "segments", "segment")]
    groups = [entry for data in named for entry in map(_reference, data if isinstance(data, list) else [data]) if entry]
    subscribed = [_subscriber(row) for row in rows] if _at(document, "data", "type") == _SUBSCRIPTION else []
    return _Outline(rows[:_MAX_PEOPLE], len(rows), groups, subscribed)


def _subscriber(row: Any) -> tuple[str, str]:
    """The e-mail address and the id of a row; "" where it has none."""
    email, row_id = _at(row, "attributes", "email"), _at(row, "id")
    return email if isinstance(email, str) else "", row_id if isinstance(row_id, str) else ""


def _rows_of(document: Any) -> list[Any]:
    """The profiles, events, members, other rows or single thing that the body of a write holds; of any shape."""
    data = _at(document, "data")
    if isinstance(data, list):
        return data
    entries = _at(data, "attributes", "events-bulk-create", "data")
    if isinstance(entries, list):
        return [event for entry in entries for event in _events_of(entry)]
    held = (_at(data, "attributes", name, "data") for name in BULK_ROWS)
    objects = _at(data, "relationships", "object-records", "data")
    rows = next((rows for rows in (*held, objects) if isinstance(rows, list)), None)
    return ([] if data is None else [data]) if rows is None else rows


def _events_of(entry: Any) -> list[Any]:
    """The events of an entry of a bulk request, each with its profile, as a single event has it."""
    events = _at(entry, "attributes", "events", "data")
    profile = _at(entry, "attributes", "profile")
    if not isinstance(events, list):
        return [entry]
    resources = (event if isinstance(event, dict) else {"attributes": event} for event in events)
    return [{**event, "attributes": _with_profile(event.get("attributes"), profile)} for event in resources]


def _with_profile(attributes: Any, profile: Any) -> Any:
    return {"profile": profile, **attributes} if isinstance(attributes, dict) else attributes


def _reference(data: Any) -> tuple[str, str] | None:
    """(type, id) of a resource; None where it has none."""
    kind, row_id = _at(data, "type"), _at(data, "id")
    return (kind, row_id) if isinstance(kind, str) and isinstance(row_id, str) else None


def _at(value: Any, *names: str) -> Any:
    """The value below names of members; None where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _parse(body: bytes) -> Any:
    """The JSON value; None where it is none."""
    try:
        return parse_json(body)
    except (ValueError, RecursionError):
        return None
