"""The people whom this run unsubscribes from a list: each is asked for once until they join it again."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

Member = tuple[str, str]


class Leavers:
    """Who is being unsubscribed from a list, and from which channels, until they join one again. Thread-safe.

    Somebody is a list's id with Klaviyo's id of the profile, or with a name such as ``email:a@x.org``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[Member, frozenset[str]] = {}
        self._called: dict[str, set[Member]] = {}

    def claim(
        self, members: Collection[Member], channels: frozenset[str], names: Collection[Member], *, more: bool = False
    ) -> frozenset[str]:
        """The channels that they are leaving by already; where there are none, take note that they leave now.

        Args:
            members: one person.
            channels: those to leave by.
            names: what they are called where they may join again.
            more: take note also of channels that come to those they are leaving by.
        """
        with self._lock:
            before = frozenset[str]().union(*(self._left.get(member, ()) for member in members))
            if not before or (more and not channels <= before):
                for member in members:
                    self._left[member] = before | channels
                for _, name in names:
                    self._called.setdefault(name, set()).update(members)
            return before

    def release(self, members: Collection[Member]) -> None:
        """They do not leave after all: Klaviyo refused it."""
        with self._lock:
            for member in members:
                self._left.pop(member, None)

    def back(self, list_id: str | None, handles: Mapping[str, str]) -> None:
        """Somebody joins a list, or subscribes to all: when they leave it again, that is asked for again."""
        with self._lock:
            for name, value in handles.items() if self._left else ():
                for member in self._called.get(f"{name}:{value}", ()):
                    if list_id in (None, member[0]):
                        self._left.pop(member, None)
