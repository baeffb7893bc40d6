"""Where links and redirects lead: to each page once, with everything that was asked for."""

from __future__ import annotations

import json
from itertools import islice

import pytest
from test_client_queries import AGGREGATE, REPORT, page_reply
from test_client_retries import Reply, scripted

from klaviyo_client import errors
from klaviyo_client.api.pages import parse_outline
from klaviyo_client.queries import query_pages


def linked(link: object, *names: str) -> Reply:
    document = {"data": [{"type": "tag", "id": name} for name in names], "links": {"next": link}}
    return Reply(body=json.dumps(document).encode())


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("/api/tags?page%5Bcursor%5D=b", "/api/tags?page%5Bcursor%5D=b"),
        ("?page%5Bcursor%5D=b", "/api/tags?page%5Bcursor%5D=b"),
        ("tags?page%5Bcursor%5D=b", "/api/tags?page%5Bcursor%5D=b"),
        ("./tags?page[cursor]=b", "/api/tags?page%5Bcursor%5D=b"),
    ],
)
def test_a_relative_next_link_is_followed(link: str, path: str) -> None:
    """From the address of the page that it stands on; with an outline, too."""
    with scripted(linked(link, "1"), linked(None, "2")) as (client, server, _):
        assert [resource["id"] for page in client.pages("get_tags") for resource in page.data] == ["1", "2"]
    assert [path for _, path, _ in server.seen] == ["/api/tags", path]
    with scripted(linked(link, "1"), linked(None, "2")) as (client, server, _):
        outline = client.raw_page("get_tags", path={}, query={"fields[tag]": "name"})
        assert client.decode("get_tags", outline).data[0]["id"] == "1"
        assert client.raw_page("get_tags", path={}, query={}, link=outline.next).next is None
    assert server.seen[1][1] == path


@pytest.mark.parametrize("more", [{}, {"meta": {"count": 2}, "rel": "next", "title": None}])
@pytest.mark.parametrize("link", ["/api/tags?page%5Bcursor%5D=b", "?page%5Bcursor%5D=b"])
def test_a_link_object_is_followed(link: str, more: dict[str, object]) -> None:
    """JSON:API has links as texts and as objects; with an outline and in a query, too."""
    with scripted(linked({"href": link, **more}, "1"), linked(None, "2")) as (client, server, _):
        assert [resource["id"] for page in client.pages("get_tags") for resource in page.data] == ["1", "2"]
        assert server.seen[1][1] == "/api/tags?page%5Bcursor%5D=b"
        outline = parse_outline(linked({"href": link, **more}, "1").body, server.url, f"{server.url}/api/tags")
        assert outline.next == f"{server.url}/api/tags?page%5Bcursor%5D=b"
    with scripted(page_reply([1], {"href": "/api/x?page_cursor=b", **more}), page_reply([2])) as (client, server, _):
        assert len(list(query_pages(client, REPORT, {"metric_id": "M"}))) == 2


NO_LINKS = [
    7,
    0,
    True,
    False,
    [],
    ["/api/tags?page=2"],
    {},
    {"href": None},
    {"href": 7},
    {"href": ["/api/tags"]},
    {"a": "b"},
]


@pytest.mark.parametrize("link", NO_LINKS, ids=json.dumps)
def test_what_is_no_link_is_an_error_that_says_so(link: object) -> None:
    """A table that ended there would look whole."""
    message = "neither an address nor an object with one"
    for read in (
        lambda client: list(client.pages("get_tags")),
        lambda client: client.raw_page("get_tags", path={}, query={}),
    ):
        with scripted(linked(link, "1")) as (client, _, _), pytest.raises(errors.BadDocument, match=message):
            read(client)
    for name in (REPORT, AGGREGATE):
        with scripted(page_reply([1], link)) as (client, _, _), pytest.raises(errors.BadDocument, match=message):
            list(query_pages(client, name, {"metric_id": "M"}))


@pytest.mark.parametrize("links", ["/api/tags?page=2", 7, True, ["x"]], ids=json.dumps)
def test_links_that_are_no_object_are_an_error(links: object) -> None:
    """They may have said where the next page is."""
    page = Reply(body=json.dumps({"data": [{"type": "tag", "id": "1"}], "links": links}).encode())
    for read in (
        lambda client: list(client.pages("get_tags")),
        lambda client: client.raw_page("get_tags", path={}, query={}),
    ):
        with scripted(page) as (client, _, _), pytest.raises(errors.BadDocument, match="links is no object"):
            read(client)


@pytest.mark.parametrize("links", [None, {}, [], {"next": None}, {"self": {"href": "x"}}, {"next": ""}], ids=json.dumps)
def test_a_page_without_a_link_is_the_last(links: object) -> None:
    """Also as PHP writes an empty object, and where a blank stands for none."""
    page = Reply(body=json.dumps({"data": [{"type": "tag", "id": "1"}], "links": links}).encode())
    with scripted(page) as (client, server, _):
        assert len(list(client.pages("get_tags"))) == 1
        assert client.raw_page("get_tags", path={}, query={}).next is None
        assert len(server.seen) == 2


def test_a_link_without_a_cursor_ends_no_query() -> None:
    """Where the cursor goes into the body, there is none to send; the first page would come again."""
    with scripted(page_reply([1], "/api/metric-aggregates?a=b")) as (client, server, _):
        with pytest.raises(errors.BadDocument, match="cursor"):
            list(query_pages(client, AGGREGATE, {"metric_id": "M"}))
        assert len(server.seen) == 1


@pytest.mark.parametrize("link", ["//elsewhere.example/api/tags", "mailto:x", "http://["])
def test_a_relative_link_leads_nowhere_else(link: str) -> None:
    """The key goes to no other origin."""
    with scripted(linked(link)) as (client, server, _), pytest.raises(errors.UntrustedOrigin):
        list(client.pages("get_tags"))
    assert len(server.seen) == 1


@pytest.mark.parametrize("length", [1, 2, 3])
def test_pages_that_lead_in_a_circle_are_an_error(length: int) -> None:
    """However long it is: after the pages of one round, and not for ever."""
    with scripted() as (client, server, _):
        links = [f"{server.url}/api/tags?page%5Bcursor%5D={at % length}" for at in range(50)]
        server.script = [linked(link, str(at)) for at, link in enumerate(links)]
        with pytest.raises(errors.BadDocument, match="get_tags: a page leads to itself, or to one"):
            list(islice(client.pages("get_tags"), 40))
        assert len(server.seen) <= length + 2


@pytest.mark.parametrize("name", [REPORT, AGGREGATE])
def test_queries_that_lead_in_a_circle_are_an_error(name: str) -> None:
    """Also where the circle has more than one page."""
    with scripted() as (client, server, _):
        links = [f"/api/x?page_cursor={at % 3}" for at in range(50)]
        server.script = [page_reply([at], link) for at, link in enumerate(links)]
        with pytest.raises(errors.BadDocument):
            list(islice(query_pages(client, name, {"metric_id": "M"}), 40))
        assert len(server.seen) <= 5


QUERY = {"filter": 'greater-than(updated,"2026-01-01")', "page[size]": "10"}
ENCODED = "filter=greater-than(updated%2C%222026-01-01%22)&page%5Bsize%5D=10"


@pytest.mark.parametrize(
    "location", ["/api/v2/lists", f"/api/v2/lists?{ENCODED}", f"/api/v2/lists?page[size]=10&{ENCODED}&more=1"]
)
def test_a_redirect_keeps_its_query(location: str) -> None:
    """A filter that got lost would read everything, or the wrong rows, over several hops, too."""
    hops = (Reply(302, headers={"location": location}), Reply(302, headers={"location": "/api/v3/lists"}), Reply())
    with scripted(*hops) as (client, server, _):
        client.page("get_lists", query=QUERY)
    for _, path, _ in server.seen:
        assert "greater-than" in path
        assert "page%5Bsize%5D=10" in path
    assert [path.partition("?")[0] for _, path, _ in server.seen] == ["/api/lists", "/api/v2/lists", "/api/v3/lists"]


@pytest.mark.parametrize("query", ["page[size]=10", "filter=&page[size]=10", "page[size]=20&filter=x", "a=b"])
def test_a_redirect_that_loses_its_query_is_an_error(query: str) -> None:
    """Nothing is read by it."""
    hops = (Reply(302, headers={"location": f"/api/v2/lists?{query}"}), Reply())
    with scripted(*hops) as (client, server, _), pytest.raises(errors.BadRequest, match="query"):
        client.page("get_lists", query=QUERY)
    assert len(server.seen) == 1


def expired() -> Reply:
    detail = {"code": "invalid", "detail": "Invalid cursor provided.", "source": {"parameter": "page_cursor"}}
    return Reply(400, body=json.dumps({"errors": [detail]}).encode())


@pytest.mark.parametrize("name", [REPORT, AGGREGATE])
def test_an_expired_cursor_of_a_query_begins_again(name: str) -> None:
    """As that of a collection; a 400 to the first page is one."""
    more = page_reply([1], "/api/x?page_cursor=a")
    with scripted(more, expired(), more, page_reply([2])) as (client, server, _):
        found = [row for page in query_pages(client, name, {"metric_id": "M"}) for row in page["results"]]
        assert found == [1, 1, 2]
        assert len(server.seen) == 4
    with scripted(expired()) as (client, server, _), pytest.raises(errors.BadRequest, match="Invalid cursor"):
        list(query_pages(client, name, {"metric_id": "M"}))
    assert len(server.seen) == 1


def test_an_expired_cursor_begins_again() -> None:
    """From the first page, three times; another 400, and a fourth one, is an error."""
    more = [linked(f"/api/tags?page%5Bcursor%5D={at}", "A") for at in range(5)]
    with scripted(more[0], expired(), more[1], linked(None, "B")) as (client, _, _):
        assert [resource["id"] for page in client.pages("get_tags") for resource in page.data] == ["A", "A", "B"]
    with scripted(*[reply for link in more for reply in (link, expired())]) as (client, server, _):
        with pytest.raises(errors.BadRequest, match="Invalid cursor"):
            list(client.pages("get_tags"))
        assert len(server.seen) == 8
    with scripted(more[0], Reply(400, body=b'{"errors": [{"detail": "Invalid."}]}')) as (client, server, _):
        with pytest.raises(errors.BadRequest, match=r"Invalid\."):
            list(client.pages("get_tags"))
        assert len(server.seen) == 2
