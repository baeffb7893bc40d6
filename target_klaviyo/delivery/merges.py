"""Merges of a run: how many there were, and who is whom by now."""

from __future__ import annotations

import threading

from klaviyo_client.errors import CapExceeded


class Merges:
    """The merges of a run. Threads may share it while they hold ``one_batch_at_a_time``."""

    def __init__(self) -> None:
        self.one_batch_at_a_time = threading.Lock()
        self._count = 0
        self._into: dict[str, str] = {}

    def count(self, limit: int) -> None:
        """Count one that is about to be made.

        Raises:
            CapExceeded: it is one too many.
        """
        if self._count >= limit:
            raise CapExceeded(
                f"merge_profiles: {limit:,} profiles were merged, the most that max_merges allows; check the people "
                "with dry_run, then raise it"
            )
        self._count += 1

    def note(self, source: str, into: str) -> None:
        """Note that a profile was merged into another, by their ids."""
        self._into[source] = into

    def is_gone(self, profile_id: str) -> bool:
        """Whether a profile was merged into another by this run. Look-ups may find it for a while."""
        return profile_id in self._into

    def current_id(self, profile_id: str) -> str:
        """The profile that one is by now."""
        while profile_id in self._into:
            profile_id = self._into[profile_id]
        return profile_id
