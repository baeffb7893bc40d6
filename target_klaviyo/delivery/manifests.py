"""The sizes of audiences, as the control stream ``audience_manifest`` says them."""

from __future__ import annotations

import threading


class AudienceSizes:
    """How many people the audience of each list has, as far as the control stream said. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def add(self, list_name: str, count: int) -> None:
        """The audience of a list, by name or id, has so many people."""
        with self._lock:
            self._counts[list_name.strip()] = count

    def get(self, *names: str) -> int | None:
        """The size that was said of a list under one of these names; None when nothing was."""
        with self._lock:
            return next((self._counts[name] for name in names if name in self._counts), None)
