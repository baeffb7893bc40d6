"""Klaviyo's refusals become rejections, where they are about what was sent. Pure."""

from __future__ import annotations

import re

from klaviyo_client.errors import ApiError, InvalidKey, NotAllowed, Refused, RevisionRetired, TooLarge
from target_klaviyo.model.records import Outcome, OutcomeKind

# Statuses that can be about a row; others, and answers that are not Klaviyo's, are about the request itself.
_ABOUT_ROWS = (400, 404, 409, 422)
_LIST = re.compile(r"/relationships/lists?(?:/|$)")
# The codes of rows whose job Klaviyo has cancelled, or lost.
JOB_CANCELLED, JOB_NOT_FOUND = "job_cancelled", "job_not_found"


def is_about_rows(refused: Refused) -> bool:
    """Whether a refusal says something about what was sent, so that other rows may still be taken.

    401, 403 and 410 never are: nothing more can be sent until the user acts.
    """
    if isinstance(refused, InvalidKey | NotAllowed | RevisionRetired):
        return False
    return isinstance(refused, TooLarge) or (refused.status in _ABOUT_ROWS and bool(refused.errors))


def points_at_list(pointer: str | None) -> bool:
    """Whether a pointer leads to the list that the rows were to join."""
    return bool(_LIST.search(pointer or ""))


def is_about_content(outcome: Outcome) -> bool:
    """Whether a unit was rejected for what it holds, and not for its list or the whole job."""
    is_jobs = outcome.code in (JOB_CANCELLED, JOB_NOT_FOUND)
    is_lists = outcome.status == 404 or points_at_list(outcome.pointer)
    return outcome.kind is OutcomeKind.REJECTED and not is_jobs and not is_lists


def error_outcome(error: ApiError, status: int) -> Outcome:
    """The rejection that one entry of Klaviyo's error document stands for."""
    reason = error.detail or error.title or f"HTTP {status}"
    other_profile = (error.meta or {}).get("duplicate_profile_id")
    if other_profile:
        reason = f"{reason} (the other profile is {other_profile})"
    return Outcome(OutcomeKind.REJECTED, status, error.code or str(status), error.pointer, reason)


def refusal_outcome(refused: Refused) -> Outcome:
    """The rejection of everything in a request that was refused."""
    if refused.errors:
        return error_outcome(refused.errors[0], refused.status)
    return Outcome(OutcomeKind.REJECTED, refused.status, str(refused.status), None, str(refused))
