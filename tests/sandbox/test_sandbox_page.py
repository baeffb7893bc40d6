"""The sandbox's pages, over a socket and without a browser."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from support.calls import REVISION, Caller, import_job
from support.patience import PATIENCE

from klaviyo_sandbox.account.procedural.account import build_procedural
from klaviyo_sandbox.browser import html, live
from klaviyo_sandbox.browser.model import Link, Table, View
from klaviyo_sandbox.http import request_log
from klaviyo_sandbox.http.oauth import OAuthApp
from klaviyo_sandbox.http.quotas import Budget, Quotas
from klaviyo_sandbox.http.request_log import LoggedRequest
from klaviyo_sandbox.http.traffic import Traffic
from klaviyo_sandbox.writes import bodies

NASTY = """"'><script>console.error("run")</script><img src=x onerror='console.error("it")'>"""
TABLES = ("profiles", "lists", "segments", "events", "metrics", "campaigns", "flows", "templates", "tags")
HTML = {"Accept": "text/html"}
# Attributes that hold texts of the account.
TEXT_ATTRIBUTES = ("data-label", "title", "href")


class Page(HTMLParser):
    """A parsed page: its tags with their attributes, its text, and the text of each tag that has an id."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []
        self.text = ""
        self.text_by_id: dict[str, str] = {}
        self._id: str | None = None
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._id = dict(attrs).get("id")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._id:
            self.text_by_id[self._id] = data
            self._id = None

    def links(self) -> set[str]:
        return {str(attributes["href"]) for tag, attributes in self.tags if tag == "a"}


def open_page(url: str, path: str, status: int = 200) -> Page:
    response = requests.get(url + path, headers=HTML, timeout=PATIENCE)
    assert response.status_code == status, (path, response.text)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return Page(response.text)


def test_the_numbers_are_those_of_the_account(reading):
    """Every tile says how many rows its table holds, and every list and segment how many members."""
    page = open_page(reading.url, "/")
    store = reading.store
    assert {name: page.text_by_id[f"total-{name}"] for name in TABLES} == {
        name: f"{len(getattr(store, name)):,}" for name in TABLES
    }
    source = requests.get(reading.url, timeout=PATIENCE).text
    rows = re.findall(r'<a href="/(?:lists|segments)/(\w+)">[^<]+</a></span></td><td[^>]+><span>([\d,]+)<', source)
    members = {**store.list_members, **store.segment_members}
    assert dict(rows) == {group_id: f"{len(table):,}" for group_id, table in members.items()}


def test_every_link_of_every_page_leads_somewhere(reading):
    """All pages that can be reached by links are there, and every row that has a page is among them."""
    seen: set[str] = set()
    new = {"/"}
    while new:
        path = new.pop()
        seen.add(path)
        new |= {link for link in open_page(reading.url, path).links() if link.startswith("/")} - seen
    kinds = ("profiles", "lists", "segments", "events", "campaigns", "flows")
    assert {f"/{kind}/{row_id}" for kind in kinds for row_id in getattr(reading.store, kind).rows} <= seen


def test_what_was_pushed_is_on_the_page(writing, call):
    """A bulk import is there as a write, a job, a member of its list and a profile; its page says whose row failed."""
    list_id, name = next((row["id"], row["name"]) for row in writing.store.lists.rows.values())
    for attributes in ({"email": "a@example.com"}, {"external_id": "b"}):
        call.post("profile-import", {"data": {"type": "profile", "attributes": attributes}})
    clash = {"email": "a@example.com", "external_id": "b"}
    call.post("profile-bulk-import-jobs", import_job([clash, {"email": "ada@example.com"}], [list_id]))
    (job,) = writing.store.jobs.rows.values()
    page = open_page(writing.url, "/")
    assert "bulk_import_profiles" in page.text
    assert f"/jobs/{job['id']}" in page.links()
    profile_id = writing.store.find_profile_id("email", "ada@example.com")
    assert f"/profiles/{profile_id}" in page.links()
    assert name in open_page(writing.url, f"/profiles/{profile_id}").text
    assert "ada@example.com" in open_page(writing.url, f"/lists/{list_id}").text
    details = open_page(writing.url, f"/jobs/{job['id']}").text
    assert "complete" in details
    assert "duplicate_profile" in details
    assert "a@example.com" in details


def test_hostile_values_are_text(writing, call):
    """Names, properties, metrics, lists and searches that look like HTML show as they are on every page."""
    attributes = {"email": "evil@example.com", "first_name": NASTY, "properties": {NASTY: NASTY}}
    created = call.post("profiles", {"data": {"type": "profile", "attributes": attributes}})
    assert created.status_code == 201
    profile_id = created.json()["data"]["id"]
    created_list = call.post("lists", {"data": {"type": "list", "attributes": {"name": NASTY}}})
    assert created_list.status_code == 201
    event = {
        "metric": {"data": {"type": "metric", "attributes": {"name": NASTY}}},
        "profile": {"data": {"type": "profile", "attributes": {"email": "evil@example.com"}}},
        "properties": {NASTY: NASTY},
    }
    assert call.post("events", {"data": {"type": "event", "attributes": event}}).status_code == 202
    call.get(f"lists/{NASTY}")
    event_id = list(writing.store.events.rows)[-1]
    for path in ("/", f"/profiles/{profile_id}", f"/lists/{created_list.json()['data']['id']}", f"/events/{event_id}",
                 f"/profiles?q={NASTY}", "/metrics", "/lists"):  # fmt: skip
        page = open_page(writing.url, path)
        assert "console.error" in page.text or path == "/profiles"
        assert [attributes.get("src") for tag, attributes in page.tags if tag in ("script", "img")] in (
            [],
            ["/sandbox/static/live.js"],
        )
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    answer = requests.get(f"{writing.url}/sandbox/live", timeout=PATIENCE).json()
    assert not [tag for tag, _ in Page(answer["requests"]).tags if tag in ("script", "img")]


@pytest.mark.parametrize("depth", [100, 900])
def test_a_deep_value_has_a_page(writing, call, depth):
    """A custom property as deep as a request may bring does not break the page of its profile."""
    value: Any = "at the bottom"
    for _ in range(depth):
        value = [value]
    attributes = {"email": "deep@example.com", "properties": {"deep": value}}
    created = call.post("profiles", {"data": {"type": "profile", "attributes": attributes}})
    assert created.status_code == 201
    assert "at the bottom" in open_page(writing.url, f"/profiles/{created.json()['data']['id']}").text


@given(st.text(st.characters()))
def test_any_text_survives_as_text(value: str) -> None:
    """What is written into a cell is read from it, whatever it is; only what UTF-8 has no bytes for is replaced."""
    page = Page(html.render_rows(Table("", (value,), [(value,), (Link(value, value),)])))
    expected = value.encode("utf-8", "replace").decode()
    assert [tag for tag, _ in page.tags] == ["tr", "td", "span", "tr", "td", "span", "a"]
    assert page.text == f"{expected}\n{expected}\n"
    attributes = [entry for _, attributes in page.tags for entry in attributes.items() if entry[0] in TEXT_ATTRIBUTES]
    assert {text for _, text in attributes} == {expected}
    assert len(attributes) == 3 + 2 * (len(value) > 24)


def test_a_page_that_lacks_something_is_not_made() -> None:
    """A name that is in a template and not in what is shown is an error, not an empty place."""
    with pytest.raises(UndefinedError):
        html.render_rows(Table("", ("One",), [("1", "2")]))
    with pytest.raises(UndefinedError):
        html.render_page(View("", [Link("no block", "/")]))


def test_a_sandbox_that_shows_no_page_imports_no_template_library() -> None:
    """Tests that start a sandbox do not wait for Jinja to be imported."""
    program = "import sys, klaviyo_sandbox.server; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    "path", ["/profiles/nobody", "/lists/x/y", "/jobs/1", "/templates", "/nothing", "/sandbox/static/x"]
)
def test_what_is_not_there_is_a_page_too(reading, path):
    """A browser that asks for what does not exist gets a page with status 404 that leads back."""
    assert "/" in open_page(reading.url, path, 404).links()


def test_klaviyo_answers_whoever_is_no_browser(make_sandbox):
    """An unknown path outside of the pages is Klaviyo's own 404 to a client, and so is all below /api to a browser."""
    url = make_sandbox().url
    assert "errors" in requests.get(f"{url}/nothing", timeout=PATIENCE).json()
    assert "errors" in requests.get(f"{url}/api/nothing", headers=HTML, timeout=PATIENCE).json()


@pytest.mark.parametrize("path", ["/", "/profiles", "/profiles/nobody", "/sandbox/live", "/sandbox/static/page.css"])
def test_pages_are_for_reading(reading, path):
    """HEAD says what GET says without a body, other methods are refused, and nothing may come from elsewhere."""
    got, head = (requests.request(method, reading.url + path, timeout=PATIENCE) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))
    policy = got.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    refused = requests.post(reading.url + path, timeout=PATIENCE)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def test_a_page_is_no_request_to_klaviyo(make_sandbox):
    """Pages need no key, meet no fault, latency or limit, and neither the record nor the observer hears of them."""
    heard: list[Any] = []
    sandbox = make_sandbox(key="pk_own", faults="503=1", latency=30.0)
    # The factory's own observer holds answers to the specification, which has no pages.
    sandbox._sandbox._observer = heard.append
    for path in ("/", "/profiles", "/events", "/sandbox/live", "/sandbox/static/live.js"):
        assert requests.get(sandbox.url + path, timeout=PATIENCE).status_code == 200
    assert list(sandbox.requests) == heard == []


def test_the_strip_asks_for_what_is_new(make_sandbox):
    """After a cursor come the later requests only, with the budget as it is now; a foreign cursor brings them all."""
    sandbox = make_sandbox(clock=lambda: 1_800_000_000.0)
    caller = Caller(sandbox.url)
    caller.get("lists")
    first = _live_update(sandbox, 0)
    assert first["cursor"] == 1
    assert "GET /lists" in first["requests"]
    assert _live_update(sandbox, 1) == {**first, "requests": ""}
    caller.get("metrics")
    caller.get("metrics")
    second = _live_update(sandbox, 1)
    assert second["requests"].count("<tr") == 2
    assert "GET /lists" not in second["requests"]
    meters = [attributes for tag, attributes in Page(second["budget"]).tags if tag == "meter"]
    used = {attributes["aria-label"]: (attributes["value"], attributes["max"]) for attributes in meters}
    assert used["get_metrics: requests in this minute"] == ("2", "150")
    assert _live_update(sandbox, 99)["requests"].count("<tr") == 3
    assert _live_update(sandbox, "nonsense")["requests"].count("<tr") == 3
    caller.close()


def _live_update(sandbox: Any, cursor: object) -> dict[str, Any]:
    update: dict[str, Any] = requests.get(f"{sandbox.url}/sandbox/live?after={cursor}", timeout=PATIENCE).json()
    return update


def test_pages_do_without_what_was_deleted(writing):
    """A list, segment or tag that is gone is on no page, and no page breaks for it."""
    lists = writing.store.list_members
    fullest = max(lists, key=lambda list_id: len(lists[list_id]))
    member = next(iter(lists[fullest].rows))
    for kind in ("lists", "segments", "tags", "flows", "campaigns"):
        row_id = fullest if kind == "lists" else next(iter(getattr(writing.store, kind).rows))
        writing.control.delete(kind, row_id)
    for path in ("/", "/lists", "/segments", "/flows", "/campaigns", f"/profiles/{member}"):
        answer = requests.get(writing.url + path, timeout=PATIENCE)
        assert (path, answer.status_code) == (path, 200)
        assert fullest not in answer.text


def test_faults_are_on_the_strip(make_sandbox):
    """A request that met a fault is shown with it, at its time."""
    sandbox = make_sandbox(faults="503=1", clock=lambda: 1_800_000_000.0)
    Caller(sandbox.url).get("lists")
    assert "503 fault" in _live_update(sandbox, 0)["requests"]
    assert sandbox.requests[-1].at == 1_800_000_000.0


def test_a_record_says_what_was_asked_and_how_much_it_brought(writing, call):
    """Operation, time and rows are kept of a request; a refused write brought none."""
    call.get("lists")
    call.post("profile-bulk-import-jobs", import_job([{"email": "a@example.com"}, {"email": "b@example.com"}]))
    call.post("profile-bulk-import-jobs", import_job([{"email": 1}]))
    kept = [(one.operation, one.status, one.items) for one in writing.requests]
    assert kept == [("get_lists", 200, 0), ("bulk_import_profiles", 202, 2), ("bulk_import_profiles", 400, 0)]
    assert all(0 < one.seconds < 60 for one in writing.requests)


def test_rows_of_a_write_are_counted_by_what_it_is_about() -> None:
    """Members, profiles and events of bulk requests; a single thing, and a job about a whole list, is one."""
    people = [{"attributes": {"events": {"data": [{}, {}]}}}, {"attributes": {"events": {"data": [{}]}}}]
    assert bodies.count_items({"data": [{}, {}, {}]}) == 3
    assert bodies.count_items({"data": {"attributes": {"events-bulk-create": {"data": people}}}}) == 3
    assert bodies.count_items({"data": {"attributes": {"profiles": {"data": [{}, {}]}}}}) == 2
    assert bodies.count_items({"data": {"attributes": {"email": "a@example.com"}}}) == 1
    assert bodies.count_items({"data": {"relationships": {"list": {}}}}) == 1


def test_usage_is_of_the_present_minute_and_the_latest_second() -> None:
    """A minute later nothing of it is used; the latest second that was used stays."""
    now = [600.0]
    quotas = Quotas(lambda: now[0])
    for _ in range(3):
        quotas.spend("get_lists", Budget(2, 10))
    now[0] = 601.0
    quotas.spend("get_lists", Budget(2, 10))
    assert quotas.usage() == [("get_lists", Budget(2, 10), 1, 3)]
    now[0] = 660.0
    assert quotas.usage() == [("get_lists", Budget(2, 10), 1, 0)]


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 80))
def test_every_request_after_a_cursor_is_shown_once(kept: int, forgotten: int, cursor: int) -> None:
    """The strip brings what came after the cursor and is still kept, the latest first, and no more than it can show."""
    total = kept + forgotten
    asked = [LoggedRequest("GET", f"/api/{number}", {}, 200) for number in range(forgotten, total)]
    first = cursor if cursor <= total else 0
    expected = [one.path for one in reversed(asked) if int(one.path[5:]) >= first][: live.MAX_REQUESTS]
    assert [one.path for one in live.requests_after(cursor, asked, total)] == expected


def test_numbers_stand_at_the_right_and_words_do_not() -> None:
    """A column of numbers is marked as such, whatever is missing from it; one of yes and no, or of text, is not."""
    source = html.render_rows(Table("", ("Count", "Yes", "Text"), [(1234, True, "5"), (None, False, "")]))
    looks = [attributes.get("class") for tag, attributes in Page(source).tags if tag == "td"]
    assert looks == ["number", None, None] * 2
    assert "1,234" in source


@pytest.mark.parametrize("name", ["id", "email", "phone_number", "external_id"])
def test_profiles_are_found_by_their_identifiers(reading, name):
    """Whoever has the identifier is found before all others; an address in any case."""
    row = next(row for row in reading.store.profiles.rows.values() if row[name])
    wanted = row[name].upper() if name == "email" else row[name]
    assert _found_profiles(reading, wanted)[0] == row["id"]
    assert _found_profiles(reading, f"{wanted}x") == []


def _found_profiles(sandbox: Any, wanted: str) -> list[str]:
    """Ids of the profiles on the page of a search, in its order."""
    page = open_page(sandbox.url, f"/profiles?q={quote(wanted)}")
    hrefs = [str(attributes.get("href")) for tag, attributes in page.tags if tag == "a"]
    return [href.removeprefix("/profiles/") for href in hrefs if href.startswith("/profiles/")]


PEOPLE = [
    {"email": "ada.lovelace@example.com", "first_name": "Ada", "last_name": "Lovelace", "phone_number": "+12025550199"},
    {"email": "jose@example.net", "first_name": "José", "last_name": "Nuñez"},
    {"email": "rtl@example.com", "first_name": "محمد", "last_name": "عبد الله"},
    {"external_id": "crm 0042/7", "first_name": "🦄 Zoë", "last_name": NASTY},
    {"phone_number": "+4915112345678", "first_name": "100%_&+#", "last_name": "Weiß"},
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("lovel", [0]),
        ("  ADA   love ", [0]),
        ("lovelace ada", [0]),
        ("a.lovelace@", [0]),
        ("5550199", [0]),
        ("(202) 555-01", [0]),
        ("+1 202 555", [0]),
        ("jose", [1]),
        ("NUÑ", [1]),
        ("nunez", [1]),
        ("عبد", [2]),
        ("🦄", [3]),
        ("zoe", [3]),
        ("<script>console", [3]),
        ("0042/", [3]),
        ("CRM 00", [3]),
        ("100%_&+#", [4]),
        ("WEISS", [4]),
        ("0049 151 12345", [4]),
        ("0151 1234", [4]),
        ("ada nunez", []),
        ("100_", []),
    ],
)
def test_people_are_found_by_a_part(make_shared_sandbox, wanted, found):
    """A part of a name, an address, a phone number or an external id finds whoever has it, however it is written."""
    sandbox = make_shared_sandbox(profiles=0, events=0, job_seconds=0.0)
    if not len(sandbox.store.profiles):
        Caller(sandbox.url).post("profile-bulk-import-jobs", import_job(PEOPLE))
    ids = {row["id"]: row.get("first_name") for row in sandbox.store.profiles.rows.values()}
    assert [ids[row_id] for row_id in _found_profiles(sandbox, wanted)] == [
        PEOPLE[number]["first_name"] for number in found
    ]


@pytest.mark.parametrize("wanted", ["anybody", "+", "()", "%00", "\ud800"])
def test_nobody_is_found_in_an_account_with_nobody(make_sandbox, wanted):
    """A search for whatever it is in an account without people says that nobody was found."""
    sandbox = make_sandbox(profiles=0, events=0)
    page = open_page(sandbox.url, f"/profiles?q={quote(wanted, errors='replace')}")
    assert "Nobody was found." in page.text
    assert "No event" in open_page(sandbox.url, f"/events?metric={quote(wanted, errors='replace')}").text


def test_a_search_goes_on_where_it_ended(reading):
    """Whom a first page does not hold is on the next ones: each row once, the latest changed first."""
    shown: list[str] = []
    path: str | None = "/profiles?q=example"
    while path:
        page = open_page(reading.url, path)
        hrefs = [str(attributes.get("href")) for tag, attributes in page.tags if tag == "a"]
        shown += [href.removeprefix("/profiles/") for href in hrefs if href.startswith("/profiles/")]
        path = next((str(one["href"]) for tag, one in page.tags if tag == "a" and one.get("rel") == "next"), None)
    rows = reading.store.profiles.rows
    expected = [row_id for _, row_id in reversed(reading.store.profiles.sorted_keys("updated"))]
    assert shown == [row_id for row_id in expected if "example" in (rows[row_id]["email"] or "")]


def test_events_are_filtered_by_metric(reading):
    """Each metric leads to its own events, the latest first, on as many pages as it takes, and a choice offers all."""
    store = reading.store
    links = open_page(reading.url, "/metrics").links()
    for metric_id in list(store.metrics.rows)[:6]:
        path: str | None = f"/events?metric={metric_id}"
        assert path in links
        shown: list[str] = []
        while path:
            page = open_page(reading.url, path)
            assert next(one for tag, one in page.tags if tag == "option" and "selected" in one)["value"] == metric_id
            hrefs = [str(one["href"]) for tag, one in page.tags if tag == "a"]
            shown += [href.removeprefix("/events/") for href in hrefs if href.startswith("/events/")]
            path = next((str(one["href"]) for tag, one in page.tags if tag == "a" and one.get("rel") == "next"), None)
        rows = [row for row in store.events.rows.values() if row["metric_id"] == metric_id]
        assert shown == [row["id"] for row in sorted(rows, key=lambda row: (row["datetime"], row["id"]), reverse=True)]
    options = {one["value"] for tag, one in open_page(reading.url, "/events").tags if tag == "option"}
    assert options == {"", *store.metrics.rows}
    assert "No event" in open_page(reading.url, f"/events?metric={quote(NASTY)}").text


@pytest.mark.parametrize("start", ["0", "50", "100", "150", "-1", "x", "٣", "9" * 30])
def test_a_long_table_is_read_page_by_page(reading, start):
    """Profiles come fifty at a time, latest changed first; an address that says nonsense shows the first."""
    first = int(start) if start in ("0", "50", "100", "150") else 0
    page = open_page(reading.url, f"/profiles?start={start}")
    shown = re.findall(r"/profiles/(\w+)", " ".join(str(attributes.get("href")) for _, attributes in page.tags))
    ids = [row_id for _, row_id in reversed(reading.store.profiles.sorted_keys("updated"))]
    assert shown == ids[first : first + 50]


def test_a_huge_account_has_a_quick_page(make_sandbox):
    """A hundred million events make no page slow: none looks through a table."""
    sandbox = make_sandbox(profiles=1_000, events=100, procedural=True)
    huge = build_procedural(1, 1_000_000, 100_000_000, time.time)
    computed = []
    for table in (huge.profiles, huge.events):
        table._row = table.rows._row = lambda number, row=table._row: computed.append(number) or row(number)
    sandbox._sandbox._store = huge
    assert open_page(sandbox.url, "/").text_by_id["total-events"] == "100,000,000"
    kinds = ("profiles", "events", "lists", "segments")
    paths = [f"/{kind}/{next(iter(getattr(huge, kind).rows))}" for kind in kinds]
    for path in (*paths, "/profiles?start=999990", "/events?start=50000000", "/metrics"):
        open_page(sandbox.url, path)
    assert len(computed) < 1000
    metric_id = next(iter(huge.metrics.rows))
    for path in ("/profiles?q=nobody-of-this-name", "/events?metric=none", f"/events?metric={metric_id}"):
        computed.clear()
        page = open_page(sandbox.url, path)
        assert len(computed) < 2500
        assert "1 to " in page.text
        assert "of 100,000,000" in page.text or "of 1,000,000" in page.text
        further = next(link for link in page.links() if "start=" in link)
        assert open_page(sandbox.url, further).text != page.text


def test_the_whole_address_is_found_in_a_huge_account(make_sandbox):
    """Whoever is beyond the rows that a search looks at is found by a whole identifier."""
    sandbox = make_sandbox(profiles=1_000, events=100, procedural=True)
    huge = build_procedural(1, 1_000_000, 100_000, time.time)
    sandbox._sandbox._store = huge
    row = next(huge.profiles.rows_at("updated", range(10, 11)))
    assert _found_profiles(sandbox, row["email"] or row["phone_number"] or row["external_id"])[0] == row["id"]


@pytest.mark.klaviyo_breaches("repetition", reason="they are what is shown")
def test_breaches_are_on_the_strip(make_sandbox):
    """With their reasons, the latest first; a page says when there is none."""
    sandbox = make_sandbox(limits=False, max_repeats=1, clock=lambda: 1_800_000_000.0)
    assert "Every client was well-behaved." in requests.get(sandbox.url, timeout=PATIENCE).text
    assert _live_update(sandbox, 0)["breaches"].strip() == ""
    for _ in range(4):
        Caller(sandbox.url).get("lists")
    rows = _live_update(sandbox, 0)["breaches"]
    assert rows.index("number 3 that only repeats") < rows.index("number 2 that only repeats")
    assert rows.count("<tr") == 2
    for _ in range(20):
        Caller(sandbox.url).get("lists")
    page = requests.get(sandbox.url, timeout=PATIENCE).text
    assert "22 in all." in page
    assert "GET /lists" in page


def _push_paths(sandbox: Any) -> list[str]:
    """Paths of the writes on the first page, the latest first."""
    hrefs = [str(one.get("href")) for tag, one in open_page(sandbox.url, "/").tags if tag == "a"]
    return list(dict.fromkeys(href for href in hrefs if href.startswith("/pushes/")))


def test_a_push_leads_to_what_it_was_about(writing, call):
    """A write leads to its job, its list and its people, from the first page and from its own, which shows its rows."""
    list_id = next(iter(writing.store.lists.rows))
    rows = [{"email": f"p{number}@example.com", "first_name": f"First{number}"} for number in range(60)]
    call.post("profile-bulk-import-jobs", import_job(rows, [list_id]))
    (job,) = writing.store.jobs.rows.values()
    ids = [writing.store.find_profile_id("email", row["email"]) for row in rows]
    home = open_page(writing.url, "/")
    source = requests.get(writing.url, timeout=PATIENCE).text
    pushed = source[source.index("Pushed lately") : source.index("<caption>Jobs")]
    for link in (f"/jobs/{job['id']}", f"/lists/{list_id}", f"/profiles/{ids[0]}"):
        assert f'href="{link}"' in pushed
    (path,) = _push_paths(writing)
    assert path in home.links()
    page = open_page(writing.url, path)
    assert {f"/jobs/{job['id']}", f"/lists/{list_id}", *(f"/profiles/{one}" for one in ids[:50])} <= page.links()
    assert "First49" in page.text
    assert "First50" not in page.text
    older = next(link for link in page.links() if "start=" in link)
    rest = open_page(writing.url, older)
    assert {f"/profiles/{one}" for one in ids[50:]} <= rest.links()
    assert "First59" in rest.text
    job_page = open_page(writing.url, f"/jobs/{job['id']}")
    assert {f"/lists/{list_id}", *(f"/profiles/{one}" for one in ids[:50])} <= job_page.links()
    assert "First1" in job_page.text


def test_a_subscription_that_waits_for_its_confirmation_says_so(writing, call):
    """At the write, on the write's page and at the list: else nothing seems to have come of it."""
    store = writing.store
    lists = list(store.lists.rows.values())[:2]
    for group, process in zip(lists, ("double_opt_in", "single_opt_in"), strict=True):
        group["opt_in_process"] = process
        consent = {"email": {"marketing": {"consent": "SUBSCRIBED"}}}
        addresses = [f"{process}{number}@example.com" for number in range(5)]
        rows = [{"type": "profile", "attributes": {"email": one, "subscriptions": consent}} for one in addresses]
        body = {
            "type": "profile-subscription-bulk-create-job",
            "attributes": {"profiles": {"data": rows}},
            "relationships": {"list": {"data": {"type": "list", "id": group["id"]}}},
        }
        assert call.post("profile-subscription-bulk-create-jobs", {"data": body}).status_code == 202
    single, double = _push_paths(writing)
    says = "5 wait for confirmation"
    assert open_page(writing.url, "/").text.count(says) == open_page(writing.url, double).text.count(says) == 1
    assert "for confirmation" not in open_page(writing.url, single).text
    assert "Wait for confirmation5" in open_page(writing.url, f"/lists/{lists[0]['id']}").text.replace("\n", "")
    writing.control.confirm("double_opt_in4@example.com")
    assert "4 wait for confirmation" in open_page(writing.url, double).text
    for number in range(3):
        writing.control.confirm(f"double_opt_in{number}@example.com")
    assert "1 waits for confirmation" in open_page(writing.url, double).text
    writing.control.confirm("double_opt_in3@example.com")
    assert "for confirmation" not in open_page(writing.url, double).text
    assert "for confirmation" not in open_page(writing.url, f"/lists/{lists[0]['id']}").text


def test_every_kind_of_push_shows_its_rows(writing, call):
    """Whoever is written to in whatever way is named, and what a row says is shown."""
    store = writing.store
    list_id, other_list = list(store.lists.rows)[:2]
    profile_id = next(iter(store.profiles.rows))
    email = "eve@example.com"
    call.post("profile-import", {"data": {"type": "profile", "attributes": {"email": email, "first_name": "Eve"}}})
    eve = store.find_profile_id("email", email)
    member = {"data": [{"type": "profile", "id": profile_id}]}
    person = {"data": {"type": "profile", "attributes": {"email": email}}}
    metric = {"data": {"type": "metric", "attributes": {"name": "Tier up"}}}
    event = {"properties": {"tier": "gold"}, "metric": metric, "time": "2026-01-01T00:00:00Z", "unique_id": "u1"}
    bulk = {"profile": person, "events": {"data": [{"type": "event", "attributes": event}]}}
    consent = {"email": {"marketing": {"consent": "SUBSCRIBED"}}}
    subscribed = {"type": "profile", "attributes": {"email": email, "subscriptions": consent}}
    on_list = {"list": {"data": {"type": "list", "id": list_id}}}
    unsubscribed = {"type": "profile", "attributes": {"email": email}}
    writes = {
        f"lists/{list_id}/relationships/profiles": (member, {f"/lists/{list_id}", f"/profiles/{profile_id}"}, ""),
        "events": (
            {"data": {"type": "event", "attributes": {**event, "profile": person}}}, {f"/profiles/{eve}"}, "gold"
        ),
        "event-bulk-create-jobs": (
            {"data": {"type": "event-bulk-create-job", "attributes": {"events-bulk-create": {"data": [
                {"type": "event-bulk-create", "attributes": bulk}]}}}},
            {f"/profiles/{eve}"}, "gold",
        ),
        "profile-subscription-bulk-create-jobs": (
            {"data": {"type": "profile-subscription-bulk-create-job",
                      "attributes": {"profiles": {"data": [subscribed]}}, "relationships": on_list}},
            {f"/profiles/{eve}", f"/lists/{list_id}"}, "SUBSCRIBED",
        ),
        "profile-suppression-bulk-create-jobs": (
            {"data": {"type": "profile-suppression-bulk-create-job",
                      "attributes": {"profiles": {"data": [unsubscribed]}}}},
            {f"/profiles/{eve}"}, email,
        ),
        "lists": ({"data": {"type": "list", "attributes": {"name": NASTY}}}, set(), NASTY),
    }  # fmt: skip
    for path, (body, links, text) in writes.items():
        answer = call.post(path, body)
        assert answer.status_code in (201, 202, 204), (path, answer.text)
        latest = open_page(writing.url, _push_paths(writing)[0])
        assert links <= latest.links(), path
        assert text in latest.text, path
        assert [tag for tag, _ in latest.tags if tag in ("script", "img")] == []
    created = next(row["id"] for row in store.lists.rows.values() if row["name"] == NASTY)
    assert f"/lists/{created}" in latest.links()
    (job,) = store.suppress_jobs.rows.values()
    assert any(f"/jobs/{job['id']}" in open_page(writing.url, path).links() for path in _push_paths(writing))
    assert other_list not in latest.text


def test_a_refused_push_shows_what_was_wrong(writing, call):
    """Its rows and Klaviyo's answer are there, whatever was sent: no shape of a body breaks a page."""
    shapes: list[Any] = [
        {"data": {"type": "profile", "attributes": {"email": "no address", "first_name": "Nia"}}},
        {}, [], None, 1, "x", {"data": None}, {"data": 1}, {"data": [1, [2], None, "x"]},
        {"data": {"type": 1, "id": []}},
        {"data": {"attributes": {"events-bulk-create": {"data": [
            {"attributes": {"events": {"data": [2, {"attributes": 1}, {"attributes": []}]}}}]}}}},
        {"data": {"attributes": {"profiles": {"data": [None, {"attributes": 1}]}, "events-bulk-create": 1}}},
        {"data": {"attributes": {"events-bulk-create": {"data": [1, {"attributes": {"events": {"data": 1}}}]}}}},
        {"data": {"type": "profile", "attributes": {"email": {"a": NASTY}, "phone_number": 1}}},
        {"data": {"relationships": {"lists": {"data": [1, {"id": 1}]}, "list": [], "segment": {"data": 1}}}},
    ]  # fmt: skip
    for shape in shapes:
        for path in ("profile-import", "profile-bulk-import-jobs", "event-bulk-create-jobs"):
            assert 400 <= call.post(path, shape).status_code < 500
            open_page(writing.url, _push_paths(writing)[0])
    url = f"{writing.url}/api/profile-import"
    for raw in (b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"data": "\\ud800"}'):
        headers = {**call.session.headers, "content-type": "application/json"}
        assert requests.post(url, data=raw, headers=headers, timeout=PATIENCE).status_code >= 400
        open_page(writing.url, _push_paths(writing)[0])
    call.post("profile-import", shapes[0])
    page = open_page(writing.url, _push_paths(writing)[0])
    assert "Nia" in page.text
    assert "/data/attributes/email" in page.text
    open_page(writing.url, "/pushes")


def test_pushes_are_kept_within_bounds(writing, call):
    """The latest are kept, up to a number and a size; what is gone is a page with status 404."""
    log = request_log.PushLog(max_count=3, max_bytes=100)
    one = LoggedRequest("POST", "/api/profiles", {}, 201)
    for number in range(1, 6):
        log.keep(number, one, b"x" * 10, b"y" * 10)
    assert [number for number in range(8) if log.get(number)] == [3, 4, 5]
    log.keep(6, one, b"x" * 70, b"")
    assert [number for number in range(8) if log.get(number)] == [5, 6]
    log.keep(7, one, b"x" * 1000, b"")
    assert [number for number in range(8) if log.get(number)] == [7]
    for path in ("/pushes/1", "/pushes/x", "/pushes/-1", "/pushes/٣"):
        open_page(writing.url, path, 404)
    call.get("lists")
    assert _push_paths(writing) == []
    assert open_page(writing.url, "/pushes").text.count("Nothing was written yet.") == 1


def test_a_fault_before_the_account_is_a_push_without_rows(make_sandbox):
    """A write that a fault kept from the account is among the pushed, with its fault and without a page of its own."""
    sandbox = make_sandbox(faults="503=1")
    Caller(sandbox.url).post("profile-import", {"data": {"type": "profile", "attributes": {"email": "a@example.com"}}})
    assert "create_or_update_profile" in open_page(sandbox.url, "/").text
    assert _push_paths(sandbox) == []


def test_members_have_names(writing, call):
    """Who is on a list or in a segment, and who came lately, is told by name, too."""
    list_id = next(iter(writing.store.lists.rows))
    call.post("profile-bulk-import-jobs", import_job([{"email": "m@example.com", "first_name": NASTY}], [list_id]))
    source = requests.get(writing.url, timeout=PATIENCE).text
    latest = source[source.index("Latest members of lists") : source.index("<caption>Lists")]
    for text in (Page(latest).text, open_page(writing.url, f"/lists/{list_id}").text):
        assert NASTY in text
    segment_id, members = max(writing.store.segment_members.items(), key=lambda item: len(item[1]))
    profile_id = next(iter(members.rows))
    row = writing.store.profiles.rows[profile_id]
    assert f"{row['first_name']} {row['last_name']}" in open_page(writing.url, f"/segments/{segment_id}").text


def _bars(source: str) -> dict[str, float]:
    """Tone -> sum of the heights of its bars, of the charts in a source."""
    heights: dict[str, float] = {}
    for tag, attributes in Page(source).tags:
        if tag == "rect" and "class" in attributes:
            tone = str(attributes["class"])
            heights[tone] = heights.get(tone, 0.0) + float(str(attributes["height"]))
    return heights


@pytest.mark.klaviyo_breaches("early", reason="they are what is shown")
def test_a_chart_shows_the_requests_of_the_last_minutes(make_sandbox):
    """Reads, writes, refusals for the budget's sake and failures stand in it, and leave it when they are old."""
    now = [1_800_000_000.0]
    sandbox = make_sandbox(clock=lambda: now[0])
    source = requests.get(sandbox.url, timeout=PATIENCE).text
    assert "<svg" in source
    assert _bars(source) == {}
    caller = Caller(sandbox.url)
    caller.get("lists")
    caller.post("lists", {"data": {"type": "list", "attributes": {"name": "New"}}})
    caller.get("lists/nothing")
    for _ in range(2):
        caller.get("accounts")
    source = requests.get(sandbox.url, timeout=PATIENCE).text
    bars = _bars(source)
    assert {"read", "write", "limited", "failed"} < bars.keys()
    assert bars["read"] == 2 * bars["write"] == 2 * bars["limited"] == 2 * bars["failed"]
    chart = _live_update(sandbox, 0)["chart"]
    assert _bars(chart) == bars
    assert "5 requests" in chart
    now[0] += 299
    assert _bars(_live_update(sandbox, 0)["chart"]) == bars
    now[0] += 10
    assert _bars(_live_update(sandbox, 0)["chart"]) == {}
    caller.close()


def test_the_chart_shows_how_much_of_the_busiest_budget_was_used(make_sandbox):
    """The highest share of any budget of a minute stands at its time, with the operation's name."""
    now = [1_800_000_000.0]
    sandbox = make_sandbox(clock=lambda: now[0])
    caller = Caller(sandbox.url)
    for _ in range(15):
        now[0] += 1
        for _ in range(10):
            caller.get("metrics")
        caller.get("lists")
    source = _live_update(sandbox, 0)["chart"]
    assert "100 % of get_metrics" in source
    assert "26 % of get_metrics" in source
    assert "get_lists" not in source
    assert "spent" in _bars(source)
    now[0] += 60
    caller.get("lists")
    assert "1 % of get_lists" in _live_update(sandbox, 0)["chart"]
    caller.close()


def test_without_limits_no_chart_speaks_of_budgets(make_sandbox):
    """A sandbox that counts nothing shows its requests only."""
    sandbox = make_sandbox(limits=False)
    assert requests.get(sandbox.url, timeout=PATIENCE).text.count("<svg") == 1


@given(st.lists(st.tuples(st.integers(0, 2_000), st.sampled_from(["read", "write", "limited", "failed"])), max_size=80))
def test_traffic_counts_every_request_of_its_time(steps: list[tuple[int, str]]) -> None:
    """What is kept is what came in the last five minutes, and no more memory than those take."""
    traffic, now, kept = Traffic(), 1_800_000_000, []
    statuses = {"read": ("GET", 200), "write": ("POST", 202), "limited": ("GET", 429), "failed": ("POST", 503)}
    for pause, kind in steps:
        now += pause // 20
        method, status = statuses[kind]
        traffic.count(LoggedRequest(method, "/api/lists", {}, status, at=float(now)))
        kept.append((now // 5, kind))
    latest = traffic.latest(float(now))
    counted = {(now // 5 - age, kind): count for age, kinds in latest for kind, count in kinds.items()}
    assert counted == Counter(one for one in kept if one[0] > now // 5 - 60)
    assert [age for age, _ in latest] == sorted((age for age, _ in latest), reverse=True)


def test_budgets_stand_by_their_use_and_idle_ones_fade() -> None:
    """The most used of this minute first; whatever nobody asks for in this minute is last, and marked as idle."""
    now = [600.0]
    quotas = Quotas(lambda: now[0])
    quotas.spend("idle_big", Budget(5, 10))
    now[0] = 660.0
    for name, count in (("little", 1), ("much", 5), ("middle", 3)):
        for _ in range(count):
            quotas.spend(name, Budget(9, 10))
    quotas.spend("also_little", Budget(90, 100))
    source = html.render_rows(live.budgets(quotas)).replace("<wbr>", "")
    rows = re.findall(r"<tr[^>]*>.*?</tr>", source, re.DOTALL)
    names = [name for row in rows for name in re.findall(r"much|middle|also_little|idle_big|little", row)[:1]]
    assert names == ["much", "middle", "little", "also_little", "idle_big"]
    assert ['class="idle"' in row for row in rows] == [False] * 4 + [True]


def test_search_and_account_come_before_the_strip(reading):
    """Whoever reads from the top, on a phone or by ear, meets the search, then the account, then the requests."""
    source = requests.get(reading.url, timeout=PATIENCE).text
    places = [source.index(text) for text in ('role="search"', 'id="total-profiles"', "Pushed lately", 'id="live"')]
    assert places == sorted(places)
    assert 'href="#live"' in source


def test_a_report_is_no_push(writing, call):
    """What is asked for by POST and changes nothing is a read, in the chart and among the pushed."""
    metric_id = next(iter(writing.store.metrics.rows))
    interval = ["greater-or-equal(datetime,2026-01-01T00:00:00)", "less-than(datetime,2026-02-01T00:00:00)"]
    attributes = {"metric_id": metric_id, "measurements": ["count"], "filter": interval}
    answer = call.post("metric-aggregates", {"data": {"type": "metric-aggregate", "attributes": attributes}})
    assert answer.status_code == 200, answer.text
    source = requests.get(writing.url, timeout=PATIENCE).text
    assert "Nothing was written yet." in source
    assert set(_bars(source)) == {"read"}


def test_the_page_says_which_jobs_it_counts(writing, call):
    """A subscription has no job that Klaviyo lets one look up: it is a push, and the table of jobs says so."""
    subscription = {
        "data": {
            "type": "profile-subscription-bulk-create-job",
            "attributes": {
                "profiles": {
                    "data": [
                        {
                            "type": "profile",
                            "attributes": {
                                "email": "ada@example.com",
                                "subscriptions": {"email": {"marketing": {"consent": "SUBSCRIBED"}}},
                            },
                        }
                    ]
                }
            },
        }
    }
    assert call.post("profile-subscription-bulk-create-jobs", subscription).status_code == 202
    for path in ("/", "/jobs"):
        text = open_page(writing.url, path).text
        assert "No import and no suppression was sent." in text
        assert "Other bulk writes have no job to look up. They are among the pushes." in text


def test_each_request_says_which_client_made_it(make_sandbox):
    """By the User-Agent, also where a fault or the token endpoint answered; the strip has its first word."""
    sandbox = make_sandbox(profiles=3, events=0, oauth=OAuthApp("app", "secret", "token"))
    agents = ("my-shop/2.1 (linux) <b>", "other", "x" * 500, "")
    for agent in agents:
        sandbox.control.change(faults="resetx1" if agent == "other" else "")
        headers = {"Authorization": "Klaviyo-API-Key pk_x", "revision": REVISION, "User-Agent": agent}
        with contextlib.suppress(requests.ConnectionError):
            requests.get(f"{sandbox.url}/api/profiles", headers=headers, timeout=PATIENCE)
    requests.post(f"{sandbox.url}/oauth/token", headers={"User-Agent": "signer/1"}, timeout=PATIENCE)
    assert [request.client for request in sandbox.requests] == [agents[0], "other", "x" * 200, "", "signer/1"]
    rows = _live_update(sandbox, 0)["requests"]
    assert re.findall(r'data-label="Client"><span>([^<]*)', rows) == ["signer", "", "x" * 16, "other", "my-shop"]
    call = Caller(sandbox.url)
    call.session.headers["User-Agent"] = agents[0]
    call.post("lists", {"data": {"type": "list", "attributes": {"name": "Made"}}})
    assert agents[0] in open_page(sandbox.url, _push_paths(sandbox)[0]).text
    call.close()
