"""JSON:API errors with Klaviyo's codes and titles, which the account answers when it refuses a request."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# Recorded errors of other statuses have neither ``links`` nor ``meta``.
_WITH_LINKS = (400, 409, 429)
_ABOUT_LIMITS = "https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling"


@dataclass(frozen=True)
class Problem:
    """One entry of ``errors``: what is wrong, and which part of the request (``source``) it is about."""

    status: int
    code: str
    title: str
    detail: str
    source: Mapping[str, str] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        document = {
            "id": str(uuid.uuid4()),
            "status": self.status,
            "code": self.code,
            "title": self.title,
            "detail": self.detail,
            "source": dict(self.source),
        }
        return (
            {**document, "links": dict(self.links), "meta": dict(self.meta)} if self.status in _WITH_LINKS else document
        )


class Refusal(Exception):
    """The request is answered with these problems; nothing was changed.

    Attributes:
        problems: at least one; all of them have the same status.
        headers: response headers that go with the refusal.
    """

    def __init__(self, problems: Iterable[Problem], headers: Mapping[str, str] | None = None) -> None:
        self.problems = tuple(problems)
        self.headers = dict(headers or {})
        super().__init__("; ".join(problem.detail for problem in self.problems))

    @property
    def status(self) -> int:
        return self.problems[0].status

    def document(self) -> dict[str, Any]:
        return {"errors": [problem.document() for problem in self.problems]}


def invalid(detail: str, pointer: str) -> Problem:
    return Problem(400, "invalid", "Invalid input.", detail, {"pointer": pointer})


def invalid_parameter(detail: str, parameter: str) -> Refusal:
    """A 400 for one query parameter, header or path part, named as Klaviyo names it."""
    return Refusal([Problem(400, "invalid", "Invalid input.", detail, {"parameter": parameter})])


def not_found(detail: str) -> Refusal:
    return Refusal([Problem(404, "not_found", "Not found.", detail, {"pointer": "/data/"})])


def unauthenticated(detail: str) -> Refusal:
    title = "Incorrect authentication credentials."
    return Refusal([Problem(401, "authentication_failed", title, detail, {"pointer": "/data/"})])


def wrong_key() -> Refusal:
    """The 401 for a private key that no account has, in the words that live Klaviyo was seen to use."""
    title = "Authentication credentials were not provided."
    problem = Problem(401, "not_authenticated", title, "Missing or invalid private key.", {"pointer": "/data/"})
    return Refusal([problem], {"WWW-Authenticate": "Klaviyo-API-Key"})


def forbidden(missing: Iterable[str]) -> Refusal:
    title = "You do not have permission to perform this action."
    detail = f"Your API key is missing required scopes for this request: {', '.join(missing)}"
    return Refusal([Problem(403, "permission_denied", title, detail, {"pointer": "/data/"})])


def not_enabled(feature: str) -> Refusal:
    """A 403 for a feature that the account's plan does not have, as it was recorded for webhooks."""
    title = "You do not have permission to perform this action."
    detail = f"You must have {feature} enabled to use this endpoint."
    return Refusal([Problem(403, "permission_denied", title, detail, {"pointer": "/data/"})])


def method_not_allowed(method: str, allowed: Iterable[str]) -> Refusal:
    """A 405, which names the methods that the path takes."""
    detail = f'Method "{method}" not allowed.'
    problem = Problem(405, "method_not_allowed", detail, detail, {"pointer": "/data/"})
    return Refusal([problem], {"Allow": ", ".join(sorted(set(allowed)))})


def duplicate_profile(other_id: str, pointer: str = "/data/attributes") -> Problem:
    detail = "A profile already exists with one of these identifiers."
    return Problem(
        409, "duplicate_profile", "Conflict.", detail, {"pointer": pointer}, {"duplicate_profile_id": other_id}
    )


def revision_retired(revision: str, current: str) -> Refusal:
    detail = f"The revision {revision} is no longer available; klaviyo-sandbox speaks {current}."
    return Refusal([Problem(410, "gone", "Revision retired.", detail, {"parameter": "revision"})])


def unsupported_media_type(media_type: str) -> Refusal:
    detail = f'Unsupported media type "{media_type}" in request.'
    return Refusal([Problem(415, "unsupported_media_type", "Unsupported media type.", detail, {"pointer": "/data/"})])


def throttled(seconds: int) -> Refusal:
    """A 429; its only rate header is ``Retry-After``, in whole seconds."""
    plural = "" if seconds == 1 else "s"
    detail = f"Request was throttled. Expected available in {seconds} second{plural}."
    problem = Problem(
        429, "throttled", "Request was throttled.", detail, {"pointer": "/data"}, links={"type": _ABOUT_LIMITS}
    )
    return Refusal([problem], {"Retry-After": str(seconds)})


def not_served(operation_id: str) -> Refusal:
    """A 501 for what Klaviyo has and the sandbox has not: no answer of Klaviyo's may stand for it."""
    detail = f"klaviyo-sandbox does not serve {operation_id}"
    return Refusal([Problem(501, "not_implemented", "Not served by klaviyo-sandbox.", detail, {"pointer": "/data"})])


def unavailable() -> Refusal:
    detail = "The service is temporarily unavailable."
    return Refusal([Problem(503, "service_unavailable", "Service unavailable.", detail, {"pointer": "/data"})])


def server_error(detail: str = "The sandbox failed to answer; its log says why.") -> Refusal:
    return Refusal([Problem(500, "error", "A server error occurred.", detail, {"pointer": "/data"})])
