"""Links that are followed: each once, and with everything that was asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from klaviyo_client import errors
from klaviyo_client.api.protocol import same_origin, split_link


class FollowedLinks:
    """The links between the pages of one read that were followed so far; only their hashes are kept.

    Args:
        operation: Klaviyo's operation id; errors name it.
    """

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._hashes: set[int] = set()

    def add(self, link: str) -> None:
        """Add the link that is followed next.

        Raises:
            BadDocument: it was followed before, so that the read would have no end.
        """
        before = len(self._hashes)
        self._hashes.add(hash(link))
        if len(self._hashes) == before:
            raise errors.BadDocument(
                f"{self._operation}: a page leads to itself, or to one that was read before it",
                operation=self._operation,
            )


class Redirect(Protocol):
    """An answer that leads elsewhere; header names are in lower case."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


def redirect_target(
    operation: str, answer: Redirect, api_url: str, url: str, query: Mapping[str, str]
) -> tuple[str, Mapping[str, str]]:
    """(address, query) to request after an answer has redirected ``url``; the old query where the new address has none.

    Raises:
        UntrustedOrigin: it leads to another origin.
        BadRequest: it has a query that lacks what was asked for: other rows would come, and look like these.
    """
    address, new_query = split_link(same_origin(answer.headers.get("location", ""), api_url, seen_from=url), api_url)
    if not new_query:
        return address, query
    if not query.items() <= new_query.items():
        raise errors.BadRequest(
            f"{operation}: a redirect leaves out a part of the query, check api_url",
            status=answer.status,
            operation=operation,
        )
    return address, new_query
