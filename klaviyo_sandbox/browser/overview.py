"""The overview of the account, and a page for each kind of resource: all profiles, events, lists ..."""

from __future__ import annotations

from collections.abc import Mapping

from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.browser import live, pushes, search, tables
from klaviyo_sandbox.browser.model import Block, Choice, Link, Table, Tile, View, link_to
from klaviyo_sandbox.http.app import Sandbox

_LATEST = 8
_HOME = Link("Overview", "/")


def overview(sandbox: Sandbox) -> View:
    """The first page: totals, the latest writes and rows of each kind, and the live strip."""
    store = sandbox.store
    with store.lock:
        account = next(iter(store.accounts.rows.values()))
        blocks: list[Block] = [
            *live.other_revisions(sandbox.revisions, sandbox.other_revisions),
            pushes.latest(sandbox, store, _LATEST, Link("All that is kept", "/pushes")),
            tables.import_jobs(store, _LATEST, _link_to_all(_count_jobs(store), "jobs")),
            tables.profiles(
                tables.newest(store.profiles, "updated", _LATEST),
                "Latest changed profiles",
                _link_to_all(len(store.profiles), "profiles"),
            ),
            tables.events(
                store,
                tables.newest(store.events, "datetime", _LATEST),
                "Latest events",
                _link_to_all(len(store.events), "events"),
            ),
            _latest_members(store),
            tables.groups(store, "lists"),
            tables.groups(store, "segments"),
            tables.campaigns(store, _LATEST, _link_to_all(len(store.campaigns), "campaigns")),
            tables.flows(store, _LATEST, _link_to_all(len(store.flows), "flows")),
            tables.metrics(store),
        ]
        return View(
            account["contact_information"]["organization_name"],
            blocks,
            f"Account {account['id']}, times in UTC" + (f", faults: {faults}" if (faults := sandbox.faults()) else ""),
            tiles=_total_tiles(store),
            live=(
                live.budgets(sandbox.quotas),
                live.breaches(sandbox.judge),
                live.requests(live.requests_after(0, sandbox.requests, sandbox.request_count)),
            ),
            charts=live.charts(sandbox.traffic, sandbox.quotas, store.clock()),
            cursor=sandbox.request_count,
            search="",
        )


def profiles(sandbox: Sandbox, query: Mapping[str, str]) -> View:
    """All profiles, the latest changed first, or those that are searched for (``q``) by a part of what names them."""
    store, wanted, start = sandbox.store, query.get("q", "").strip(), tables.parse_start(query)
    with store.lock:
        if wanted:
            return _profiles_found(store, wanted, start)
        rows = tables.newest(store.profiles, "updated", tables.PAGE_SIZE, start)
        table = tables.profiles(rows, "Latest changed first")
        blocks: list[Block] = [table, tables.pager("/profiles", start, len(store.profiles))]
        return View("Profiles", blocks, breadcrumbs=[_HOME], search="")


def events(sandbox: Sandbox, query: Mapping[str, str]) -> View:
    """All events, the latest first, or those of a metric whose id the query names (``metric``)."""
    store, metric_id, start = sandbox.store, query.get("metric", ""), tables.parse_start(query)
    with store.lock:
        names = {row["id"]: str(row["name"]) for row in store.metrics.rows_at("name", range(len(store.metrics)))}
        choice = Choice("Metric", "/events", "metric", {"": "All metrics", **names}, metric_id)
        if metric_id:
            found = search.find_rows(store.events, "datetime", lambda row: row["metric_id"] == metric_id, start)
            table = tables.events(
                store,
                found.rows,
                "Events of this metric, latest first",
                empty_text="No event of this metric was found.",
            )
            blocks: list[Block] = [choice, table, found.pager("/events", {"metric": metric_id})]
            return View(names.get(metric_id, "Events"), blocks, breadcrumbs=[_HOME, Link("Events", "/events")])
        rows = tables.newest(store.events, "datetime", tables.PAGE_SIZE, start)
        table = tables.events(store, rows, "Latest first")
        return View("Events", [choice, table, tables.pager("/events", start, len(store.events))], breadcrumbs=[_HOME])


def all_of_kind(sandbox: Sandbox, kind: str) -> View:
    """All lists, segments, metrics, jobs, campaigns or flows (``kind``)."""
    store = sandbox.store
    with store.lock:
        if kind in ("lists", "segments"):
            table = tables.groups(store, kind)
        elif kind == "metrics":
            table = tables.metrics(store)
        elif kind == "jobs":
            # Nobody reads through more, and each job's state is computed from the clock.
            table = tables.import_jobs(store, 500)
        elif kind == "campaigns":
            table = tables.campaigns(store, len(store.campaigns))
        else:
            table = tables.flows(store, len(store.flows))
        return View(kind.capitalize(), [table], breadcrumbs=[_HOME])


def _profiles_found(store: Store, wanted: str, start: int) -> View:
    found = search.find_profiles(store, wanted, start)
    blocks: list[Block] = [tables.profiles(found.rows, "Profiles found", empty_text="Nobody was found.")]
    if not found.is_whole:
        blocks.append(found.pager("/profiles", {"q": wanted}))
    subtitle = f"With “{wanted}” in the name, e-mail address, phone number or external id, or as id."
    return View("Profiles", blocks, subtitle, [_HOME], search=wanted)


def _total_tiles(store: Store) -> list[Tile]:
    kinds = ("profiles", "lists", "segments", "events", "metrics", "campaigns", "flows", "templates", "tags")
    with_page = frozenset(kinds) - {"templates", "tags"}
    return [
        Tile(kind, kind.capitalize(), len(getattr(store, kind)), f"/{kind}" if kind in with_page else "")
        for kind in kinds
    ]


def _latest_members(store: Store) -> Table:
    latest = [
        (member["joined_group_at"], list_id, member["id"])
        for list_id, members in store.list_members.items()
        # The store still holds the members of a list that was deleted.
        if list_id in store.lists
        for member in tables.newest(members, "joined_group_at", _LATEST)
    ]
    rows = [
        (
            tables.profile_link(store, profile_id),
            tables.full_name(store.profiles.get(profile_id)),
            link_to("lists", list_id, store.lists.rows[list_id]["name"]),
            tables.timestamp(joined_at),
        )
        for joined_at, list_id, profile_id in sorted(latest, reverse=True)[:_LATEST]
    ]
    return Table("Latest members of lists", ("Profile", "Name", "List", "Joined"), rows)


def _count_jobs(store: Store) -> int:
    return len(store.jobs) + len(store.suppress_jobs) + len(store.unsuppress_jobs)


def _link_to_all(count: int, kind: str) -> Link | None:
    return Link(f"All {count:,} {kind}", f"/{kind}") if count > _LATEST else None
