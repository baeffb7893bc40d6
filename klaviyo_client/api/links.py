"""Links that are followed: to an end, each once, and with everything that was asked for. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Protocol

from klaviyo_client import errors
from klaviyo_client.api.protocol import same_origin, split_link

# Pages without an end: so many in a row that were read before (a cursor may stand still for a moment, or lead to its
# own page), or that hold nothing (a filter may leave out a lot).
MAX_REPEATED, MAX_EMPTY = 3, 1000
# A cursor that expires more often does so before its pages can be read.
MAX_RESTARTS = 3


class PageTrail:
    """The pages of one read so far, and the links between them; only their hashes are kept.

    Args:
        operation: Klaviyo's operation id; errors name it.
    """

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._links: set[int] = set()
        self._latest_link = 0
        # How often in a row a page has led to itself.
        self._stood_still = 0
        self._pages: set[int] = set()
        # Since the latest page that was new.
        self._repeated = self._empty = 0

    def add_page(self, content: Hashable | None) -> None:
        """Add a page that was read.

        Args:
            content: what tells it from others; None where it holds nothing that does.
        """
        if content is None:
            self._empty += 1
        elif hash(content) in self._pages:
            self._repeated += 1
        else:
            self._pages.add(hash(content))
            self._repeated = self._empty = 0

    def add_link(self, link: str) -> None:
        """Add the link that is followed next.

        Raises:
            BadDocument: the read would have no end: the link was followed before, from another page than its own, or
                the latest pages were read before, or held nothing.
        """
        self._stood_still = self._stood_still + 1 if hash(link) == self._latest_link else 0
        # The same link gave another page: then nothing says that it ever leads on.
        is_other_page = self._stood_still > 1 and self._repeated == 0
        if hash(link) in self._links and (not self._stood_still or is_other_page):
            raise self._error("a page leads to itself, or to one that was read before it")
        if self._repeated >= MAX_REPEATED:
            raise self._error(f"the pages repeat: {self._repeated} were read before")
        if self._empty >= MAX_EMPTY:
            raise self._error(f"{self._empty} pages one after the other are empty")
        self._links.add(hash(link))
        self._latest_link = hash(link)

    def _error(self, reason: str) -> errors.BadDocument:
        return errors.BadDocument(f"{self._operation}: {reason}", operation=self._operation)


def is_about_cursor(error: errors.Refused) -> bool:
    """Whether Klaviyo says that the cursor it gave leads nowhere, or no more: a first page has another."""
    return isinstance(error, errors.BadRequest) and any(
        "cursor" in f"{entry.detail} {entry.parameter or ''}".lower() for entry in error.errors
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
