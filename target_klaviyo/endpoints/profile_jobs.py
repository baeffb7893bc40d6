"""The body of a request for one of Klaviyo's jobs about profiles: imports, consents, suppressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from target_klaviyo.delivery.action import Unit
from target_klaviyo.delivery.batches import encode_json


def profile_job_body(
    job_type: str,
    units: Sequence[Unit],
    *,
    attributes: Mapping[str, Any] | None = None,
    relationships: Mapping[str, Any] | None = None,
) -> bytes:
    """The request's body.

    Args:
        job_type: the JSON:API type of the job.
        units: the profiles.
        attributes: of the job, beside its profiles.
        relationships: of the job: the list that its profiles are to join or to leave.
    """
    profiles = [msgspec.Raw(unit.body) for unit in units]
    data: dict[str, Any] = {"type": job_type, "attributes": {**(attributes or {}), "profiles": {"data": profiles}}}
    if relationships:
        data["relationships"] = relationships
    return encode_json({"data": data})
