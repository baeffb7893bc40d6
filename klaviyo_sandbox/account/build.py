"""The seeded account: the same seed and numbers of rows give the same account, byte for byte.

What is written to it later bears the real time.
"""

from __future__ import annotations

from collections.abc import Callable

from klaviyo_sandbox.account.resources.families import fill_resources
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.account import fill_common, rng_factory
from klaviyo_sandbox.account.seeded.attributions import WINDOWS, parse_windows
from klaviyo_sandbox.account.seeded.consents import with_consents, with_tracking
from klaviyo_sandbox.account.seeded.events import events
from klaviyo_sandbox.account.seeded.histories import Person, address, history_of, moment, with_history
from klaviyo_sandbox.account.seeded.profiles import PHONES, phone_number, profiles
from klaviyo_sandbox.account.seeded.times import END, START
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime


def build(
    seed: int, profile_count: int, event_count: int, clock: Callable[[], float], attribution: str = WINDOWS
) -> Store:
    """Make the account that belongs to a seed. Without profiles it has no events.

    ``attribution`` says how long what happens is attributed to messages, as ``attributions.parse_windows`` reads it.
    """
    store, rng_for = Store(clock), rng_factory(seed)
    rows = profiles(rng_for("profiles"), profile_count, START, END)
    mailings = fill_common(store, rng_for, rows)
    last_seen: dict[str, str] = {}
    if rows:
        metric_rows = list(store.metrics.rows.values())
        windows = parse_windows(attribution)
        generated = events(rng_for, event_count, rows, metric_rows, mailings, END, windows)
        store.events = Table(generated.rows)
        store.attributions = generated.attributions
        last_seen = generated.last_seen
    rng, tracking_rng, list_ids = rng_for("consents"), rng_for("tracking"), list(store.lists.rows)
    for number, row in enumerate(rows):
        row = with_tracking(tracking_rng, with_consents(rng, row, list_ids, END), END)
        phone = phone_number(number) if number < PHONES else None
        person = Person(row, row["email"] or address(number), phone, list_ids, END)
        store.put_profile({**with_history(person, number), "last_event_date": last_seen.get(row["id"])})
        _join_or_leave(store, row, number)
    fill_resources(store, rng_for, START, END)
    return store


def _join_or_leave(store: Store, row: Row, number: int) -> None:
    """Put the profile with this number on the first list, or take it off, where its history says so."""
    history, members = history_of(number), next(iter(store.list_members.values()))
    if history is None or history.is_member is None:
        return
    if not history.is_member:
        members.drop(row["id"])
    elif row["id"] not in members:
        members.put({"id": row["id"], "joined_group_at": format_datetime(moment(row, 1, END))})
