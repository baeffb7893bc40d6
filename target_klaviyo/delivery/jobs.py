"""Waits for Klaviyo's jobs, many at once, with as few questions as for one. Thread-safe."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from klaviyo_client.api.operations import operation
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import BadDocument, Incomplete
from target_klaviyo.model.records import Call

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 15.0
# There may be no more questions than jobs: with many under way, one answer about all of them is shared this long.
_FRESH_SECONDS = 0.5
_ENDED = ("complete", "cancelled")

Job = Mapping[str, Any]


@dataclass(frozen=True)
class Jobs:
    """A kind of jobs.

    Attributes:
        one, many: Klaviyo's operations that read one of them, and a page of them.
        youngest: how to sort them, those that came last first.
        name: what to call one, for people.
    """

    one: str
    many: str
    youngest: str
    name: str


IMPORTS = Jobs("get_bulk_import_profiles_job", "get_bulk_import_profiles_jobs", "-created_at", "import job")
SUPPRESSIONS = Jobs("get_bulk_suppress_profiles_job", "get_bulk_suppress_profiles_jobs", "-created", "suppression job")
UNSUPPRESSIONS = Jobs(
    "get_bulk_unsuppress_profiles_job", "get_bulk_unsuppress_profiles_jobs", "-created", "suppression job"
)


def followed(jobs: Jobs) -> tuple[Call, ...]:
    """What it takes to follow jobs of this kind."""
    return Call(jobs.one, "to follow its jobs"), Call(jobs.many, "to follow many of them at once")


class Watch:
    """The jobs of one kind in a run.

    Args:
        client: the account.
        timeout: seconds to wait for one job.
        jobs: their kind.
    """

    def __init__(self, client: KlaviyoClient, timeout: float, jobs: Jobs) -> None:
        self._client = client
        self._jobs = jobs
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
                    f"{self._jobs.name} {job_id} is still {job['status']} after {self._timeout:g} s (job_timeout); "
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
        found = self._client.call(self._jobs.one, path={"job_id": job_id}).resource.get("attributes")
        if not isinstance(found, dict) or not isinstance(found.get("status"), str):
            message = f"{self._jobs.one}: the answer does not say how the job is"
            raise BadDocument(message, operation=self._jobs.one)
        return found

    def _latest(self) -> dict[str, Job]:
        """The youngest jobs of the account, ours among them unless many others came since."""
        query = {"sort": self._jobs.youngest}
        if size := operation(self._jobs.many).page_size:
            query["page[size]"] = str(size)
        return {job["id"]: job["attributes"] for job in self._client.page(self._jobs.many, query=query).data}
