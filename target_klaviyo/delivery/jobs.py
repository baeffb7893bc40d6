"""Polls Klaviyo's jobs until they end: many at once, with as few requests as for one. Thread-safe."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from klaviyo_client.api.operations import operation
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import BadDocument, Incomplete, NotFound
from target_klaviyo.delivery.refusals import JOB_CANCELLED, JOB_NOT_FOUND, is_about_rows
from target_klaviyo.model.records import Call, Outcome, OutcomeKind

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 15.0
# There may be no more requests than jobs: with many in flight, one answer about all of them is shared this long.
_FRESH_SECONDS = 0.5
_CANCELLED = "cancelled"
_ENDED = ("complete", _CANCELLED)
# So long Klaviyo may say that it knows no such job; then it is taken to have lost it, which is a status of ours.
_MISSING_SECONDS = 300.0
_NOT_FOUND = "not found"

Job = Mapping[str, Any]


@dataclass(frozen=True)
class JobKind:
    """A kind of jobs.

    Attributes:
        read_one: Klaviyo's operation that reads one of them.
        name: what to call one, for people.
        read_page: the operation that reads a page of them, where it can be sorted: of others a page need not hold the
            newest.
        newest_first: how to sort them, those that came last first.
    """

    read_one: str
    name: str
    read_page: str | None = None
    newest_first: str | None = None


IMPORTS = JobKind("get_bulk_import_profiles_job", "import job", "get_bulk_import_profiles_jobs", "-created_at")
SUPPRESSIONS = JobKind(
    "get_bulk_suppress_profiles_job", "suppression job", "get_bulk_suppress_profiles_jobs", "-created"
)
UNSUPPRESSIONS = JobKind(
    "get_bulk_unsuppress_profiles_job", "suppression job", "get_bulk_unsuppress_profiles_jobs", "-created"
)
COUPON_CODES = JobKind("get_bulk_create_coupon_codes_job", "coupon code job")
# (what is done, with what) -> the jobs that do it.
CATALOG_CHANGES = {
    (verb, plural): JobKind(f"get_bulk_{verb}_{name}_job", f"catalog job ({verb} {plural})")
    for verb in ("create", "update", "delete")
    for plural, name in (("items", "catalog_items"), ("variants", "variants"), ("categories", "categories"))
}
KINDS = (IMPORTS, SUPPRESSIONS, UNSUPPRESSIONS, COUPON_CODES, *CATALOG_CHANGES.values())


def polling_calls(kind: JobKind) -> tuple[Call, ...]:
    """The calls that poll jobs of this kind."""
    one = Call(kind.read_one, "to follow its jobs")
    return (one,) if kind.read_page is None else (one, Call(kind.read_page, "to follow many of them at once"))


class JobPoller:
    """Waits for the jobs of one kind in a run.

    Args:
        client: the account.
        timeout: seconds to wait for one job.
        kind: the jobs' kind.
    """

    def __init__(self, client: KlaviyoClient, timeout: float, kind: JobKind) -> None:
        self._client = client
        self._kind = kind
        self._timeout = timeout
        self._lock = threading.Lock()
        self._page_lock = threading.Lock()
        self._awaited: Counter[str] = Counter()
        self._page: dict[str, Job] = {}
        self._page_read_at = float("-inf")

    def wait_for(self, job_id: str) -> Job:
        """The job's attributes once it is complete or cancelled, or Klaviyo has lost it.

        Raises:
            Incomplete: it did not end in time.
        """
        with self._lock:
            self._awaited[job_id] += 1
        try:
            return self._poll_until_ended(job_id)
        finally:
            with self._lock:
                self._awaited[job_id] -= 1
                self._awaited += Counter()

    def _poll_until_ended(self, job_id: str) -> Job:
        clock = self._client.clock
        deadline = clock.monotonic() + self._timeout
        patience_until = clock.monotonic() + min(self._timeout, _MISSING_SECONDS)
        pause = _FIRST_WAIT
        if self._are_many:
            clock.sleep(pause)  # the job is too young for an answer that is worth a request
        while True:
            job = self._read(job_id)
            if job is None:
                if clock.monotonic() + pause > patience_until:
                    return {"status": _NOT_FOUND}
            elif job["status"] in _ENDED:
                return job
            elif clock.monotonic() + pause > deadline:
                raise Incomplete(
                    f"{self._kind.name} {job_id} is still {job['status']} after {self._timeout:g} s (job_timeout); "
                    "run again; nothing that is done is repeated"
                )
            clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_WAIT)

    @property
    def _are_many(self) -> bool:
        return len(self._awaited) > 1

    def _read(self, job_id: str) -> Job | None:
        """The job's attributes now: out of a page that all threads share while there are many, or by its id.

        None while Klaviyo, which has taken it, says that it knows no such job.
        """
        if self._are_many and self._kind.read_page is not None:
            with self._page_lock:
                if self._client.clock.monotonic() >= self._page_read_at + _FRESH_SECONDS:
                    self._page = self._read_page(self._kind.read_page)
                    self._page_read_at = self._client.clock.monotonic()
                if job_id in self._page:
                    return self._page[job_id]
        try:
            attributes = self._client.call(self._kind.read_one, path={"job_id": job_id}).resource.get("attributes")
        except NotFound as refused:
            if not is_about_rows(refused):
                raise
            return None
        if not _has_status(attributes):
            message = f"{self._kind.read_one}: the answer has no status of the job"
            raise BadDocument(message, operation=self._kind.read_one)
        return attributes

    def _read_page(self, read: str) -> dict[str, Job]:
        """The newest jobs of the account, ours among them unless many others came since."""
        query = {"sort": self._kind.newest_first} if self._kind.newest_first else {}
        if size := operation(read).page_size:
            query["page[size]"] = str(size)
        jobs = self._client.page(read, query=query).data
        return {job["id"]: job["attributes"] for job in jobs if _has_status(job.get("attributes"))}


def _has_status(attributes: Any) -> TypeGuard[Job]:
    return isinstance(attributes, Mapping) and isinstance(attributes.get("status"), str)


def failure(kind: JobKind, job_id: str, job: Job, status: int) -> Outcome | None:
    """The rejection of all rows of a job that did not come to its end; None where it did.

    Args:
        kind: the job's kind.
        job_id: its id.
        job: what ``wait_for`` gave.
        status: the HTTP status with which Klaviyo had taken it.
    """
    if job["status"] == _CANCELLED:
        code, what = JOB_CANCELLED, "cancelled"
    elif job["status"] == _NOT_FOUND:
        code, what = JOB_NOT_FOUND, "took and does not know"
    else:
        return None
    reason = f"Klaviyo {what} the {kind.name} {job_id}; Klaviyo may have accepted some of its rows"
    return Outcome(OutcomeKind.REJECTED, status, code, None, reason)


def count_in(job: Job, name: str) -> int | None:
    """A count of a job's; None where Klaviyo does not say it, as it may."""
    count = job.get(name)
    return count if isinstance(count, int) and not isinstance(count, bool) else None
