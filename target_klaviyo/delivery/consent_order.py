"""The order of consent: what the records of a run say of one person's channel, and which of it counts."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from enum import Enum

# Whose consent to what, on which list or on all (None): an identifier, a channel, a list.
Subject = tuple[str, str, Hashable]


class Verdict(Enum):
    """Whether a record's word counts beside what was said before in this run."""

    COUNTS = "it counts"
    IS_OLDER = "a later record decides"
    IS_UNCLEAR = "the order of the two is unknown"


class ConsentOrder:
    """Remembers who withdrew consent in this run, and who gave it, with the times of both. Thread-safe.

    A table has no order. So consent that is withdrawn counts, whenever its record comes, unless the times of both show
    that it was given again later.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Hashes: a run may name millions. Consent without a time is not kept: nothing is measured by it.
        self._withdrawn: dict[int, float | None] = {}
        self._given: dict[int, float] = {}

    def judge_given(self, subject: Subject, said_at: float | None) -> Verdict:
        """Whether consent that is given counts. ``said_at``: seconds since 1970; None where the record has no time."""
        verdicts = [Verdict.COUNTS]
        with self._lock:
            for key in {hash(subject), hash((*subject[:2], None))}:
                if key in self._withdrawn:
                    withdrawn_at = self._withdrawn[key]
                    if withdrawn_at is None or said_at is None:
                        verdicts.append(Verdict.IS_UNCLEAR)
                    elif said_at <= withdrawn_at:
                        verdicts.append(Verdict.IS_OLDER)
        # What is known to be older needs nobody to look at it.
        return max(verdicts, key=(Verdict.COUNTS, Verdict.IS_UNCLEAR, Verdict.IS_OLDER).index)

    def judge_withdrawn(self, subject: Subject, said_at: float | None) -> Verdict:
        """Whether consent that is withdrawn counts; remembers it if so."""
        key = hash(subject)
        with self._lock:
            given_at = self._given.get(key)
            if given_at is not None and said_at is not None and said_at < given_at:
                return Verdict.IS_OLDER
            before = self._withdrawn.get(key, said_at)
            self._withdrawn[key] = None if before is None or said_at is None else max(before, said_at)
            return Verdict.COUNTS

    def add_given(self, subject: Subject, said_at: float | None) -> None:
        """Remember consent that was given, and that Klaviyo took."""
        if said_at is None:
            return
        key = hash(subject)
        with self._lock:
            self._given[key] = max(self._given.get(key, said_at), said_at)
