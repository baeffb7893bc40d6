"""Waiting for many of Klaviyo's jobs at once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from target_support import Scripted, respond

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.transport import Request, Response
from target_klaviyo.watch import IMPORTS, SUPPRESSIONS, UNSUPPRESSIONS, Jobs, Watch

JOBS = [f"J{number}" for number in range(10)]


def _job(job_id: str) -> dict[str, Any]:
    attributes = {"status": "complete", "total_count": 1, "number": int(job_id[1:])}
    return {"type": "job", "id": job_id, "attributes": attributes}


@pytest.mark.parametrize("kind", [IMPORTS, SUPPRESSIONS, UNSUPPRESSIONS], ids=lambda kind: kind.one)
def test_many_jobs_under_way_are_asked_about_together(kind: Jobs) -> None:
    """Ten jobs take about one question, and each is told of its own."""

    def answer(request: Request) -> Response:
        name = request.url.rpartition("/")[2]
        if name in JOBS:
            time.sleep(0.2)  # so that whoever comes first is not done before the others come
        return respond(200, {"data": _job(name) if name in JOBS else [_job(job_id) for job_id in JOBS], "links": {}})

    wire = Scripted(answer)
    watch = Watch(KlaviyoClient("pk_x", transport=wire), 60, kind)
    found: dict[str, Any] = {}
    threads = [threading.Thread(target=lambda name=name: found.update({name: watch.ended(name)})) for name in JOBS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: job["number"] for name, job in found.items()} == {name: int(name[1:]) for name in JOBS}
    assert len(wire.asked) <= 4
