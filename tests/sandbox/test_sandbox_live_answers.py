"""How live Klaviyo was seen to answer where the specification is silent or says something else."""

from __future__ import annotations

import base64
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from support.calls import Caller
from support.conformance import revision_of
from support.declared import READS, minimal_query
from support.full_account import fill_account

WHOLE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
FINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
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
        answer = self.caller.get(self.paths[operation], revision_of(operation), **minimal_query(operation), **query)
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
        is_bare = operation.partition("@")[0] in WITHOUT_NULL_LINKS
        names = {"self"} if is_bare else {"self", "next", "prev"}
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


# Relationships

WITH_DATA = {
    "get_events": ("metric", "profile"),
    "get_event": ("metric", "profile"),
    "get_tags": ("tag-group",),
    "get_tag": ("tag-group",),
    "get_tags_for_list": ("tag-group",),
    "get_tags_for_tag_group": ("tag-group",),
    "get_forms": ("form-versions",),
    "get_properties_for_metric": ("metric",),
    "get_bulk_create_coupon_code_jobs": ("coupon-codes",),
    "get_bulk_create_coupon_codes_job": ("coupon-codes",),
    "get_bulk_import_profiles_jobs": ("lists",),
    "get_bulk_import_profiles_job": ("lists",),
    "get_bulk_suppress_profiles_jobs": ("lists",),
    "get_bulk_suppress_profiles_job": ("lists",),
    "get_bulk_unsuppress_profiles_jobs": ("lists",),
    "get_bulk_unsuppress_profiles_job": ("lists",),
    "get_campaigns": ("campaign-messages",),
    "get_actions_for_flow": ("flow",),
}


@pytest.mark.parametrize("operation", WITH_DATA)
def test_some_relationships_name_resources_without_include(full, operation):
    """Their type and id, beside the links; all others have links only."""
    data = full.read(operation)["data"]
    for row in data if isinstance(data, list) else [data]:
        relationships = row["relationships"]
        assert {name for name in relationships if "data" in relationships[name]} == set(WITH_DATA[operation])


def test_what_relationships_name_without_include_is_what_they_name_with_it(full):
    """Of an event the person and the metric, of a tag its group."""
    for operation, names in (("get_events", "metric,profile"), ("get_tags", "tag-group")):
        bare, included = (full.read(operation, **query)["data"] for query in ({}, {"include": names}))
        assert [row["relationships"] for row in bare] == [row["relationships"] for row in included]
    job = full.read("get_bulk_import_profiles_jobs")["data"][0]
    assert job["relationships"]["lists"]["data"] == [{"type": "list", "id": next(iter(full.sandbox.store.lists.rows))}]


def test_a_mapped_metric_that_is_mapped_to_nothing_has_no_relationships(full):
    """Not even links, and also where they are asked for."""
    for query in ({}, {"include": "metric,custom-metric"}):
        rows = {row["id"]: row for row in full.read("get_mapped_metrics", **query)["data"]}
        assert {name for name, row in rows.items() if "relationships" not in row} == {
            "cancelled_sales",
            "refunded_sales",
        }


def test_a_procedural_account_names_people_and_metrics_of_events_too(make_sandbox):
    """Its pages are made in another way."""
    caller = Caller(make_sandbox(profiles=300, events=600, procedural=True, limits=False).url)
    for row in caller.get("events").json()["data"]:
        for kind in ("metric", "profile"):
            identity = row["relationships"][kind]["data"]
            assert caller.get(f"{kind}s/{identity['id']}").json()["data"]["type"] == identity["type"] == kind
    caller.close()


# Profiles


def test_a_fresh_profile_has_whole_subscriptions(call):
    """Nobody asked for consent yet: objects that say so, where one would expect nothing."""
    call.post("profiles", {"data": {"type": "profile", "attributes": {"email": "fresh@example.com"}}})
    query = {"filter": 'equals(email,"fresh@example.com")', "additional_fields__profile": "subscriptions"}
    ((row,),) = (call.rows("profiles", **query),)
    subscriptions = row["attributes"]["subscriptions"]
    times = dict.fromkeys(("consent_timestamp", "last_updated"))
    by_api = {**times, "method": None, "method_detail": None}
    tracking = {**times, "created_timestamp": None, "valid_until": None, "metadata": {}, "can_receive": False}
    never = {"consent": "NEVER_SUBSCRIBED"}
    lists = {"suppression": [], "list_suppressions": []}
    rest = {"custom_method_detail": None, "double_optin": None, **lists}
    assert subscriptions == {
        "email": {
            "marketing": {"can_receive_email_marketing": True, **never, **by_api, **rest},
            "open_tracking": {**never, **tracking},
            "click_tracking": {**never, **tracking},
        },
        "sms": {
            "marketing": {"can_receive_sms_marketing": False, **never, **by_api},
            "transactional": {"can_receive_sms_transactional": False, **never, **by_api},
        },
        "mobile_push": {"marketing": {"can_receive_push_marketing": False, **never, "consent_timestamp": None}},
        "whatsapp": None,
    }


def test_what_is_predicted_of_a_fresh_profile_is_ten_nulls(call):
    """An object of nothing, however the profile came to be."""
    attributes = {"email": "fresh@example.com"}
    call.post("profile-import", {"data": {"type": "profile", "attributes": attributes}})
    query = {"filter": 'equals(email,"fresh@example.com")', "additional_fields__profile": "predictive_analytics"}
    ((row,),) = (call.rows("profiles", **query),)
    assert list(row["attributes"]["predictive_analytics"].values()) == [None] * 10


def test_every_profile_has_whole_objects(read):
    """Those that were in the account from the beginning, too: none is null but the channel that no one is in."""
    query = {"additional_fields__profile": "subscriptions,predictive_analytics"}
    rows = [row["attributes"] for row in read.rows("profiles", page__size=100, **query)]
    for row in rows:
        email, sms, push = (row["subscriptions"][channel] for channel in ("email", "sms", "mobile_push"))
        kinds = [*email.values(), *sms.values(), *push.values()]
        assert (len(kinds), None in kinds, len(row["predictive_analytics"])) == (6, False, 10)
    assert {all(value is None for value in row["predictive_analytics"].values()) for row in rows} == {True, False}


# Times


def test_answers_to_writes_of_profiles_have_microseconds(call):
    """Created and updated; reads show the same times by the second."""
    body = {"data": {"type": "profile", "attributes": {"email": "fine@example.com"}}}
    made = call.post("profiles", body).json()["data"]
    patched = call.send("PATCH", f"profiles/{made['id']}", {"data": {**body["data"], "id": made["id"]}}).json()["data"]
    for answer in (made, call.post("profile-import", body).json()["data"], patched):
        shown = call.get(f"profiles/{made['id']}").json()["data"]["attributes"]
        for name in ("created", "updated"):
            assert FINE.fullmatch(answer["attributes"][name])
            assert WHOLE.fullmatch(shown[name])
    assert made["attributes"]["created"][:19] == shown["created"][:19]


def test_a_profile_that_was_there_keeps_its_time_in_an_answer(make_sandbox):
    """What was created long ago was not created now, to the microsecond of the account's own clock."""
    now = datetime(2026, 6, 2, 12, 0, 0, 250_000, tzinfo=UTC)
    sandbox = make_sandbox(limits=False, clock=now.timestamp)
    caller = Caller(sandbox.url)
    row = next(iter(sandbox.store.profiles.rows.values()))
    body = {"data": {"type": "profile", "id": row["id"], "attributes": {"first_name": "Ada"}}}
    attributes = caller.send("PATCH", f"profiles/{row['id']}", body).json()["data"]["attributes"]
    assert attributes["created"] == row["created"].replace("+", ".000000+")
    assert attributes["updated"] == "2026-06-02T12:00:00.250000+00:00"
    caller.close()


def suppressions(caller, **query):
    """The times of all suppressions of an account."""
    rows = caller.rows("profiles", page__size=100, additional_fields__profile="subscriptions", **query)
    marketing = [row["attributes"]["subscriptions"]["email"]["marketing"] for row in rows]
    return [entry["timestamp"] for found in marketing for entry in (*found["suppression"], *found["list_suppressions"])]


def test_times_of_suppressions_have_microseconds(read, call):
    """Those from the beginning, and those that come from a job or an unsubscription; filters compare them as times."""
    assert all(FINE.fullmatch(at) for at in suppressions(read))
    person = {"type": "profile", "attributes": {"email": "off@example.com"}}
    call.post("profiles", {"data": person})
    kind = "profile-suppression-bulk-create-job"
    call.post(f"{kind}s", {"data": {"type": kind, "attributes": {"profiles": {"data": [person]}}}})
    kind = "profile-subscription-bulk-delete-job"
    off = {"email": {"marketing": {"consent": "UNSUBSCRIBED"}}}
    rows = [{"type": "profile", "attributes": {"email": "off@example.com", "subscriptions": off}}]
    call.post(f"{kind}s", {"data": {"type": kind, "attributes": {"profiles": {"data": rows}}}})
    times = suppressions(call, filter='equals(email,"off@example.com")')
    assert (len(times), all(FINE.fullmatch(at) for at in times)) == (2, True)
    path = "subscriptions.email.marketing.suppression.timestamp"
    at = datetime.fromisoformat(max(times))
    for microseconds, found in ((0, 1), (1, 0)):
        bound = (at + timedelta(microseconds=microseconds)).isoformat()
        text = f'equals(email,"off@example.com"),greater-or-equal({path},{bound.replace("+00:00", "Z")})'
        assert len(call.rows("profiles", filter=text)) == found


def test_times_of_some_resources_have_microseconds(full):
    """Of mapped metrics and universal content."""
    for operation, names in (
        ("get_mapped_metrics", ["updated"]),
        ("get_all_universal_content", ["created", "updated"]),
    ):
        for row in full.read(operation)["data"]:
            assert all(FINE.fullmatch(row["attributes"][name]) for name in names), operation


# Ids and values

ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
ID_FORMS = {
    "get_custom_metrics": ULID,
    "get_data_sources": ULID,
    "get_web_feeds": re.compile(r"[1-9]\d*"),
    "get_all_universal_content": re.compile(r"[0-9a-f]{32}"),
}


@pytest.mark.parametrize("operation", ID_FORMS)
def test_ids_have_the_form_that_their_resources_have(full, operation):
    """ULIDs, digits or hex digits, and one by which the resource is found."""
    rows = full.read(operation)["data"]
    assert len({row["id"] for row in rows}) == len(rows) > 0
    for row in rows:
        assert ID_FORMS[operation].fullmatch(row["id"])
        assert full.caller.session.get(row["links"]["self"]).json()["data"]["id"] == row["id"]


def test_the_id_of_a_metric_property_is_the_metric_and_the_property(full):
    """In base64, with a point between them."""
    rows = full.read("get_properties_for_metric")["data"]
    assert rows
    for row in rows:
        metric_id = row["relationships"]["metric"]["data"]["id"]
        text = base64.urlsafe_b64decode(row["id"]).decode()
        assert text == f"{metric_id}.{row['attributes']['property']}"


def test_documents_of_reports_have_an_id(full):
    """A UUID, another one each time."""
    metric = next(iter(full.sandbox.store.metrics.rows))
    statistics = {"campaign": "opens", "flow": "opens", "form": "viewed_form", "segment": "total_members"}
    bodies = {}
    for kind in ("campaign-values", "flow-values", "flow-series", "form-values", "form-series", "segment-values"):
        subject, _, form = kind.partition("-")
        attributes = {"statistics": [statistics[subject]], "timeframe": {"key": "last_month"}}
        bodies[f"{kind}-report"] = attributes | ({"interval": "weekly"} if form == "series" else {})
        if subject in ("campaign", "flow"):
            attributes["conversion_metric_id"] = bodies[f"{kind}-report"]["conversion_metric_id"] = metric
    ids = []
    for kind, attributes in [*bodies.items(), *bodies.items()]:
        answer = full.caller.post(f"{kind}s", {"data": {"type": kind, "attributes": attributes}})
        assert answer.status_code == 200, answer.text
        ids.append(uuid.UUID(answer.json()["data"]["id"]))
    assert len(set(ids)) == len(ids)


def test_a_low_balance_threshold_is_a_text(full):
    """Although it is a number of codes."""
    found = [row["attributes"]["monitor_configuration"] or {} for row in full.read("get_coupons")["data"]]
    assert [each["low_balance_threshold"] for each in found if each] == ["500"]


def test_a_missing_image_of_a_catalog_is_an_empty_text(full):
    """What else is missing is null."""
    for path in ("catalog-items", "catalog-variants"):
        rows = [row["attributes"] for row in full.caller.rows(path)]
        for name in ("image_full_url", "image_thumbnail_url"):
            values = [row[name] for row in rows]
            assert (None in values, "" in values) == (False, True), (path, name)
        assert any(row["description"] is None for row in rows)
