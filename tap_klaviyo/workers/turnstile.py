"""Turnstile: lets threads pass one after the other, each when its number is reached."""

from __future__ import annotations

import threading


class Turnstile:
    """Counts what has passed. Threads wait until a number is reached, or until it is closed.

    Attributes:
        passed: how many have passed.
    """

    def __init__(self) -> None:
        self.passed = 0
        self._is_open = True
        self._changed = threading.Condition()

    def wait_for(self, number: int) -> bool:
        """Wait until so many have passed; False when it is closed."""
        with self._changed:
            while self._is_open and self.passed < number:
                self._changed.wait()
            return self._is_open

    def advance(self) -> None:
        """Let one more have passed."""
        with self._changed:
            self.passed += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
