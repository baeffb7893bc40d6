"""Queries: operations that read by POST, page by page; for each page the same body is sent again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from klaviyo_client.api import protocol
from klaviyo_client.api.links import MAX_RESTARTS, PageTrail, is_about_cursor
from klaviyo_client.api.operations import operation
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import BadDocument, BadRequest


def query_pages(client: KlaviyoClient, name: str, attributes: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Send a query, page by page; gives the attributes of each page's ``data``, again when a cursor has expired.

    By the specification the cursor of the next page is in the query or in the body, and answers have no link to it;
    recorded answers have ``links.next``.

    Args:
        client: the account.
        name: Klaviyo's operation id.
        attributes: the body's ``data.attributes``.

    Raises:
        Refused, Unavailable, UntrustedOrigin: as for ``KlaviyoClient.call``.
        DailyLimitReached: no more may be sent in this day.
        BadDocument: a page is no answer to a query, or leads to one that was read before.
        ValueError: the operation is no query.
    """
    declared = operation(name).query
    if declared is None:
        raise ValueError(f"{name} is no query")
    query: dict[str, str] = {}
    requested = dict(attributes)
    trail, restarts = PageTrail(name), 0
    trail.add_link(repr((query, requested)))
    while True:
        body = {"data": {"type": declared.type, "attributes": requested}}
        try:
            document = client.call(name, query=query, body=body).document
        except BadRequest as error:
            is_first = not query and requested == dict(attributes)
            if is_first or restarts == MAX_RESTARTS or not is_about_cursor(error):
                raise
            query, requested = {}, dict(attributes)
            trail, restarts = PageTrail(name), restarts + 1
            continue
        try:
            answered = document["data"]["attributes"]
            link = protocol.next_link(document)
        except protocol.BadLink as error:
            raise BadDocument(f"{name}: the answer cannot be followed: {error}", operation=name) from error
        except (TypeError, KeyError) as error:
            raise BadDocument(f"{name}: the answer is none to a query", operation=name) from error
        yield answered
        if link is None:
            return
        link_query = dict(parse_qsl(urlsplit(protocol.same_origin(link, client.api_url)).query))
        if declared.paged_in_body:
            cursor = link_query.get("page_cursor") or link_query.get("page[cursor]")
            if not cursor:
                raise BadDocument(f"{name}: the link to the next page has no cursor", operation=name)
            requested = {**requested, "page_cursor": cursor}
        else:
            query = link_query
        trail.add_page(_content(answered))
        trail.add_link(repr((query, requested)))


def _content(answered: Any) -> str | None:
    """What tells a page from others of its query; None where it has no rows."""
    rows = (answered.get("results") or answered.get("data")) if isinstance(answered, dict) else answered
    return repr(rows) if rows else None
