"""Changes an account while a client runs: its settings, its clock, what is deleted, events that come late or early.

In Python it is ``RunningSandbox.control``, over HTTP it is what ``control_app.py`` passes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.changes import add_event, suppress_profile
from klaviyo_sandbox.account.relations import find_row, table_of
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.http.access import parse_scopes
from klaviyo_sandbox.http.app import Sandbox
from klaviyo_sandbox.http.clock import Clock
from klaviyo_sandbox.http.control_fields import (
    CLOCK,
    CONFIRMATION,
    DELETABLE,
    EVENTS,
    SETTINGS,
    SUPPRESSION,
    TOKENS,
    InvalidChange,
    NotThere,
    check_fields,
)
from klaviyo_sandbox.http.fault_settings import parse_faults
from klaviyo_sandbox.http.served_account import ServedAccount
from klaviyo_sandbox.manners.judge import Breach
from klaviyo_sandbox.writes import consents
from klaviyo_sandbox.writes.event_rules import time_error

# Dates end with the year 9999, and jobs end and windows close later than now.
_END = datetime(9000, 1, 1, tzinfo=UTC)


class Control:
    """Changes a running sandbox.

    Args:
        make_account: makes the account; its argument is the account that the new one replaces, None at first.

    Attributes:
        current: the account that is served.
    """

    def __init__(self, make_account: Callable[[ServedAccount | None], ServedAccount]) -> None:
        self._make_account = make_account
        self._set_current(make_account(None))

    def _set_current(self, account: ServedAccount) -> None:
        self.current = account
        self._rng = random.Random(f"{account.seed} control")

    @property
    def _sandbox(self) -> Sandbox:
        return self.current.sandbox

    @property
    def _clock(self) -> Clock:
        return self.current.clock

    def reset(self) -> None:
        """Make the account anew, as it was when it was first served.

        Its rows, time and settings are those of the beginning, no request was made, no budget is spent, no access
        token is known; what was kept of it on disk is gone. Requests that are still being answered belong to the
        old account, and change nothing in the new one.
        """
        self._set_current(self._make_account(self.current))

    def breaches(self) -> list[Breach]:
        """What clients asked against good manners, oldest first; the first 1,000."""
        return self._sandbox.judge.breaches()

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that ``change`` takes, with their present values."""
        store, scopes = self._sandbox.store, self._sandbox.access.scopes
        return {
            "faults": self.current.fault_middleware.text,
            "latency": self._sandbox.latency,
            "limits": self._sandbox.quotas is not None,
            "scopes": None if scopes is None else " ".join(sorted(scopes)),
            "job_seconds": store.job_seconds,
            "job_end": store.job_end,
            "repeats": store.repeats,
            "pointers": store.pointers,
            "append": store.append,
            "quiet_suppressions": store.quiet_suppressions,
            "other_revisions": self._sandbox.access.other_revisions,
            "conversions": store.conversions,
            "speed": self._clock.speed,
        }

    def change(self, **settings: Any) -> dict[str, Any]:
        """Change settings; those that are left out stay. New faults are drawn from the beginning of the seed.

        Returns:
            All settings.

        Raises:
            InvalidChange: a setting cannot have this value; none was changed.
        """
        check_fields(settings, SETTINGS)
        sandbox, store = self._sandbox, self._sandbox.store
        try:
            faults = parse_faults(settings["faults"]) if "faults" in settings else None
            scopes_text = settings.get("scopes")
            scopes = None if scopes_text is None else parse_scopes(scopes_text)
        except ValueError as error:
            raise InvalidChange(str(error)) from error
        if faults is not None:
            self.current.fault_middleware.change(faults)
            self.current.quotas.other_app = faults.other_app
        if "scopes" in settings:
            sandbox.access = replace(sandbox.access, scopes=scopes)
        if "other_revisions" in settings:
            sandbox.access = replace(sandbox.access, other_revisions=settings["other_revisions"])
        if "limits" in settings:
            sandbox.quotas = self.current.quotas if settings["limits"] else None
        sandbox.latency = settings.get("latency", sandbox.latency)
        if "speed" in settings:
            self._clock.set_speed(settings["speed"])
        with store.lock:
            choices = ("repeats", "pointers", "append", "conversions", "quiet_suppressions")
            for name in ("job_seconds", "job_end", *choices):
                setattr(store, name, settings.get(name, getattr(store, name)))
        return self.settings

    def end_tokens(self, end: str = "access") -> None:
        """End the "access" tokens of the OAuth app, as if they had expired, or "all", as if it was uninstalled.

        Raises:
            InvalidChange: the account has no OAuth app, or ``end`` is another word.
        """
        check_fields({"end": end}, TOKENS)
        tokens = self._sandbox.tokens
        if tokens is None:
            raise InvalidChange("the account has no OAuth app")
        if end == "all":
            tokens.revoke()
        else:
            tokens.expire()

    @property
    def now(self) -> datetime:
        """The account's time."""
        return datetime.fromtimestamp(self._clock(), UTC)

    def advance(self, *, seconds: float | None = None, time: str | None = None) -> datetime:
        """Let so many seconds pass, or all until a time (RFC 3339): jobs end, budgets come back.

        Returns:
            The account's time.

        Raises:
            InvalidChange: the time is past, too far ahead, or cannot be read.
        """
        check_fields(_without_none(seconds=seconds, time=time), CLOCK)
        field, when = self._parse_time(seconds, time)
        if when >= _END:
            raise InvalidChange(f"{field}: must be before the year {_END.year}")
        passing = (when - self.now).total_seconds()
        if passing < -1:
            raise InvalidChange("time: must not be past, for a clock does not go back")
        self._clock.advance(max(0.0, passing))
        return self.now

    def delete(self, kind: str, row_id: str) -> None:
        """Delete a resource, with what belongs to it; others may go on to name it, as in a real account.

        Args:
            kind: one of ``DELETABLE``.
            row_id: its id.

        Raises:
            InvalidChange: resources of this kind cannot be deleted.
            NotThere: the account has none with that id.
        """
        if kind not in DELETABLE:
            raise InvalidChange(f"only {', '.join(DELETABLE)} can be deleted")
        store = self._sandbox.store
        with store.lock:
            tables = [table_of(store, name) for name in DELETABLE[kind] if find_row(store, name, row_id) is not None]
            if not tables:
                raise NotThere(f"there is no {DELETABLE[kind][0]} {row_id}")
            tables[0].drop(row_id)
            store.save()

    def suppress(self, profile_id: str, reason: str) -> None:
        """Suppress e-mail to a profile, as a bounce or a complaint does.

        Raises:
            InvalidChange: there is no such reason.
            NotThere: there is no such profile.
        """
        check_fields({"profile_id": profile_id, "reason": reason}, SUPPRESSION)
        store = self._sandbox.store
        with store.lock:
            if profile_id not in store.profiles:
                raise NotThere(f"there is no profile {profile_id}")
            suppress_profile(store, profile_id, reason)
            store.save()

    def confirm(self, email: str, list_id: str | None = None) -> None:
        """Confirm the double opt-in of an address, to one list or to all that wait for it, as by the link in a message.

        Raises:
            InvalidChange: an argument is no text.
            NotThere: no consent of this address waits for its confirmation there.
        """
        check_fields(_without_none(email=email, list_id=list_id), CONFIRMATION)
        store = self._sandbox.store
        with store.lock:
            waiting = consents.waiting(store, email, list_id)
            if not waiting:
                raise NotThere("no consent of this address waits for its confirmation there")
            for pending in waiting:
                consents.confirm(store, pending)
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
        """Record events of one time: long past ones come late, those to come are dated in the future.

        Args:
            count: how many.
            seconds: when, counted from now; negative is past.
            time: when (RFC 3339), in place of ``seconds``.
            profile_id: the profile of all; by default one is drawn at random for each event.
            metric_id: the metric of all; by default one is drawn at random for each event.
            properties: the properties of each.

        Returns:
            Their ids.

        Raises:
            InvalidChange: an argument cannot be, Klaviyo takes no events of that time, or the account has no profiles.
            NotThere: there is no such profile or metric.
        """
        fields = _without_none(
            seconds=seconds, time=time, profile_id=profile_id, metric_id=metric_id, properties=properties
        )
        check_fields({"count": count, **fields}, EVENTS)
        field, when = self._parse_time(seconds, time)
        if detail := time_error(when, self.now):
            raise InvalidChange(f"{field}: {detail}")
        store = self._sandbox.store
        with store.lock:
            choose_profile = _id_chooser(store.profiles, "profile", profile_id, self._rng)
            choose_metric = _id_chooser(store.metrics, "metric", metric_id, self._rng)
            event_ids = [
                add_event(store, self._rng, choose_profile(), choose_metric(), when, properties)["id"]
                # A schema takes 3.0 for an integer.
                for _ in range(int(count))
            ]
            store.save()
        return event_ids

    def _parse_time(self, seconds: float | None, time: str | None) -> tuple[str, datetime]:
        """The name of the field that was given, and the time that it stands for."""
        if (seconds is None) == (time is None):
            raise InvalidChange("either seconds or time must be given")
        try:
            if time is None:
                return "seconds", self.now + timedelta(seconds=seconds or 0.0)
            when = datetime.fromisoformat(time)
            return "time", (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise InvalidChange("time: must be a moment such as 2026-01-31T00:00:00Z") from error


def _without_none(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _id_chooser(table: Table, kind: str, row_id: str | None, rng: random.Random) -> Callable[[], str]:
    """A function that gives an id of the table: always ``row_id``, or, when that is None, a random one each time."""
    if row_id is not None:
        if row_id not in table:
            raise NotThere(f"there is no {kind} {row_id}")
        return lambda: row_id
    keys = table.sorted_keys("id")
    if not keys:
        raise InvalidChange(f"the account has no {kind}")
    return lambda: keys[rng.randrange(len(keys))][1]
