"""Pages become lines in processes of their own, where one core cannot keep up with Klaviyo: bytes in, bytes out.

A lane is a thread here and a process there. The thread takes the next page, hands it over, answers what the process
asks about lookups, and takes the lines. Pages are handed out in the order in which they were taken.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tap_klaviyo.model import SlicePage
from tap_klaviyo.rows.lookup_protocol import Lookups
from tap_klaviyo.rows.values import bookmark_text
from tap_klaviyo.workers.protocol import Broken, Failure, Job, Made, Order, receive, send
from tap_klaviyo.workers.shared_memory import Board


class Lanes:
    """Shapes pages in processes, in order.

    Args:
        order: what the processes must know.
        knowledge: answers their questions. What pages say of lookups is told to it in the order of the pages.
        count: how many processes.
    """

    def __init__(self, order: Order, knowledge: Lookups, count: int) -> None:
        self._order = order
        self._knowledge = knowledge
        self._count = count
        self._board: Board | None = None
        self._changed = threading.Condition()
        self._taking = threading.Lock()
        self._asking = threading.Lock()
        self._taken = self._told = self._given = 0
        self._results: dict[int, tuple[SlicePage, Made] | BaseException | None] = {}
        self._exhausted = self._stopped = False

    def shape(self, pages: Iterator[SlicePage]) -> Iterator[tuple[SlicePage, Made]]:
        """Every page with what was made of it. Lines may change when the next page is asked for.

        Raises:
            Broken: a process ended before its work.
        """
        # For the page that is written, and those that ``_take`` lets be ahead of it.
        self._board = Board.made(2 * self._count + 1)
        processes = [_start(self._board) for _ in range(self._count)]
        for process in processes:
            threading.Thread(target=self._lane, args=(process, pages), daemon=True).start()
        try:
            while (result := self._next()) is not None:
                if isinstance(result, BaseException):
                    raise result
                taken, made = result
                yield taken, self._with_lines(made)
                self._give_back(made.slot)
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            for process in processes:
                process.kill()
                process.wait()
            if self._board is not None:
                self._board.close()

    def _with_lines(self, made: Made) -> Made:
        return replace(made, lines=self._board.read(made.placed)) if self._board and made.placed else made

    def _give_back(self, slot: int | None) -> None:
        if self._board is not None and slot is not None:
            with self._changed:
                self._board.give_back(slot)

    def _next(self) -> tuple[SlicePage, Made] | BaseException | None:
        with self._changed:
            while self._given not in self._results:
                self._changed.wait()
            result = self._results.pop(self._given)
            self._given += 1
            self._changed.notify_all()
            return result

    def _lane(self, process: subprocess.Popen[bytes], pages: Iterator[SlicePage]) -> None:
        try:
            with contextlib.suppress(OSError):
                send(process.stdin, self._order.by_names())
            while (place := self._take(pages)) is not None:
                self._give(place[0], self._result(process, *place))
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()

    def _result(
        self, process: subprocess.Popen[bytes], at: int, taken: SlicePage
    ) -> tuple[SlicePage, Made] | BaseException:
        try:
            return taken, self._hand_over(process, at, taken)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            return self._broken(type(error).__name__)
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            return error

    def _broken(self, reason: str) -> Broken:
        name = self._order.collection.name
        return Broken(f"a process that shapes pages of {name} ended before its work ({reason})")

    def _take(self, pages: Iterator[SlicePage]) -> tuple[int, SlicePage] | None:
        """The next page and its place; not more than a few ahead of what was handed out."""
        with self._taking:
            with self._changed:
                while self._taken >= self._given + 2 * self._count and not self._stopped:
                    self._changed.wait()
                if self._stopped or self._exhausted:
                    return None
            at, self._taken = self._taken, self._taken + 1
            try:
                return at, next(pages)
            except StopIteration:
                self._give(at, None)
            except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
                self._give(at, error)
            self._exhausted = True
            return None

    def _give(self, at: int, result: tuple[SlicePage, Made] | BaseException | None) -> None:
        with self._changed:
            self._results[at] = result
            self._changed.notify_all()

    def _hand_over(self, process: subprocess.Popen[bytes], at: int, taken: SlicePage) -> Made:
        cut = None if taken.cut is None else bookmark_text(taken.cut)
        with self._changed:
            slot = self._board.take() if self._board else None
        send(process.stdin, Job(taken.page.compressed, taken.slice, cut, slot))
        while True:
            answer = receive(process.stdout)
            if isinstance(answer, Made):
                return answer
            if isinstance(answer, Failure):
                raise self._broken(answer.reason)
            self._hear(at, answer.seen)
            if answer.lookup is not None:
                with self._asking:
                    values = self._knowledge.get(answer.lookup, answer.wanted or {})
                send(process.stdin, values)

    def _hear(self, at: int, seen: Mapping[str, Mapping[str, Any]]) -> None:
        """Pass on what a page says, when all pages before it were heard."""
        with self._changed:
            while self._told < at and not self._stopped:
                self._changed.wait()
        if self._told > at:
            return  # this page was heard before
        with self._asking:
            for lookup, values in seen.items():
                self._knowledge.add(lookup, values)
        with self._changed:
            self._told = at + 1
            self._changed.notify_all()


def _start(board: Board | None) -> subprocess.Popen[bytes]:
    descriptors = [] if board is None else [board.descriptor]
    command = [sys.executable, "-m", "tap_klaviyo.workers.worker", *map(str, descriptors)]
    return subprocess.Popen(  # noqa: S603 - ourselves
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=descriptors
    )
