"""A request to the account and the answer to it, as the functions that carry out operations see them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from klaviyo_sandbox.spec import facts
from klaviyo_sandbox.spec.facts import Operation

Params = Mapping[str, str]
# A revision is stable for a year, and deprecated for another one.
_REVISION_YEARS = 2


@dataclass(frozen=True)
class Request:
    """A request that has passed the checks that all operations share.

    Attributes:
        base: origin for links, such as ``http://127.0.0.1:8765``.
        path: the path of the request.
        params: the named parts of the path.
        query: the query parameters.
        body: the decoded body of a write, None for reads; ``body_bytes`` is its length.
    """

    operation: Operation
    base: str
    path: str
    params: Params
    query: Mapping[str, str]
    body: Any = None
    body_bytes: int = 0


@dataclass(frozen=True)
class Answer:
    """The answer to a request; ``document`` may be JSON already, and is None where the answer has no body.

    ``items`` is how many rows a write had.
    """

    status: int
    document: dict[str, Any] | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    items: int = 0


def encode_json(value: Any) -> bytes:
    """JSON as the account sends it; half of a surrogate pair, which no UTF-8 has, stands as an escape."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def identifying_headers(revision: str | None = None) -> dict[str, str]:
    """What Klaviyo writes on every answer, a refusal too: the revision that gave it, when that ends, and a new id.

    Args:
        revision: the one that was asked for; None where none was, or none that can be read.
    """
    spoken = facts.load()
    answering = spoken.revision if revision is None else spoken.answering_revision(revision)
    year, rest = answering.split("-", 1)
    return {
        "x-klaviyo-api-revision": answering,
        "x-klaviyo-api-retirement-date": f"{int(year) + _REVISION_YEARS}-{rest}",
        "x-klaviyo-req-id": str(uuid.uuid4()),
    }
