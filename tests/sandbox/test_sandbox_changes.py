"""An account that changes while it is read."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from klaviyo_sandbox.account import changes


def test_a_touched_profile_moves_under_the_cursor(writing, call):
    """One of the first page comes once more, at the end of the order by `updated`."""
    pages = call.pages("profiles", sort="updated", page__size=20)
    first = next(pages)["data"]
    with writing.store.lock:
        changes.touch_profile(writing.store, first[0]["id"], first_name="Later")
    rest = [row for page in pages for row in page["data"]]
    assert rest[-1]["id"] == first[0]["id"]
    assert rest[-1]["attributes"]["first_name"] == "Later"
    assert rest[-1]["attributes"]["updated"] > first[0]["attributes"]["updated"]


def test_events_come_late_and_from_the_future(writing, call):
    """Where their time belongs in the order, and with what they say."""
    store, now = writing.store, datetime.now(UTC)
    profile, metric = next(iter(store.profiles.rows)), next(iter(store.metrics.rows))
    with store.lock:
        late, ahead = (
            changes.add_event(store, random.Random(days), profile, metric, now + timedelta(days=days), {"x": days})
            for days in (-900, 30)
        )
    rows = call.rows("events", sort="datetime")
    assert (rows[0]["attributes"]["uuid"], rows[-1]["attributes"]["uuid"]) == (late["uuid"], ahead["uuid"])
    assert rows[0]["attributes"]["event_properties"] == {"x": -900}
