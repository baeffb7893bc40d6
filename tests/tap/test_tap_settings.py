"""What the settings make of a run, before anything is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tap_support import KEY

from klaviyo_client.errors import SettingsError
from tap_klaviyo.streams.table import TableStream
from tap_klaviyo.tables import STREAMS
from tap_klaviyo.tap import TapKlaviyo

REACHED = datetime(2026, 5, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def made(bookmark: datetime | None = REACHED, **settings: Any) -> TapKlaviyo:
    """The tap with these settings, and every table at this bookmark."""
    state: dict[str, Any] = {"bookmarks": {}}
    if bookmark:
        columns = {name: tables[0].bookmark for name, tables in STREAMS.items() if tables[0].bookmark}
        for name, column in columns.items():
            state["bookmarks"][name] = {"replication_key": column, "replication_key_value": bookmark.isoformat()}
    return TapKlaviyo(config={"api_key": KEY, **settings}, state=state, parse_env_config=False)


def table(tap: TapKlaviyo, name: str) -> TableStream:
    found = tap.streams[name]
    assert isinstance(found, TableStream)
    return found


def since(name: str, bookmark: datetime | None = REACHED, **settings: Any) -> datetime | None:
    stream = table(made(bookmark, **settings), name)
    return stream.start_in(stream.table.collection)


def test_events_are_read_again_a_week_back() -> None:
    """Klaviyo writes them down late; all tables of theirs, no others, unless the user says so."""
    assert since("events") == REACHED - 7 * DAY
    assert since("event_group_ids") == REACHED - 7 * DAY
    assert since("profiles") == REACHED


def test_members_are_read_again_a_day_back() -> None:
    """All tables of lists and segments: a segment is worked out late, and a merged profile keeps its older time."""
    for name in ("list_profiles", "stg_member_lists", "esp_stg_member_lists", "segment_profiles"):
        assert since(name) == REACHED - DAY
        assert since(name, lookback={"events": 1}) == REACHED - DAY
        assert since(name, lookback={"list_profiles": 0, "segment_profiles": 0}) == REACHED
        assert since(name, start_date="2026-05-20T00:00:00Z") == datetime(2026, 5, 20, tzinfo=UTC)
    for name in ("member_lists", "esp_member_lists"):
        assert since(name) is None
        assert since(name, reread=[]) == REACHED - DAY


def test_the_lookback_is_each_collections_own() -> None:
    """In days, parts of one too; what is not named keeps its default."""
    assert since("profiles", lookback={"profiles": 0.5}) == REACHED - DAY / 2
    assert since("events", lookback={"profiles": 0.5}) == REACHED - 7 * DAY
    assert since("events", lookback={"events": 0}) == REACHED
    assert since("event_group_ids", lookback={"events": 30}) == REACHED - 30 * DAY


def test_no_lookback_leads_before_the_start_date() -> None:
    """Nor off the calendar; without a bookmark the start date itself is where to start."""
    start = "2026-05-18T00:00:00Z"
    assert since("events", start_date=start) == datetime(2026, 5, 18, tzinfo=UTC)
    assert since("events", start_date="2026-01-01") == REACHED - 7 * DAY
    assert since("events", None, start_date=start) == datetime(2026, 5, 18, tzinfo=UTC)
    assert since("events", None) is None
    for days in (800_000, 10**12):
        found = since("events", lookback={"events": days})
        assert found is not None
        assert found.year <= 2


def test_a_start_date_after_the_bookmark_is_where_to_start() -> None:
    """What the user does not want is not read, whatever was reached."""
    assert since("events", start_date="2026-06-01") == datetime(2026, 6, 1, tzinfo=UTC)


def test_no_bookmark_goes_back() -> None:
    """While old rows are read again, the bookmark stays, until the read passes it."""
    events = table(made(), "events")
    state = events.get_context_state(None)
    for reached, expected in (
        (REACHED - 7 * DAY, REACHED),
        (REACHED, REACHED),
        (REACHED + DAY, REACHED + DAY),
        (REACHED + DAY / 2, REACHED + DAY),
    ):
        events.advance_bookmark(reached.isoformat())
        assert datetime.fromisoformat(state["replication_key_value"]) == expected


@pytest.mark.parametrize("text", ["3", "256"])
def test_concurrency_is_an_integer_from_the_environment_too(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Where it arrives as text."""
    monkeypatch.setenv("TAP_KLAVIYO_CONCURRENCY", text)
    monkeypatch.setenv("TAP_KLAVIYO_API_KEY", KEY)
    found = TapKlaviyo(parse_env_config=True).account.concurrency
    assert (type(found), found) == (int, int(text))


def test_lookback_comes_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every setting that is an object."""
    monkeypatch.setenv("TAP_KLAVIYO_LOOKBACK", '{"profiles": 1.5}')
    monkeypatch.setenv("TAP_KLAVIYO_API_KEY", KEY)
    tap = TapKlaviyo(parse_env_config=True)
    lookbacks = [tap.lookback(table(tap, name).table.collection) for name in ("profiles", "events")]
    assert lookbacks == [1.5 * DAY, 7 * DAY]


def test_the_default_concurrency_spends_the_largest_budget() -> None:
    """3,500 requests a minute, when Klaviyo takes a second for each."""
    assert made().account.concurrency >= 3500 / 60


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"concurrency": 0}, "concurrency is wrong: minimum must be 1"),
        ({"concurrency": 1000}, "concurrency is wrong: maximum must be 256"),
        ({"concurrency": 2.5}, "concurrency is wrong: type must be integer"),
        ({"concurrency": "many"}, "concurrency is wrong: type must be integer"),
        ({"lookback": 7}, "lookback is wrong: type must be object"),
        ({"lookback": {"events": -1}}, "lookback.events is wrong: minimum must be 0"),
        ({"lookback": {"events": "7 days"}}, "lookback.events is wrong: type must be number"),
        # What has no bookmark, or is read whole in every run, has nothing to look back from.
        ({"lookback": {"metrics": 1}}, "lookback is wrong: additionalProperties must be False"),
    ],
)
def test_wrong_numbers_are_refused(settings: dict[str, Any], said: str) -> None:
    """With what was expected."""
    with pytest.raises(SettingsError, match=said):
        made(**settings)
