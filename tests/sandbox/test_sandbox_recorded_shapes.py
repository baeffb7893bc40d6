"""What was recorded of the real API and differs from its documents, or is easily forgotten: all of it is met here.

One test for each detail. Members that the specification does not declare (`ignore_unsubscribes` of a campaign's
options, `conversation` of a list's member) are not among them: the specification wins.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import requests
from support.calls import KEY, REVISION
from support.patience import PATIENCE

from klaviyo_sandbox import serve
from klaviyo_sandbox.http.oauth import OAuthApp

EMAIL, SMS = "equals(messages.channel,'email')", "equals(messages.channel,'sms')"
WHOLE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
FINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
SPACED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00")


def error(answer):
    """The one error of a refusal."""
    assert answer.headers["content-type"] == "application/vnd.api+json"
    (found,) = answer.json()["errors"]
    assert uuid.UUID(found["id"])
    assert found["status"] == answer.status_code
    assert found["detail"]
    return found


def campaigns(read):
    return [
        row
        for channel in (EMAIL, SMS)
        for archived in ("true", "false")
        for row in read.rows("campaigns", filter=f"{channel},equals(archived,{archived})")
    ]


# Values


def test_times_of_campaigns_have_microseconds(read):
    """Those of all else are whole seconds, with an explicit zone."""
    found = campaigns(read)
    for name in ("created_at", "updated_at"):
        assert all(FINE.fullmatch(row["attributes"][name]) for row in found), name
    for path, name in (("profiles", "updated"), ("events", "datetime"), ("lists", "created"), ("flows", "updated")):
        assert all(WHOLE.fullmatch(row["attributes"][name]) for row in read.rows(path)), path


def test_times_of_consent_may_have_a_space(read):
    """Some do and some do not, in one account."""
    rows = read.rows("profiles", additional_fields__profile="subscriptions", page__size=100)
    times = [row["attributes"]["subscriptions"]["email"]["marketing"]["consent_timestamp"] for row in rows]
    assert {bool(SPACED.fullmatch(at)) for at in times if at} == {True, False}
    assert all(SPACED.fullmatch(at) or WHOLE.fullmatch(at) for at in times if at)


def test_coordinates_are_numbers_or_text(read):
    """Klaviyo gives them as they came in."""
    places = [row["attributes"]["location"] for row in read.rows("profiles", page__size=100)]
    for name in ("latitude", "longitude"):
        assert {type(place[name]) for place in places} == {float, str, type(None)}


def test_properties_are_of_any_type(read):
    """Of an event as of a profile, and the same property of different types."""
    for path, name in (("events", "event_properties"), ("profiles", "properties")):
        values = [row["attributes"][name] or {} for row in read.rows(path)]
        kinds = {type(value) for found in values for value in found.values()}
        assert {str, int, float, bool, list} <= kinds, path
        if path == "events":
            by_name = {}
            for found in values:
                for key, value in found.items():
                    by_name.setdefault(key, set()).add(type(value))
            assert any(len(types - {type(None)}) > 1 for types in by_name.values())


def test_the_category_of_an_integration_is_a_text(read, call):
    """That of "API", too, also where an event brings the metric into being."""
    metric = {"data": {"type": "metric", "attributes": {"name": "Watered a plant"}}}
    profile = {"data": {"type": "profile", "attributes": {"email": "a@example.com"}}}
    attributes = {"metric": metric, "profile": profile, "properties": {}}
    assert call.post("events", {"data": {"type": "event", "attributes": attributes}}).status_code == 202
    found = [row["attributes"] for row in (*read.rows("metrics"), *call.rows("metrics"))]
    assert "API" in {row["integration"]["name"] for row in found}
    assert "Watered a plant" in {row["name"] for row in found}
    assert {type(row["integration"]["category"]) for row in found} == {str}


def test_a_draft_has_no_send_times(read):
    """An empty list, not null."""
    drafts = [row["id"] for row in campaigns(read) if row["attributes"]["status"] == "Draft"]
    times = [
        row["attributes"]["send_times"]
        for row_id in drafts
        for row in read.rows(f"campaigns/{row_id}/campaign-messages")
    ]
    assert times
    assert times == [[]] * len(times)


# Relationships


def test_empty_relationships_are_lists_or_null(read):
    """`[]` where there may be many, `null` where there may be one, and no member where nothing was asked."""
    tags = [row["relationships"]["tags"] for row in read.rows("lists", include="tags")]
    assert [] in [found["data"] for found in tags]
    assert all("data" not in row["relationships"]["tags"] for row in read.rows("lists"))
    messages = [message for row in campaigns(read) for message in read.rows(f"campaigns/{row['id']}/campaign-messages")]
    templates = [
        read.get(f"campaign-messages/{row['id']}", include="template").json()["data"]["relationships"]["template"]
        for row in messages
    ]
    assert None in [found["data"] for found in templates]


def test_attributions_are_absent_where_there_are_none(read):
    """The relationship itself is missing, even when it was asked for."""
    rows = read.rows("events", include="attributions", page__size=1000)
    assert {"attributions" in row["relationships"] for row in rows} == {True, False}


# Headers


def identity(answer):
    """The id of an answer, whose other identifying headers are as they must be."""
    assert answer.headers["x-klaviyo-api-revision"] == REVISION
    assert answer.headers["x-klaviyo-api-retirement-date"] == "2028-07-15"
    return uuid.UUID(answer.headers["x-klaviyo-req-id"])


def test_every_answer_names_itself_and_its_revision(limited):
    """Whatever its status; no two have the same id."""
    answers = [
        *(ask(limited, path) for path in ("events", "events?sort=colour", "events/NOBODY", "nowhere", "lists/")),
        ask(limited, "events", Authorization="Bearer x"),
        *(ask(limited, "tags") for _ in range(4)),
        requests.put(f"{limited.url}/api/events", timeout=PATIENCE),
    ]
    assert {200, 400, 401, 404, 405, 429} <= {answer.status_code for answer in answers}
    assert len({identity(answer) for answer in answers}) == len(answers)


@pytest.mark.parametrize("path", ["/api/events", "/api/templates", "/api/nowhere", "/oauth/token"])
@pytest.mark.parametrize("method", ["TRACE", "QUERY", "PROPFIND", "HEAD", "OPTIONS"])
def test_an_answer_to_a_method_that_nothing_takes_names_itself_too(method, path):
    """Klaviyo's 405, or its 404 where nothing is, in its words; the methods are those that the path has."""
    with serve(profiles=1, events=0, oauth=OAuthApp("app", "secret", "refresh")) as sandbox:
        answer = requests.request(method, f"{sandbox.url}{path}", timeout=PATIENCE)
    identity(answer)
    assert answer.status_code == (404 if path == "/api/nowhere" else 405)
    allowed = {"/api/events": "GET, POST", "/api/templates": "GET, POST", "/oauth/token": "POST"}
    assert answer.headers.get("allow") == allowed.get(path)


def test_a_refusal_by_a_fault_names_itself_unless_it_is_a_proxys():
    """A 429 and a 503 that come without a reason are Klaviyo's, too; a page of HTML is not."""
    with serve(profiles=1, events=0, faults="429=0.5,503=0.5", limits=False) as sandbox:
        answers = [ask(sandbox, "lists") for _ in range(20)]
    kinds = {(answer.status_code, answer.headers["content-type"]) for answer in answers}
    assert len(kinds) == 3
    for answer in answers:
        if answer.headers["content-type"] == "text/html":
            assert "x-klaviyo-req-id" not in answer.headers
        else:
            identity(answer)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "events", "GET, POST"),
        ("POST", "metrics", "GET"),
        ("DELETE", "profiles/X", "GET, PATCH"),
        ("PATCH", "lists/X/relationships/profiles", "DELETE, GET, POST"),
        ("GET", "event-bulk-create-jobs", "POST"),
    ],
)
def test_a_405_names_the_methods_that_there_are(reading, method, path, allowed):
    """In the header that HTTP has for it."""
    answer = requests.request(method, f"{reading.url}/api/{path}", timeout=PATIENCE)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


# Limits


@pytest.fixture
def limited():
    """A small account whose limits hold, in the middle of a second that does not pass."""
    now = datetime(2026, 6, 1, 12, 0, 0, 500_000, tzinfo=UTC).timestamp()
    with serve(profiles=5, events=5, clock=lambda: now) as sandbox:
        yield sandbox


def ask(sandbox, path, **headers):
    given = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION, **headers}
    return requests.get(f"{sandbox.url}/api/{path}", headers=given, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("path", "status"), [("events", 200), ("events?sort=colour", 400), ("events/0NOBODYHERE", 404)]
)
def test_every_answer_but_a_429_tells_of_the_limits(limited, path, status):
    """First the tightest number, then each window; what remains is of the present second."""
    answer = ask(limited, path)
    burst, steady = (10, 150) if status == 404 else (350, 3500)
    assert answer.status_code == status
    assert answer.headers["ratelimit-limit"] == f"{burst}, {burst};w=1, {steady};w=60"
    assert answer.headers["ratelimit-remaining"] == str(burst - 1)
    assert answer.headers["ratelimit-reset"] == "0"


def test_a_429_tells_only_when_to_come_back(limited):
    """In whole seconds, and in its words."""
    answers = [ask(limited, "tags") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].headers["retry-after"] == "1"
    assert not [name for name in answers[3].headers if name.lower().startswith("ratelimit")]
    found = error(answers[3])
    assert (found["code"], found["title"]) == ("throttled", "Request was throttled.")
    assert found["detail"] == "Request was throttled. Expected available in 1 second."
    assert found["source"] == {"pointer": "/data"}


# Refusals


@pytest.mark.parametrize(
    ("path", "parameter", "words"),
    [
        ("profiles?page[size]=101", "page_size", "between 1 and 100"),
        ("profiles?filter=contains(email,'a')", "filter", "any"),
        ("profiles?page[cursor]=bm9wZQ", "page_cursor", "Invalid cursor provided."),
        ("profiles?sort=shoe_size", "sort", "updated"),
    ],
)
def test_a_400_names_the_parameter_and_what_is_allowed(reading, path, parameter, words):
    """With underscores for a bracketed one, as the API does."""
    found = error(ask(reading, path))
    assert (found["code"], found["title"]) == ("invalid", "Invalid input.")
    assert found["source"] == {"parameter": parameter}
    assert words in found["detail"]


def test_a_401_says_so(reading):
    """Without a key as with a wrong one."""
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer pk_x"}):
        answer = ask(reading, "profiles", **headers)
        found = error(answer)
        assert (answer.status_code, found["code"]) == (401, "authentication_failed")
        assert found["title"] == "Incorrect authentication credentials."


def test_a_403_names_the_scopes():
    """A key without the scope of an operation is told which."""
    with serve(profiles=1, events=0, scopes="lists:read") as sandbox:
        answer = ask(sandbox, "profiles")
    found = error(answer)
    assert (answer.status_code, found["code"]) == (403, "permission_denied")
    assert found["title"] == "You do not have permission to perform this action."
    assert "profiles:read" in found["detail"]


def test_a_404_says_what_is_not_there(reading):
    """Kind and id."""
    found = error(ask(reading, "flows/AbCdEf"))
    assert (found["code"], found["title"], found["source"]) == ("not_found", "Not found.", {"pointer": "/data/"})
    assert found["detail"] == "A Flow with id AbCdEf does not exist."


def test_a_409_names_the_other_profile(call, writing):
    """Whoever creates somebody who is there already is told who that is."""
    person = next(row for row in writing.store.profiles.rows.values() if row["email"])
    body = {"data": {"type": "profile", "attributes": {"email": person["email"]}}}
    answer = call.post("profiles", body)
    found = error(answer)
    assert (answer.status_code, found["code"], found["title"]) == (409, "duplicate_profile", "Conflict.")
    assert found["meta"] == {"duplicate_profile_id": person["id"]}


def test_a_503_may_be_no_json():
    """A proxy's page, or the account's own document; both come."""
    with serve(profiles=1, events=0, faults="503=1", limits=False) as sandbox:
        kinds = {ask(sandbox, "lists").headers["content-type"] for _ in range(20)}
    assert kinds == {"text/html", "application/vnd.api+json"}


# Filters on time


def test_a_window_in_a_second_is_refused(reading):
    """Empty windows are a 400, so a reader must not ask for less than a second."""
    for window in (
        "greater-than(datetime,2026-01-01T00:00:00.2Z),less-than(datetime,2026-01-01T00:00:00.7Z)",
        "greater-than(datetime,2026-01-01T00:00:00Z),less-than(datetime,2026-01-01T00:00:00Z)",
    ):
        found = error(ask(reading, f"events?filter={window}"))
        assert found["source"] == {"parameter": "filter"}
        assert "is empty or invalid" in found["detail"]


def test_a_beginning_in_the_future_is_refused(limited):
    """In the words of the API, which speaks of an end; the pointer is the field."""
    email = "equals(messages.channel,'email')"
    for path, text, field in (
        ("campaigns", f"{email},greater-than(updated_at,2027-02-05T21:46:42.000Z)", "updated_at"),
        ("events", "greater-than(datetime,2027-02-05T21:46:42.000Z)", "datetime"),
    ):
        answer = ask(limited, f"{path}?filter={text}")
        found = error(answer)
        assert (answer.status_code, found["code"], found["title"]) == (400, "invalid", "Invalid input.")
        assert found["detail"] == "End date may not be in the future: YYYY-mm-ddTHH:MM:SS"
        assert found["source"] == {"pointer": field}
    assert ask(limited, "events?filter=less-than(datetime,2027-02-05T21:46:42Z)").status_code == 200


def test_events_may_be_dated_ahead(make_sandbox):
    """Whoever sends them says when they were; a bookmark must not follow."""
    sandbox = make_sandbox(profiles=2, events=2, limits=False)
    sandbox.control.add_events(1, seconds=30 * 86_400)
    newest = ask(sandbox, "events?sort=-datetime").json()["data"][0]
    assert datetime.fromisoformat(newest["attributes"]["datetime"]) > datetime.now(UTC) + timedelta(days=29)
