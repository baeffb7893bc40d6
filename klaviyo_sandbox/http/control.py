"""Changing an account while a client runs: its settings, its clock, what is deleted, events that come late or early.

The same things are asked for in Python (``RunningSandbox.control``) and over HTTP (``control_app.py``).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jsonschema_rs import Draft202012Validator

from klaviyo_sandbox.account.changes import add_event
from klaviyo_sandbox.account.relations import find_row, table_of
from klaviyo_sandbox.account.store import JOB_ENDS, POINTERS, REPEATS
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.http import faults
from klaviyo_sandbox.http.app import Sandbox, parse_scopes
from klaviyo_sandbox.http.clock import SPEEDS, Clock
from klaviyo_sandbox.http.quotas import Quotas
from klaviyo_sandbox.writes.event_rules import moment_fault

# Path -> JSON:API type of what can be deleted; profiles are deleted through the API.
DELETABLE = {
    "campaigns": "campaign",
    "flows": "flow",
    "lists": "list",
    "segments": "segment",
    "tags": "tag",
    "templates": "template",
}
_CENTURY = 36_525 * 86_400.0
# Dates end with the year 9999, and jobs end and windows close later than now.
_END = datetime(9000, 1, 1, tzinfo=UTC)
MOST_EVENTS = 10_000
SETTINGS: Mapping[str, Any] = {
    "faults": {"type": "string"},
    "latency": {"type": "number", "minimum": 0, "maximum": 3600},
    "limits": {"type": "boolean"},
    "scopes": {"type": ["string", "null"]},
    "job_seconds": {"type": "number", "minimum": 0, "maximum": _CENTURY},
    "job_end": {"enum": list(JOB_ENDS)},
    "repeats": {"enum": list(REPEATS)},
    "pointers": {"enum": list(POINTERS)},
    "speed": {"type": "number", "minimum": SPEEDS[0], "maximum": SPEEDS[1]},
}
CLOCK: Mapping[str, Any] = {
    "seconds": {"type": "number", "minimum": 0, "maximum": _CENTURY},
    "time": {"type": "string"},
}
EVENTS: Mapping[str, Any] = {
    "seconds": {"type": "number", "minimum": -_CENTURY, "maximum": _CENTURY},
    "time": {"type": "string"},
    "count": {"type": "integer", "minimum": 1, "maximum": MOST_EVENTS},
    "profile_id": {"type": "string"},
    "metric_id": {"type": "string"},
    "properties": {"type": "object"},
}
TOKENS: Mapping[str, Any] = {"end": {"enum": ["access", "all"]}}


class Wrong(ValueError):
    """What was asked cannot be done, and nothing was changed; the message names the field and what it may be."""


class Gone(LookupError):
    """There is nothing of that kind and id."""


@dataclass(frozen=True)
class Life:
    """An account from when it was made, or made anew, until the next time.

    Attributes:
        sandbox: the account.
        faulty: stands before it.
        clock: its time.
        quotas: its limits, for when they hold.
        seed: of what is drawn.
    """

    sandbox: Sandbox
    faulty: faults.Faulty
    clock: Clock
    quotas: Quotas
    seed: int


class Control:
    """What changes a running sandbox.

    Args:
        begin: makes the account; it is given the one that it takes the place of, None at first.
    """

    def __init__(self, begin: Callable[[Life | None], Life]) -> None:
        self._begin = begin
        self._live(begin(None))

    def _live(self, life: Life) -> None:
        self.life = life
        self._rng = random.Random(f"{life.seed} control")

    @property
    def _sandbox(self) -> Sandbox:
        return self.life.sandbox

    @property
    def _clock(self) -> Clock:
        return self.life.clock

    def reset(self) -> None:
        """Make the account anew, as it was when it was first served.

        Its rows, time and settings are those of the beginning, no request was asked, no budget is spent, no access
        token is known; what was kept of it on disk is gone. Requests that are still being answered belong to the
        account that was, and change nothing in the new one.
        """
        self._live(self._begin(self.life))

    @property
    def settings(self) -> dict[str, Any]:
        """All that ``change`` takes, as it is now."""
        store, scopes = self._sandbox.store, self._sandbox.access.scopes
        return {
            "faults": self.life.faulty.faults.text,
            "latency": self._sandbox.latency,
            "limits": self._sandbox.quotas is not None,
            "scopes": None if scopes is None else " ".join(sorted(scopes)),
            "job_seconds": store.job_seconds,
            "job_end": store.job_end,
            "repeats": store.repeats,
            "pointers": store.pointers,
            "speed": self._clock.speed,
        }

    def change(self, **settings: Any) -> dict[str, Any]:
        """Change settings; those that are left out stay. New faults throw their dice from the seed on.

        Returns:
            All settings.

        Raises:
            Wrong: one of them cannot be; none was changed.
        """
        checked(settings, SETTINGS)
        sandbox, store = self._sandbox, self._sandbox.store
        try:
            wanted = faults.parse(settings["faults"]) if "faults" in settings else None
            granted = settings.get("scopes")
            scopes = None if granted is None else parse_scopes(granted)
        except ValueError as error:
            raise Wrong(str(error)) from error
        if wanted is not None:
            self.life.faulty.change(wanted)
        if "scopes" in settings:
            sandbox.access = replace(sandbox.access, scopes=scopes)
        if "limits" in settings:
            sandbox.quotas = self.life.quotas if settings["limits"] else None
        sandbox.latency = settings.get("latency", sandbox.latency)
        if "speed" in settings:
            self._clock.hasten(settings["speed"])
        with store.lock:
            for name in ("job_seconds", "job_end", "repeats", "pointers"):
                setattr(store, name, settings.get(name, getattr(store, name)))
        return self.settings

    def end_tokens(self, end: str = "access") -> None:
        """End the "access" tokens of the OAuth app, as if their time had come, or "all", as if it was uninstalled.

        Raises:
            Wrong: the account has no OAuth app, or another word was given.
        """
        checked({"end": end}, TOKENS)
        tokens = self._sandbox.tokens
        if tokens is None:
            raise Wrong("the account has no OAuth app")
        if end == "all":
            tokens.revoke()
        else:
            tokens.expire()

    @property
    def now(self) -> datetime:
        """The account's time."""
        return datetime.fromtimestamp(self._clock(), UTC)

    def advance(self, *, seconds: float | None = None, time: str | None = None) -> datetime:
        """Let so much time pass, or all until a moment (RFC 3339): jobs end, budgets come back.

        Returns:
            The account's time.

        Raises:
            Wrong: the moment is past, too far ahead, or no moment.
        """
        checked(_given(seconds=seconds, time=time), CLOCK)
        field, when = self._moment(seconds, time)
        if when >= _END:
            raise Wrong(f"{field}: must be before the year {_END.year}")
        passing = (when - self.now).total_seconds()
        if passing < -1:
            raise Wrong("time: must not be past, for a clock does not go back")
        self._clock.advance(max(0.0, passing))
        return self.now

    def delete(self, kind: str, row_id: str) -> None:
        """Delete a resource, with what belongs to it; others may go on to name it, as in a real account.

        Args:
            kind: one of ``DELETABLE``.
            row_id: its id.

        Raises:
            Wrong: such resources cannot be deleted.
            Gone: there is none of that id.
        """
        if kind not in DELETABLE:
            raise Wrong(f"only {', '.join(DELETABLE)} can be deleted")
        store = self._sandbox.store
        with store.lock:
            if find_row(store, DELETABLE[kind], row_id) is None:
                raise Gone(f"there is no {DELETABLE[kind]} {row_id}")
            table_of(store, DELETABLE[kind]).drop(row_id)
            store.save()

    def add_events(
        self,
        count: int = 1,
        *,
        seconds: float | None = None,
        time: str | None = None,
        profile_id: str | None = None,
        metric_id: str | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Record events of one moment: long past ones come late, those to come are dated in the future.

        Args:
            count: how many.
            seconds: when, counted from now; negative is past.
            time: when (RFC 3339), in place of ``seconds``.
            profile_id: whose they are; by default anybody's, drawn for each.
            metric_id: what they are of; by default anything, drawn for each.
            properties: their properties.

        Returns:
            Their ids.

        Raises:
            Wrong: an argument cannot be, Klaviyo takes no events of that time, or the account has no profiles.
            Gone: there is no such profile or metric.
        """
        given = _given(seconds=seconds, time=time, profile_id=profile_id, metric_id=metric_id, properties=properties)
        checked({"count": count, **given}, EVENTS)
        field, when = self._moment(seconds, time)
        if detail := moment_fault(when, self.now):
            raise Wrong(f"{field}: {detail}")
        store = self._sandbox.store
        with store.lock:
            whose = _drawn(store.profiles, "profile", profile_id, self._rng)
            what = _drawn(store.metrics, "metric", metric_id, self._rng)
            # A schema takes 3.0 for an integer.
            made = [add_event(store, self._rng, whose(), what(), when, properties)["id"] for _ in range(int(count))]
            store.save()
        return made

    def _moment(self, seconds: float | None, time: str | None) -> tuple[str, datetime]:
        """The field that was given, and the moment that it means."""
        if (seconds is None) == (time is None):
            raise Wrong("either seconds or time must be given")
        try:
            if time is None:
                return "seconds", self.now + timedelta(seconds=seconds or 0.0)
            found = datetime.fromisoformat(time)
            return "time", (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise Wrong("time: must be a moment such as 2026-01-31T00:00:00Z") from error


def checked(given: Mapping[str, Any], fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was given, when it is what ``fields``, the schemas by name, allow.

    Raises:
        Wrong: it names the field and what it may be.
    """
    schema = {"type": "object", "properties": fields, "additionalProperties": False}
    for error in Draft202012Validator(schema).iter_errors(given):
        place = ".".join(map(str, error.instance_path))
        known = "" if place else f" (known: {', '.join(fields)})"
        raise Wrong(f"{place + ': ' if place else ''}{error.message}{known}")
    return given


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _drawn(rows: Table, kind: str, row_id: str | None, rng: random.Random) -> Callable[[], str]:
    """Gives an id: the one that was asked for, or any."""
    if row_id is not None:
        if row_id not in rows:
            raise Gone(f"there is no {kind} {row_id}")
        return lambda: row_id
    keys = rows.sorted_keys("id")
    if not keys:
        raise Wrong(f"the account has no {kind}")
    return lambda: keys[rng.randrange(len(keys))][1]
