"""The account at a glance, and the lists of what it holds."""

from __future__ import annotations

from collections.abc import Mapping

from klaviyo_sandbox.account.rows import IDENTIFIERS
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.http.app import Sandbox
from klaviyo_sandbox.page import live, tables
from klaviyo_sandbox.page.model import Block, Link, Pager, Table, Tiles, View, to

_LATEST = 8
_HOME = Link("Overview", "/")


def overview(sandbox: Sandbox) -> View:
    """The first page: numbers, what changed, what there is, and the live strip."""
    store = sandbox.store
    with store.lock:
        account = next(iter(store.accounts.rows.values()))
        blocks: list[Block] = [
            live.writes(sandbox.requests, _LATEST),
            tables.import_jobs(store, _LATEST, _all(_count_of_jobs(store), "jobs")),
            tables.profiles(
                tables.newest(store.profiles, "updated", _LATEST),
                "Latest changed profiles",
                _all(len(store.profiles), "profiles"),
            ),
            tables.events(
                store,
                tables.newest(store.events, "datetime", _LATEST),
                "Latest events",
                _all(len(store.events), "events"),
            ),
            _latest_members(store),
            tables.groups(store, "lists"),
            tables.groups(store, "segments"),
            tables.campaigns(store, _LATEST, _all(len(store.campaigns), "campaigns")),
            tables.flows(store, _LATEST, _all(len(store.flows), "flows")),
            tables.metrics(store),
        ]
        return View(
            account["contact_information"]["organization_name"],
            blocks,
            f"Account {account['id']}, times in UTC",
            tiles=_totals(store),
            live=(
                live.budgets(sandbox.quotas),
                live.requests(live.since(sandbox.requests, sandbox.asked, 0)),
            ),
            cursor=sandbox.asked,
            search="",
        )


def profiles(sandbox: Sandbox, query: Mapping[str, str]) -> View:
    """All profiles, the latest changed first, or those that are identified by ``q``."""
    store, wanted, start = sandbox.store, query.get("q", "").strip(), start_of(query)
    with store.lock:
        if wanted:
            ids = [wanted] if wanted in store.profiles else []
            ids += [found for name in IDENTIFIERS if (found := store.find_profile_id(name, wanted))]
            rows = [row for found in dict.fromkeys(ids) if (row := store.profiles.get(found)) is not None]
            table = tables.profiles(rows, "Profiles found")
            return View("Profiles", [table], f"{len(rows)} identified by “{wanted}”.", [_HOME], search=wanted)
        rows = tables.newest(store.profiles, "updated", tables.PAGE, start)
        table = tables.profiles(rows, "Latest changed first")
        blocks: list[Block] = [table, pager("/profiles", start, len(store.profiles))]
        return View("Profiles", blocks, crumbs=[_HOME], search="")


def events(sandbox: Sandbox, query: Mapping[str, str]) -> View:
    """All events, the latest first."""
    store, start = sandbox.store, start_of(query)
    with store.lock:
        rows = tables.newest(store.events, "datetime", tables.PAGE, start)
        table = tables.events(store, rows, "Latest first")
        return View("Events", [table, pager("/events", start, len(store.events))], crumbs=[_HOME])


def index(sandbox: Sandbox, kind: str) -> View:
    """All lists, segments, metrics, jobs, campaigns or flows (``kind``)."""
    store = sandbox.store
    with store.lock:
        if kind in ("lists", "segments"):
            table = tables.groups(store, kind)
        elif kind == "metrics":
            table = tables.metrics(store)
        elif kind == "jobs":
            # More than that nobody looks through, and each takes a look at the clock.
            table = tables.import_jobs(store, 500)
        elif kind == "campaigns":
            table = tables.campaigns(store, len(store.campaigns))
        else:
            table = tables.flows(store, len(store.flows))
        return View(kind.capitalize(), [table], crumbs=[_HOME])


def start_of(query: Mapping[str, str]) -> int:
    """How many rows are left out at the beginning, as the address says; 0 when it says nonsense."""
    text = query.get("start", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def pager(path: str, start: int, count: int) -> Pager:
    """Where the rows before and after are."""
    end = min(start + tables.PAGE, count)
    newer = f"{path}?start={max(0, start - tables.PAGE)}" if start else None
    text = f"{start + 1:,} to {end:,} of {count:,}" if start < end else f"None of {count:,}"
    return Pager(text, newer, f"{path}?start={end}" if end < count else None)


def _totals(store: Store) -> Tiles:
    names = ("profiles", "lists", "segments", "events", "metrics", "campaigns", "flows", "templates", "tags")
    linked = frozenset(names) - {"templates", "tags"}
    return Tiles(
        [(name, name.capitalize(), len(getattr(store, name)), f"/{name}" if name in linked else "") for name in names]
    )


def _latest_members(store: Store) -> Table:
    latest = [
        (member["joined_group_at"], list_id, member["id"])
        for list_id, members in store.list_members.items()
        # The members of a list that was deleted are still held.
        if list_id in store.lists
        for member in tables.newest(members, "joined_group_at", _LATEST)
    ]
    rows = [
        (
            tables.person(store, profile_id),
            to("lists", list_id, store.lists.rows[list_id]["name"]),
            tables.when(at),
        )
        for at, list_id, profile_id in sorted(latest, reverse=True)[:_LATEST]
    ]
    return Table("Latest members of lists", ("Profile", "List", "Joined"), rows)


def _count_of_jobs(store: Store) -> int:
    return len(store.jobs) + len(store.suppress_jobs) + len(store.unsuppress_jobs)


def _all(count: int, kind: str) -> Link | None:
    return Link(f"All {count:,} {kind}", f"/{kind}") if count > _LATEST else None
