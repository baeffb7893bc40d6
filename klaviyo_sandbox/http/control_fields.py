"""The fields that the control of a running account takes, as JSON Schemas by name, and their check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema_rs import Draft202012Validator

from klaviyo_sandbox.account.store import APPENDS, CONVERSIONS, JOB_ENDS, POINTERS, REPEATS
from klaviyo_sandbox.http.access import OTHER_REVISIONS
from klaviyo_sandbox.http.clock import MAX_SPEED, MIN_SPEED

# Path -> types of rows that can be deleted, one of them has an id; profiles are deleted through the API.
DELETABLE = {
    "campaigns": ("campaign", "campaign-of-october"),
    "flows": ("flow",),
    "lists": ("list",),
    "segments": ("segment",),
    "tags": ("tag",),
    "templates": ("template",),
}
_CENTURY = 36_525 * 86_400.0
MAX_EVENTS = 10_000
SETTINGS: Mapping[str, Any] = {
    "faults": {"type": "string"},
    "latency": {"type": "number", "minimum": 0, "maximum": 3600},
    "limits": {"type": "boolean"},
    "scopes": {"type": ["string", "null"]},
    "job_seconds": {"type": "number", "minimum": 0, "maximum": _CENTURY},
    "job_end": {"enum": list(JOB_ENDS)},
    "repeats": {"enum": list(REPEATS)},
    "pointers": {"enum": list(POINTERS)},
    "append": {"enum": list(APPENDS)},
    "quiet_suppressions": {"type": "boolean"},
    "other_revisions": {"enum": list(OTHER_REVISIONS)},
    "conversions": {"enum": list(CONVERSIONS)},
    "speed": {"type": "number", "minimum": MIN_SPEED, "maximum": MAX_SPEED},
}
CLOCK: Mapping[str, Any] = {
    "seconds": {"type": "number", "minimum": 0, "maximum": _CENTURY},
    "time": {"type": "string"},
}
EVENTS: Mapping[str, Any] = {
    "seconds": {"type": "number", "minimum": -_CENTURY, "maximum": _CENTURY},
    "time": {"type": "string"},
    "count": {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS},
    "profile_id": {"type": "string"},
    "metric_id": {"type": "string"},
    "properties": {"type": "object"},
}
SUPPRESSION: Mapping[str, Any] = {
    "profile_id": {"type": "string"},
    "reason": {"enum": ["HARD_BOUNCE", "INVALID_EMAIL", "SPAM_COMPLAINT", "USER_SUPPRESSED"]},
}
CONFIRMATION: Mapping[str, Any] = {"email": {"type": "string"}, "list_id": {"type": "string"}}
TOKENS: Mapping[str, Any] = {"end": {"enum": ["access", "all"]}}


class InvalidChange(ValueError):
    """A change that cannot be made, and was not made; the message names the field and the values that it takes."""


class NotThere(LookupError):
    """The account has no resource of that kind and id."""


def check_fields(fields: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields unchanged, when ``schemas``, the schema of each by its name, allows them.

    Raises:
        InvalidChange: it names the field and the values that it takes.
    """
    schema = {"type": "object", "properties": schemas, "additionalProperties": False}
    try:
        found = list(Draft202012Validator(schema).iter_errors(fields))
    except UnicodeEncodeError as unwritable:
        raise InvalidChange(f"half of a surrogate pair names nothing (known: {', '.join(schemas)})") from unwritable
    for error in found:
        path = ".".join(map(str, error.instance_path))
        known = "" if path else f" (known: {', '.join(schemas)})"
        raise InvalidChange(f"{path + ': ' if path else ''}{error.message}{known}")
    return fields
