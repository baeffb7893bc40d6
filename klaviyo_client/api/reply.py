"""The reply to an operation that succeeded. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from klaviyo_client.api import protocol
from klaviyo_client.api.json_text import decode_json, without_null_characters
from klaviyo_client.errors import BadDocument


@dataclass(frozen=True)
class Reply:
    """A success of an operation. ``document`` is None where Klaviyo sends no body (202, 204)."""

    status: int
    headers: Mapping[str, str]
    document: Any = None
    operation: str = ""

    @property
    def resource(self) -> Mapping[str, Any]:
        """The resource that the operation made or read; it has an ``id``.

        Raises:
            BadDocument: there is none.
        """
        resource = self.document.get("data") if isinstance(self.document, dict) else None
        if not isinstance(resource, dict) or not isinstance(resource.get("id"), str):
            raise BadDocument(f"{self.operation}: the answer does not say what was made", operation=self.operation)
        return resource

    @property
    def partial_failure(self) -> str | None:
        """What Klaviyo dropped although it accepted the rest (``phone_number``), or None."""
        return self.headers.get(protocol.PARTIAL_FAILURE)


def parse_reply(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """The reply that an answer holds.

    Raises:
        BadDocument: the body is not JSON.
    """
    if not body.strip():
        return Reply(status, headers, None, operation)
    try:
        return Reply(status, headers, decode_json(without_null_characters(body)), operation)
    except ValueError as error:
        raise BadDocument(f"{operation}: the answer is not JSON", operation=operation) from error
