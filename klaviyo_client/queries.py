"""Queries: operations that read by POST, whose answers come in pages to which the same body is sent again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from klaviyo_client.api import protocol
from klaviyo_client.api.operations import operation
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import BadDocument


def answers(client: KlaviyoClient, name: str, attributes: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every page of the answer to a query: the attributes of each page's ``data``.

    The specification declares a cursor among a query's parameters or in its body, and no link to the next page;
    recorded answers have ``links.next``.

    Args:
        client: the account.
        name: Klaviyo's operation id.
        attributes: what is asked for, as the body's ``data.attributes``.

    Raises:
        Refused, Unavailable, UntrustedOrigin: as for ``KlaviyoClient.call``.
        DailyLimitReached: no more may be asked in this day.
        BadDocument: a page is no answer to a query, or leads to itself.
        ValueError: the operation is no query.
    """
    declared = operation(name).query
    if declared is None:
        raise ValueError(f"{name} is no query")
    query: dict[str, str] = {}
    asked = dict(attributes)
    while True:
        document = client.call(name, query=query, body={"data": {"type": declared.type, "attributes": asked}}).document
        try:
            found = document["data"]["attributes"]
        except (TypeError, KeyError) as error:
            raise BadDocument(f"{name}: the answer is none to a query", operation=name) from error
        yield found
        link = protocol.next_of(document)
        if link is None:
            return
        before = (query, asked)
        following = dict(parse_qsl(urlsplit(protocol.same_origin(link, client.api_url)).query))
        if declared.paged_in_body:
            cursor = following.get("page_cursor") or following.get("page[cursor]")
            asked = {**asked, "page_cursor": cursor}
        else:
            query = following
        if (query, asked) == before:
            raise BadDocument(f"{name}: a page leads to itself", operation=name)
