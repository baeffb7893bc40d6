"""Waits for import jobs, many at once, with as few questions as for one. Thread-safe."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.command import Incomplete
from klaviyo_client.operations import operation

ONE, MANY = "get_bulk_import_profiles_job", "get_bulk_import_profiles_jobs"
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 15.0
# Klaviyo answers 150 questions a minute: with many jobs under way, one answer about all of them is shared this long.
_FRESH_SECONDS = 0.5
_ENDED = ("complete", "cancelled")

Job = Mapping[str, Any]


class Watch:
    """The import jobs of a run.

    Args:
        client: the account.
        timeout: seconds to wait for one job.
    """

    def __init__(self, client: KlaviyoClient, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._watched: Counter[str] = Counter()
        self._known: dict[str, Job] = {}
        self._known_at = float("-inf")

    def ended(self, job_id: str) -> Job:
        """The job's attributes once it is complete or cancelled.

        Raises:
            Incomplete: it did not end in time.
        """
        with self._lock:
            self._watched[job_id] += 1
        try:
            return self._wait(job_id)
        finally:
            with self._lock:
                self._watched[job_id] -= 1
                self._watched += Counter()

    def _wait(self, job_id: str) -> Job:
        clock = self._client.clock
        deadline = clock.monotonic() + self._timeout
        pause = _FIRST_WAIT
        if self._is_busy:
            clock.sleep(pause)  # nothing can be known yet that is worth a question
        while True:
            job = self._look(job_id)
            if job["status"] in _ENDED:
                return job
            if clock.monotonic() + pause > deadline:
                raise Incomplete(
                    f"import job {job_id} is still {job['status']} after {self._timeout:g} s (job_timeout); "
                    "run again, which repeats nothing that was done"
                )
            clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_WAIT)

    @property
    def _is_busy(self) -> bool:
        return len(self._watched) > 1

    def _look(self, job_id: str) -> Job:
        if self._is_busy:
            with self._asking:
                if self._client.clock.monotonic() >= self._known_at + _FRESH_SECONDS:
                    self._known = self._latest()
                    self._known_at = self._client.clock.monotonic()
                if job_id in self._known:
                    return self._known[job_id]
        found: Job = self._client.call(ONE, path={"job_id": job_id}).document["data"]["attributes"]
        return found

    def _latest(self) -> dict[str, Job]:
        """The youngest jobs of the account, ours among them unless many others came since."""
        query = {"sort": "-created_at", "page[size]": str(operation(MANY).page_size)}
        return {job["id"]: job["attributes"] for job in self._client.page(MANY, query=query).data}
