"""Queries: reads by POST, their pages and their daily limit, over a real socket."""

from __future__ import annotations

import json

import pytest
from test_client_retries import RESET, Reply, scripted

from klaviyo_client import errors
from klaviyo_client.queries import query_pages

REPORT, AGGREGATE = "query_campaign_values", "query_metric_aggregates"
ATTRIBUTES = {"statistics": ["opens"]}


def page_reply(results: list[object], link: object = None) -> Reply:
    document = {"data": {"attributes": {"results": results}}, "links": {"self": "x", "next": link}}
    return Reply(body=json.dumps(document).encode())


def test_a_query_is_retried() -> None:
    """It changes nothing, so that it is sent again when its answer was lost."""
    with scripted(Reply(RESET), Reply(503), page_reply([1])) as (client, server, _):
        assert [page["results"] for page in query_pages(client, REPORT, ATTRIBUTES)] == [[1]]
        assert len(server.seen) == 3


def test_a_report_is_requested_again_at_each_next_link() -> None:
    """The link's own query, the same body; the page without a link is the last."""
    with scripted() as (client, server, _):
        server.script = [page_reply([1], f"{server.url}/api/campaign-values-reports?page_cursor=abc"), page_reply([2])]
        assert [page["results"] for page in query_pages(client, REPORT, ATTRIBUTES)] == [[1], [2]]
        assert [path for _, path, _ in server.seen] == [
            "/api/campaign-values-reports",
            "/api/campaign-values-reports?page_cursor=abc",
        ]
        assert (
            server.bodies[0]
            == server.bodies[1]
            == {"data": {"type": "campaign-values-report", "attributes": ATTRIBUTES}}
        )


@pytest.mark.parametrize("parameter", ["page_cursor", "page%5Bcursor%5D"])
def test_the_cursor_of_an_aggregate_goes_into_the_body(parameter: str) -> None:
    """As the specification declares it, whatever the link calls it."""
    with scripted() as (client, server, _):
        server.script = [page_reply([1], f"{server.url}/api/metric-aggregates?{parameter}=abc"), page_reply([2])]
        assert len(list(query_pages(client, AGGREGATE, {"metric_id": "M"}))) == 2
        assert [body["data"]["attributes"] for body in server.bodies] == [
            {"metric_id": "M"},
            {"metric_id": "M", "page_cursor": "abc"},
        ]
        assert [path for _, path, _ in server.seen] == ["/api/metric-aggregates"] * 2


def test_a_page_that_leads_to_itself_is_an_error() -> None:
    """It would be requested until the daily limit is reached."""
    with scripted() as (client, server, _):
        server.script = [page_reply([1], f"{server.url}/api/campaign-values-reports?page_cursor=abc")]
        with pytest.raises(errors.BadDocument, match="the pages repeat"):
            list(query_pages(client, REPORT, ATTRIBUTES))
        assert len(server.seen) == 4


def test_a_link_to_elsewhere_is_not_followed() -> None:
    """The key stays at its origin."""
    script = page_reply([1], "https://example.org/?page_cursor=abc")
    with scripted(script) as (client, _, _), pytest.raises(errors.UntrustedOrigin):
        list(query_pages(client, REPORT, ATTRIBUTES))


def test_a_daily_limit_that_others_have_used_up_is_not_waited_for() -> None:
    """A 429 that lasts longer than any wait can only be the day's."""
    with scripted(Reply(429, headers={"retry-after": "40000"})) as (client, server, waits):
        with pytest.raises(errors.DailyLimitReached) as caught:
            list(query_pages(client, REPORT, ATTRIBUTES))
        assert caught.value.retry_after == 40_000
        assert len(server.seen) == 1
        assert sum(waits) == 0


def test_the_daily_limit_is_kept() -> None:
    """What earlier runs sent counts; the request that would be too many is not sent."""
    with scripted(page_reply([])) as (client, server, _):
        client.add_past_requests(REPORT, [60.0] * 200)
        assert client.requests_left_today(REPORT) == 2  # nine tenths of 225
        for _ in range(2):
            list(query_pages(client, REPORT, ATTRIBUTES))
        with pytest.raises(errors.DailyLimitReached):
            list(query_pages(client, REPORT, ATTRIBUTES))
        assert len(server.seen) == 2
        assert client.requests_left_today(AGGREGATE) is None
