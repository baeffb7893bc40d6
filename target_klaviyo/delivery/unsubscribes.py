"""The people whom this run unsubscribes from a list: each is asked for once until they join it again."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

# A list's id, with Klaviyo's id of a profile or an identifier such as ``email:a@x.org``.
Member = tuple[str, str]


class PendingUnsubscribes:
    """Who is being unsubscribed from a list, and from which channels, until they join one again. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: dict[Member, frozenset[str]] = {}
        self._members_by_name: dict[str, set[Member]] = {}

    def claim(
        self, members: Collection[Member], channels: frozenset[str], names: Collection[Member], *, extend: bool = False
    ) -> frozenset[str]:
        """The channels that they are being unsubscribed from already; where there are none, claim these for a request.

        Args:
            members: one person.
            channels: those to unsubscribe from.
            names: what they are called where they may join again.
            extend: claim also channels that come to those they are being unsubscribed from.
        """
        with self._lock:
            before = frozenset[str]().union(*(self._channels.get(member, ()) for member in members))
            if not before or (extend and not channels <= before):
                for member in members:
                    self._channels[member] = before | channels
                for _, name in names:
                    self._members_by_name.setdefault(name, set()).update(members)
            return before

    def release(self, members: Collection[Member]) -> None:
        """They are not unsubscribed after all: Klaviyo refused it."""
        with self._lock:
            for member in members:
                self._channels.pop(member, None)

    def add_join(self, list_id: str | None, identifiers: Mapping[str, str]) -> None:
        """Somebody joins a list, or subscribes to all: if they are to leave it again, that is asked for again."""
        with self._lock:
            for name, value in identifiers.items() if self._channels else ():
                for member in self._members_by_name.get(f"{name}:{value}", ()):
                    if list_id in (None, member[0]):
                        self._channels.pop(member, None)
