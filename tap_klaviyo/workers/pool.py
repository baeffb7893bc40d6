"""Pool of worker processes that make lines of pages, where one core cannot keep up with Klaviyo.

Each worker process has a thread here. The thread takes the next page, sends it to its process, answers the look-ups
that the process asks for, and receives the lines. Pages are handed out in the order in which they were taken.

Where files are wanted, each process writes the rows into files of its own, and all of them finish theirs when the run
is to announce them. These then hold the rows of every page that was handed out, and of some that were not.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from typing import Any
from weakref import WeakSet

from klaviyo_client.api.pages import RawPage
from tap_klaviyo.files.open_files import FinishedFile
from tap_klaviyo.files.run_files import RunFiles
from tap_klaviyo.model import SlicePage
from tap_klaviyo.rows.lookup_protocol import Lookups
from tap_klaviyo.rows.values import bookmark_text
from tap_klaviyo.workers.protocol import (
    Failure,
    FinishedFiles,
    FinishFiles,
    Job,
    JobResult,
    LookupRequest,
    RowSpec,
    SeenValues,
    WorkerDied,
    receive,
    send,
)
from tap_klaviyo.workers.shared_memory import SharedLines, Span
from tap_klaviyo.workers.turnstile import Turnstile

# A page with its result; None when there are no more pages.
PageResult = tuple[SlicePage, JobResult] | None
_pools: WeakSet[WorkerPool] = WeakSet()


class WorkerPool:
    """Makes lines of pages in processes, and hands them out in order.

    Args:
        spec: what the workers must know to make rows.
        lookups: answers the workers' look-ups. The values that pages themselves have are added in the pages' order.
        count: how many processes.
        files: announces the files of the workers, where these write files.
    """

    def __init__(self, spec: RowSpec, lookups: Lookups, count: int, files: RunFiles | None = None) -> None:
        self._spec = spec
        self._files = files
        self._workers: list[tuple[subprocess.Popen[bytes], threading.Lock]] = []
        self._is_done = threading.Event()
        self._lookups = lookups
        self._lookups_lock = threading.Lock()
        self._count = count
        self._shared_lines: SharedLines | None = None
        self._take_lock = threading.Lock()
        self._taken = 0
        self._is_exhausted = False
        # One for each page that was taken, in order.
        self._results: SimpleQueue[Future[PageResult]] = SimpleQueue()
        self._handed_out, self._seen = Turnstile(), Turnstile()

    def map_pages(self, pages: Iterator[SlicePage]) -> Iterator[tuple[SlicePage, JobResult]]:
        """Give every page with its result. Lines may change when the next page is asked for.

        Raises:
            WorkerDied: a process ended before its work.
        """
        # For the page that is written, and those that ``_take`` lets be ahead of it.
        self._shared_lines = SharedLines.create(2 * self._count + 1)
        _pools.add(self)
        try:
            for _ in range(self._count):
                self._workers.append((_start_worker(self._shared_lines), threading.Lock()))
            for process, talk in self._workers:
                threading.Thread(target=self._serve, args=(process, talk, pages), daemon=True).start()
            with self._files.finishing_also(self._finish_files) if self._files else contextlib.nullcontext():
                try:
                    while (page_result := self._next_result()) is not None:
                        page, result = page_result
                        yield page, self._with_lines(result)
                        self._release(result.slot)
                finally:
                    self._handed_out.close()
                    self._seen.close()
        finally:
            self._is_done.set()
            for process, _ in self._workers:
                process.kill()
                process.wait()
            if self._shared_lines is not None:
                self._shared_lines.close()

    def kill(self) -> None:
        """End the processes, and wait until none of them writes any more. A signal's handler may call it.

        So no lock is waited for: the main thread, which runs the handler, may hold that of ``Popen.wait`` already.
        """
        for process, _ in self._workers:
            process.kill()
        if hasattr(os, "waitid"):
            for process, _ in self._workers:
                with contextlib.suppress(ChildProcessError):
                    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    def _finish_files(self) -> list[FinishedFile]:
        """Have all processes finish their files, each as soon as it has finished the page that it is at.

        Raises:
            WorkerDied: one of them cannot.
        """
        with ThreadPoolExecutor(self._count) as threads:
            return [file for files in threads.map(self._finish_files_of, self._workers) for file in files]

    def _finish_files_of(self, worker: tuple[subprocess.Popen[bytes], threading.Lock]) -> Sequence[FinishedFile]:
        process, talk = worker
        with talk:
            try:
                send(process.stdin, FinishFiles())
                answer: FinishedFiles | Failure = receive(process.stdout)
            except (OSError, ValueError, EOFError, pickle.UnpicklingError) as error:
                raise self._died(type(error).__name__) from error
        if isinstance(answer, Failure):
            raise self._died(answer.reason)
        return answer.files

    def _next_result(self) -> PageResult:
        result = self._results.get().result()
        self._handed_out.advance()
        return result

    def _with_lines(self, result: JobResult) -> JobResult:
        if self._shared_lines is None or not result.spans:
            return result
        return replace(result, lines=self._shared_lines.read(result.spans))

    def _release(self, slot: int | None) -> None:
        if self._shared_lines is not None and slot is not None:
            self._shared_lines.release(slot)

    # A worker's thread ------------------------------------------------------------------------------------------------

    def _serve(self, process: subprocess.Popen[bytes], talk: threading.Lock, pages: Iterator[SlicePage]) -> None:
        try:
            with contextlib.suppress(OSError), talk:
                send(process.stdin, self._spec.to_picklable())
            while self._serve_next(process, talk, pages):
                pass
        finally:
            if self._files is not None:
                # Its files are still to be finished.
                self._is_done.wait()
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()

    def _serve_next(self, process: subprocess.Popen[bytes], talk: threading.Lock, pages: Iterator[SlicePage]) -> bool:
        """Take a page and set its result; False when there is none."""
        taken = self._take(pages)
        if taken is None:
            return False
        index, page, result = taken
        try:
            with talk:
                job_result = self._run_job(process, index, page)
            result.set_result((page, job_result))
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self._fail(result, self._died(type(error).__name__))
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self._fail(result, error)
        return True

    def _fail(self, result: Future[PageResult], error: BaseException) -> None:
        # No page after this one is handed out, and none need wait for what this one would have seen.
        self._seen.close()
        result.set_exception(error)

    def _take(self, pages: Iterator[SlicePage]) -> tuple[int, SlicePage, Future[PageResult]] | None:
        """Take the next page when it is not more than a few ahead of what was handed out; None at the end."""
        with self._take_lock:
            if not self._handed_out.wait_for(self._taken + 1 - 2 * self._count) or self._is_exhausted:
                return None
            index, self._taken = self._taken, self._taken + 1
            result: Future[PageResult] = Future()
            self._results.put(result)
            try:
                return index, next(pages), result
            except StopIteration:
                result.set_result(None)
            except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
                result.set_exception(error)
            self._is_exhausted = True
            return None

    def _run_job(self, process: subprocess.Popen[bytes], index: int, page: SlicePage) -> JobResult:
        cut = None if page.cut is None else bookmark_text(page.cut)
        slot = self._shared_lines.acquire() if self._shared_lines else None
        send(process.stdin, Job(self._document(page.page, slot), page.slice, cut, slot))
        while True:
            message = receive(process.stdout)
            if isinstance(message, JobResult):
                return message
            if isinstance(message, Failure):
                raise self._died(message.reason)
            if isinstance(message, SeenValues):
                self._store_seen(index, message.values)
            if isinstance(message, LookupRequest):
                with self._lookups_lock:
                    values = self._lookups.get(message.lookup, message.wanted)
                send(process.stdin, values)

    def _document(self, page: RawPage, slot: int | None) -> bytes | Span:
        """What a job has of a page: the memory tells more in less time than the pipe, which takes packed ones."""
        span = None
        if self._shared_lines is not None and slot is not None and not page.is_packed:
            span = self._shared_lines.write_document(slot, page.held)
        return page.packed().held if span is None else span

    def _store_seen(self, index: int, seen: Mapping[str, Mapping[str, Any]]) -> None:
        """Add the values that a page has itself, after those of all pages before it. Once for each page."""
        if not self._seen.wait_for(index) or self._seen.passed > index:
            return
        with self._lookups_lock:
            for lookup, values in seen.items():
                self._lookups.add(lookup, values)
        self._seen.advance()

    def _died(self, reason: str) -> WorkerDied:
        name = self._spec.collection.name
        return WorkerDied(f"a worker process for pages of {name} ended early ({reason})")


def kill_workers() -> None:
    """End the processes of every pool, before what they write is cleared away."""
    for pool in list(_pools):
        pool.kill()


def _start_worker(shared_lines: SharedLines | None) -> subprocess.Popen[bytes]:
    descriptors = [] if shared_lines is None else [shared_lines.descriptor]
    command = [sys.executable, "-m", "tap_klaviyo.workers.worker", *map(str, descriptors)]
    return subprocess.Popen(  # noqa: S603 - ourselves
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=descriptors
    )
