"""Runs the target on a feed, in this process: first without sending anything, then in earnest."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, cast

from klaviyo_audience.feed import Feed
from target_klaviyo.target import TargetKlaviyo


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that the target would refuse, before a long file is read.

    Raises:
        SettingsError: one is missing or wrong.
    """
    with _signals_restored():
        _make_target({**settings, "dry_run": True})


def show_plan(feed: Feed, settings: Mapping[str, Any], command: str) -> None:
    """Let the target say what a push would do, and by which command. Nothing is sent.

    Raises:
        KlaviyoError: the push would fail, or Klaviyo cannot be asked.
    """
    _run(feed, {**settings, "dry_run": True}, command)


def push(feed: Feed, settings: Mapping[str, Any]) -> None:
    """Push the feed.

    Raises:
        KlaviyoError: it failed, or not all could be done.
    """
    _run(feed, {**settings, "dry_run": False})


def _run(feed: Feed, settings: Mapping[str, Any], command: str | None = None) -> None:
    with _signals_restored(), feed.lines() as lines:
        _make_target(settings, command).listen(cast("IO[str]", lines))


def _make_target(settings: Mapping[str, Any], command: str | None = None) -> TargetKlaviyo:
    # The environment is among the settings already: read once more, it would go before what was asked for here.
    return TargetKlaviyo(push_command=command, config=dict(settings), parse_env_config=False, validate_config=True)


@contextmanager
def _signals_restored() -> Iterator[None]:
    """Afterwards a signal ends the process as before: the target's handlers are for its own run."""
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
