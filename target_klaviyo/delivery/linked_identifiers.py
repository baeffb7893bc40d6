"""Linked identifiers: which e-mail address and phone number were sent as one person's in this run."""

from __future__ import annotations

import threading
from collections.abc import Mapping


class LinkedIdentifiers:
    """Remembers which identifiers were sent together. Thread-safe.

    Klaviyo takes an address and a number that come together for one person's: the number of whoever has the address is
    overwritten, or, where it is somebody else's, consent by it is dropped. So they go together only while nothing that
    was sent says that they are two people's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Hashes: a run may name millions. None: sent alone.
        self._partner: dict[int, int | None] = {}

    def try_link(self, identifiers: Mapping[str, str]) -> bool:
        """Whether these identifiers can be sent as one person's; remembers that they are sent so, or each alone."""
        keys = [hash(identifier) for identifier in identifiers.items()]
        if "id" in identifiers or len(keys) < 2:
            self._add_alone(keys)
            return True
        one, other = keys
        with self._lock:
            known = [key for key in keys if key in self._partner]
            if len(known) == len(keys):
                return self._partner[one] == other and self._partner[other] == one
            if any(self._partner[key] is not None for key in known):
                for key in keys:
                    self._partner.setdefault(key, None)
                return False
            self._partner[one], self._partner[other] = other, one
            return True

    def _add_alone(self, keys: list[int]) -> None:
        with self._lock:
            for key in keys:
                self._partner.setdefault(key, None)
