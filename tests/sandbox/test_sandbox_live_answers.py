"""How live Klaviyo was seen to answer where the specification is silent or says something else."""

from __future__ import annotations

import pytest
from support.calls import Caller
from support.declared import READS, minimal_query
from support.full_account import fill_account

WITHOUT_NULL_LINKS = (
    "get_custom_metrics",
    "get_mapped_metrics",
    "get_properties_for_metric",
    "get_messages_for_campaign",
)


class FullAccount:
    """An account that has rows of every type, and the documents that it answers."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.paths = fill_account(sandbox)
        self.caller = Caller(sandbox.url)

    def read(self, operation, **query):
        """The document that answers an operation."""
        answer = self.caller.get(self.paths[operation], **minimal_query(operation), **query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def full(make_shared_sandbox):
    """An account with something behind every operation."""
    account = FullAccount(make_shared_sandbox(profiles=130, events=400, limits=False, job_seconds=0.0))
    yield account
    account.caller.close()


# Links


def test_the_last_page_names_no_other_page(full):
    """Its links to the next page and the one before are null; four lists leave them out."""
    collections = 0
    for operation in READS:
        document = full.read(operation)
        if not isinstance(document["data"], list):
            assert set(document["links"]) == {"self"}, operation
            continue
        collections += 1
        names = {"self"} if operation in WITHOUT_NULL_LINKS else {"self", "next", "prev"}
        assert set(document["links"]) == names, operation
        assert document["links"].get("prev") is None, operation
    assert collections > 80


def test_pages_name_those_beside_them(full):
    """The first has none before it, the last none after it, those between have both."""
    pages = list(full.caller.pages("profiles", page__size=50))
    found = [[page["links"][name] is not None for name in ("prev", "next")] for page in pages]
    assert found == [[False, True], [True, True], [True, False]]


@pytest.mark.parametrize("kind", ["form-values", "form-series", "segment-values", "segment-series"])
def test_reports_without_pages_have_no_links_to_any(full, kind):
    """Forms and segments have all of a report on one page."""
    statistic = "viewed_form" if kind.startswith("form") else "total_members"
    attributes = {"statistics": [statistic], "timeframe": {"key": "last_month"}}
    if kind.endswith("series"):
        attributes["interval"] = "weekly"
    answer = full.caller.post(f"{kind}-reports", {"data": {"type": f"{kind}-report", "attributes": attributes}})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["links"]) == {"self"}


def test_other_reports_have_null_links(full):
    """Of campaigns, flows and aggregates, as of lists."""
    metric = next(iter(full.sandbox.store.metrics.rows))
    attributes = {"statistics": ["opens"], "timeframe": {"key": "last_month"}, "conversion_metric_id": metric}
    times = ["greater-or-equal(datetime,2026-01-05T00:00:00)", "less-than(datetime,2026-01-09T00:00:00)"]
    bodies = {
        "campaign-values-report": attributes,
        "flow-values-report": attributes,
        "flow-series-report": {**attributes, "interval": "weekly"},
        "metric-aggregate": {"metric_id": metric, "measurements": ["count"], "filter": times},
    }
    for kind, body in bodies.items():
        answer = full.caller.post(f"{kind}s", {"data": {"type": kind, "attributes": body}})
        assert answer.status_code == 200, answer.text
        links = answer.json()["links"]
        assert (set(links), links["next"], links["prev"]) == ({"self", "next", "prev"}, None, None), kind
