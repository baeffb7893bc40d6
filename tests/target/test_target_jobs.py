"""Waiting for many of Klaviyo's jobs at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.patience import until
from target_support import Scripted, respond

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import BadDocument
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.transport import Request, Response
from target_klaviyo.delivery.jobs import IMPORTS, SUPPRESSIONS, UNSUPPRESSIONS, JobKind, JobPoller

JOBS = [f"J{number}" for number in range(10)]


def _job(job_id: str) -> dict[str, Any]:
    attributes = {"status": "complete", "total_count": 1, "number": int(job_id[1:])}
    return {"type": "job", "id": job_id, "attributes": attributes}


@pytest.mark.parametrize("kind", [IMPORTS, SUPPRESSIONS, UNSUPPRESSIONS], ids=lambda kind: kind.read_one)
def test_many_jobs_under_way_are_asked_about_together(kind: JobKind) -> None:
    """Ten jobs take about one request, and each thread gets its own."""

    waiting: list[float] = []

    def answer(request: Request) -> Response:
        name = request.url.rpartition("/")[2]
        # Whoever comes first is not done before the others have come, who wait before they send.
        until(lambda: len(waiting) >= len(JOBS) - 1)
        return respond(200, {"data": _job(name) if name in JOBS else [_job(job_id) for job_id in JOBS], "links": {}})

    wire = Scripted(answer)
    # No time passes, so that an answer stays fresh.
    clock = Clock(lambda: 0.0, waiting.append)
    poller = JobPoller(KlaviyoClient("pk_x", clock=clock, transport=wire), 60, kind)
    with ThreadPoolExecutor(len(JOBS)) as pool:
        jobs = list(pool.map(poller.wait_for, JOBS))
    assert [job["number"] for job in jobs] == [int(name[1:]) for name in JOBS]
    # One about the first, before there were others; one about all; one about the last, when there are no others left.
    assert len(wire.asked) <= 3


@pytest.mark.parametrize("attributes", [None, [], {}, {"status": None}, {"total_count": 1}])
def test_a_job_of_which_nothing_is_said_is_a_clear_error(attributes: Any) -> None:
    """An answer without a status names the operation, and is no reason to go on as if the job had ended."""
    wire = Scripted(lambda _: respond(200, {"data": {"type": "job", "id": "J1", "attributes": attributes}}))
    poller = JobPoller(KlaviyoClient("pk_x", clock=Clock(lambda: 0.0, lambda _: None), transport=wire), 60, IMPORTS)
    with pytest.raises(BadDocument, match=IMPORTS.read_one):
        poller.wait_for("J1")
