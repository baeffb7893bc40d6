"""Decides when a stream reads the past before its bookmark again, by what its STATE says of the last time. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tap_klaviyo.rows.values import bookmark_text

# In a stream's STATE: an object that says when the last run began that read the past to its end, how many seconds of
# it, and when the last run of all began that was read to its end. Whole seconds: loaders of the SDK read a number with
# a point as a decimal, which they cannot write into their STATE.
LOOKED_BACK = "looked_back"
AT, SECONDS, LAST_RUN = "at", "seconds", "last_run"
_DAY = timedelta(days=1)
# What every run reads again: an app that hands its orders to Klaviyo once an hour dates them back by so much.
RECENT = timedelta(hours=2)


def is_due(state: Mapping[str, Any], lookback: timedelta, now: datetime) -> bool:
    """Whether a run reads the past again: the one that comes nearest to a day after the last one that did.

    When the next run will be is not known: as long from now, it seems, as the last one was before. So a nightly run
    is due also when it begins an hour early, and of 24 hourly ones just one is.

    Args:
        state: the stream's.
        lookback: how much of the past is read.
        now: when the run began.
    """
    at, last_run, seconds = _time(state, AT), _time(state, LAST_RUN), _entry(state, SECONDS)
    if at is None or at > now or not isinstance(seconds, int) or seconds < int(lookback.total_seconds()):
        return True
    since_last_run = now - min(max(last_run or now, at), now)
    return now - at >= _DAY - since_last_run / 2


def start(state: Mapping[str, Any], bookmark: datetime, lookback: timedelta, *, looks_back: bool) -> datetime:
    """Where to start; in a run that looks back, what came since the last one that did is found, however late.

    Args:
        state: the stream's.
        bookmark: how far it was read.
        lookback: how much of the past is read.
        looks_back: whether this run reads all of that.
    """
    reached = min(bookmark, _time(state, AT) or bookmark) if looks_back else bookmark
    # A lookback of centuries must not fall off the calendar.
    longest = max(reached - datetime(2, 1, 1, tzinfo=UTC), timedelta())
    return reached - min(lookback if looks_back else min(lookback, RECENT), longest)


def add_run(state: dict[str, Any], lookback: timedelta | None, began: datetime) -> None:
    """Note in a stream's STATE a run that began then and read it to its end.

    Args:
        state: the stream's.
        lookback: how much of the past it read; None where that was not its turn.
        began: when it began.
    """
    when = bookmark_text(began.replace(microsecond=0))
    before = state.get(LOOKED_BACK)
    known = before if lookback is None and isinstance(before, dict) else {}
    state[LOOKED_BACK] = {
        **known,
        **({} if lookback is None else {AT: when, SECONDS: int(lookback.total_seconds())}),
        LAST_RUN: when,
    }


def forget(state: dict[str, Any]) -> None:
    """Let the next run look back."""
    state.pop(LOOKED_BACK, None)


def _entry(state: Mapping[str, Any], name: str) -> Any:
    said = state.get(LOOKED_BACK)
    return said.get(name) if isinstance(said, dict) else None


def _time(state: Mapping[str, Any], name: str) -> datetime | None:
    """A time of the object; None where the STATE does not say it, or nothing that can be read."""
    try:
        moment = datetime.fromisoformat(_entry(state, name))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
