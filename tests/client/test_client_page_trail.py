"""Pages that repeat, or stay empty, under links that are always new: a read has an end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice

import pytest
from test_client_queries import AGGREGATE, REPORT, page_reply
from test_client_retries import Reply, scripted

from klaviyo_client import errors
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.queries import query_pages


def script(*pages: Sequence[str], more: bool = False) -> list[Reply]:
    """Replies of resources with these ids, each with a link of its own; the last leads on where there is more."""
    replies = []
    for at, names in enumerate(pages):
        link = f"/api/tags?page%5Bcursor%5D={at}" if more or at < len(pages) - 1 else None
        document = {"data": [{"type": "tag", "id": name} for name in names], "links": {"next": link}}
        replies.append(Reply(body=json.dumps(document).encode()))
    return replies


def read(client: KlaviyoClient) -> list[str]:
    return [resource["id"] for page in client.pages("get_tags") for resource in page.data]


@pytest.mark.parametrize(
    "circle",
    [
        ["ab"],
        ["a"],
        ["ab", "cd"],
        ["ab", "cd", "ef", "gh", "ij", "kl", "m"],
        ["ab", ""],
        ["", "", "ab"],
        # A ring of rows that no page divides.
        ["ab", "ca", "bc"],
    ],
    ids=str,
)
def test_pages_that_repeat_are_an_error(circle: list[str]) -> None:
    """However many there are: after one round, and three pages that were read before."""
    pages = [circle[at % len(circle)] for at in range(100)]
    with scripted(*script(*pages, more=True)) as (client, server, _):
        with pytest.raises(errors.BadDocument, match="get_tags: the pages repeat"):
            read(client)
        assert len(server.seen) <= len(circle) + 3 * len(circle)


def test_pages_that_repeat_after_others_are_an_error() -> None:
    """What was read until then was handed out."""
    with scripted(*script("ab", "cd", *["ef"] * 50, more=True)) as (client, server, _):
        pages = client.pages("get_tags")
        found = [resource["id"] for page in islice(pages, 6) for resource in page.data]
        assert found == list("abcd" + "ef" * 4)
        with pytest.raises(errors.BadDocument, match="the pages repeat"):
            next(pages)
        assert len(server.seen) == 6


@pytest.mark.parametrize(
    "pages",
    [
        ["ab", "ab", "cd"],
        ["ab", "ab", "ab", "cd", "cd", "ef"],
        ["ab", "bc", "cd", "de", "ef"],
        ["ab", "ab", "ab", "ab"],
    ],
    ids=str,
)
def test_a_page_that_comes_again_is_none(pages: list[str]) -> None:
    """A cursor may stand still for a moment, pages may overlap, and the last one ends by itself."""
    with scripted(*script(*pages)) as (client, _, _):
        assert set(read(client)) == set("".join(pages))


@pytest.mark.parametrize("times", [1, 2, 3, 20])
def test_a_page_that_leads_to_itself_is_asked_for_again(times: int) -> None:
    """Up to three times; then it is an error, after the good pages before it."""
    pages = [("ab", 0), *[("cd", 0)] * times, ("cd", 1), ("ef", None)]
    replies = [
        {
            "data": [{"type": "tag", "id": name} for name in names],
            "links": {"next": link and f"/api/tags?page%5Bcursor%5D={link}"},
        }
        for names, link in [(names, None if at is None else f"c{at}") for names, at in pages]
    ]
    with scripted(*[Reply(body=json.dumps(reply).encode()) for reply in replies]) as (client, server, _):
        if times <= 2:
            assert set(read(client)) == set("abcdef")
            assert len(server.seen) == times + 3
        else:
            with pytest.raises(errors.BadDocument, match="the pages repeat: 3 were read before"):
                read(client)
            assert len(server.seen) == 5


@pytest.mark.parametrize("empty", [1, 5, 400])
def test_empty_pages_go_on(empty: int) -> None:
    """A filter may leave a page without rows, and the next ones."""
    with scripted(*script("ab", *[""] * empty, "cd", *[""] * empty, "ef")) as (client, _, _):
        assert read(client) == list("abcdef")


@pytest.mark.parametrize("first", ["", "ab"])
def test_empty_pages_without_an_end_are_an_error(first: str) -> None:
    """A thousand one after the other are no filter's doing."""
    with scripted(*script(first, *[""] * 2000, more=True)) as (client, server, _):
        with pytest.raises(errors.BadDocument, match="get_tags: 1000 pages one after the other are empty"):
            read(client)
        assert len(server.seen) <= 1001


def test_resources_without_an_id_repeat_nothing() -> None:
    """Nothing says whether they are others; without an end they are as bad as empty pages."""
    document = {"data": [{"type": "tag"}] * 2, "links": {"next": None}}
    with scripted() as (client, server, _):
        server.script = [
            Reply(body=json.dumps({**document, "links": {"next": f"/api/tags?page={at}"}}).encode()) for at in range(20)
        ] + [Reply(body=json.dumps(document).encode())]
        assert read(client) == []
        assert len(server.seen) == 21


@pytest.mark.parametrize("name", [REPORT, AGGREGATE])
def test_answers_to_a_query_that_repeat_are_an_error(name: str) -> None:
    """A day's budget would be spent on them."""
    with scripted() as (client, server, _):
        server.script = [page_reply([{"a": 1}, {"a": 2}], f"/api/x?page_cursor={at}") for at in range(50)]
        with pytest.raises(errors.BadDocument, match="the pages repeat"):
            list(query_pages(client, name, {"metric_id": "M"}))
        assert len(server.seen) == 4


def test_answers_to_a_query_that_are_empty_go_on() -> None:
    """As pages do."""
    with scripted() as (client, server, _):
        server.script = [page_reply([], f"/api/x?page_cursor={at}") for at in range(10)] + [page_reply([7])]
        found = [page["results"] for page in query_pages(client, REPORT, {"metric_id": "M"})]
        assert found == [*[[]] * 10, [7]]
