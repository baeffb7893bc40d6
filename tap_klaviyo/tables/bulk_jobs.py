"""What the tables of bulk jobs share."""

from __future__ import annotations

from tap_klaviyo.model import Root

LEFT = "Klaviyo forgets a job after some days; its row stays."


def _kind_and_verb(resource_type: str) -> dict[str, str]:
    kind, _, verb = resource_type.removesuffix("-job").rpartition("-bulk-")
    return {"kind": kind, "verb": verb}


# What a job is about and what it does: its type says both (catalog-item-bulk-create-job).
JOB = Root("job", ("/type",), _kind_and_verb)
