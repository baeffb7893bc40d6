"""The root and the note on deletion that all tables of bulk jobs share."""

from __future__ import annotations

from tap_klaviyo.model import Root

JOB_DELETION_NOTE = "Klaviyo forgets a job after some days; its row stays."


def _kind_and_verb(resource_type: str) -> dict[str, str]:
    kind, _, verb = resource_type.removesuffix("-job").rpartition("-bulk-")
    return {"kind": kind, "verb": verb}


# What a job is about ("kind") and what it does ("verb"): its type says both (catalog-item-bulk-create-job).
JOB = Root("job", ("/type",), _kind_and_verb)
