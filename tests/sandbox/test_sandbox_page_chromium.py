"""The sandbox's page in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.calls import Caller, import_job
from support.chromium import NEEDS_CHROMIUM, Browser, browser

from klaviyo_sandbox import RunningSandbox, serve

pytestmark = NEEDS_CHROMIUM

WIDTHS = (390, 1280)
TABLES = ("profiles", "lists", "segments", "events", "metrics", "campaigns", "flows", "templates", "tags")
NASTY = """"'></span><script>console.error("run")</script><img src=x onerror='console.error("it")'>"""
LONG = "somebody-whose-address-is-as-long-as-an-address-may-be-and-has-no-place@" + "subdomain-" * 8 + "x.example.com"
TOTALS = "Object.fromEntries([...document.querySelectorAll('[id^=total-]')].map((e) => [e.id.slice(6), e.textContent]))"
# What stands out at the right, other than what only screen readers see.
CUT = """[...document.querySelectorAll("body *:not(thead, thead *, .skip)")]
    .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
    .map((e) => e.outerHTML.slice(0, 200))"""
REQUESTS = "[...document.querySelectorAll('#live-requests tr')].map((e) => e.children[1].textContent)"
USED = """Object.fromEntries([...document.querySelectorAll("#live-budget tr")]
    .map((e) => [e.children[0].textContent, e.querySelectorAll("meter")[1].value]))"""

# Names of operations of which a part between two underscores stands on two lines.
BROKEN = """[...document.querySelectorAll('td[data-label="Operation"], h1')].filter((e) => {
  const texts = document.createTreeWalker(e, NodeFilter.SHOW_TEXT), range = document.createRange();
  while (texts.nextNode()) {
    range.selectNodeContents(texts.currentNode);
    if (new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1) return true;
  }
}).map((e) => e.textContent)"""

# The ratio of WCAG 2.2 (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio) of every text on the page.
CONTRAST = """(() => {
  const light = (text) => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map((n) => n / 255);
    const [r, g, b] = parts.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!colour.endsWith(", 0)")) return colour;
    }
  };
  const texts = "a:not(.skip), .soft, .badge, td, th, dd, dt, h1, caption, button, .state, label";
  return [...document.querySelectorAll(texts)].map((e) => {
    const pair = [light(getComputedStyle(e).color), light(back(e))].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  });
})()"""


def standing() -> float:
    """A clock that stands."""
    return 1_800_000_000.0


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def account(make_shared_sandbox) -> RunningSandbox:
    """An account that was pushed to, long and hostile values too."""
    # At a clock that stands: the budget of a minute that ends meanwhile would be a new one.
    sandbox = make_shared_sandbox(profiles=130, events=400, job_seconds=0.0, clock=standing)
    caller = Caller(sandbox.url)
    rows = [{"email": LONG, "first_name": LONG, "last_name": NASTY, "properties": {LONG: NASTY}}]
    rows += [{"email": f"{number}@example.com", "title": NASTY} for number in range(60)]
    caller.post("profile-bulk-import-jobs", import_job(rows, list(sandbox.store.lists.rows)[:1]))
    caller.post("lists", {"data": {"type": "list", "attributes": {"name": LONG + NASTY}}})
    event = {
        "metric": {"data": {"type": "metric", "attributes": {"name": LONG[:120]}}},
        "profile": {"data": {"type": "profile", "attributes": {"email": LONG}}},
        "properties": {"a": NASTY, LONG: LONG},
    }
    caller.post("events", {"data": {"type": "event", "attributes": event}})
    caller.get(f"profiles/{LONG}")
    caller.close()
    return sandbox


def paths(sandbox: RunningSandbox) -> list[str]:
    """One page of each kind; of the latest things, which are the long and hostile ones."""
    store = sandbox.store
    kinds = ("lists", "segments", "events", "jobs", "campaigns", "flows")
    first = next(iter(store.lists.rows))
    profile_id = store.find_profile_id("email", LONG)
    latest = [f"/{kind}/{list(getattr(store, kind).rows)[-1]}" for kind in kinds]
    indexes = [f"/{kind}" for kind in ("profiles", *kinds, "metrics") if kind != "lists"]
    metric_id = list(store.events.rows.values())[-1]["metric_id"]
    searches = [
        f"/events?metric={metric_id}",
        "/profiles?q=subdomain",
        "/pushes",
        "/pushes/1",
        "/pushes/2",
        "/pushes/3",
    ]
    return [
        *latest,
        f"/lists/{first}",
        f"/profiles/{profile_id}",
        f"/profiles?q={LONG}",
        "/profiles/nobody",
        *indexes,
        *searches,
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("script", [True, False])
def test_the_page_fits_and_tells_the_numbers(chromium, account, width, script):
    """No word on the console, no sideways scroll, nothing cut off, the account's numbers; without a script too."""
    chromium.show(account.url, width, script=script)

    assert chromium.console == []
    assert chromium.ask("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
    assert chromium.ask(CUT) == []
    assert chromium.ask(TOTALS) == {name: f"{len(getattr(account.store, name)):,}" for name in TABLES}
    assert chromium.ask(REQUESTS)[0].startswith("GET /profiles/somebody")
    assert chromium.ask(USED)["bulk_import_profiles"] == 1
    # Without its script the strip makes no promises.
    assert chromium.ask("document.querySelector('.state').hidden") is not script


@pytest.mark.parametrize("width", WIDTHS)
def test_every_kind_of_page_fits(chromium, account, width):
    """Pages of single things and long tables neither scroll sideways nor run what the account holds."""
    for path in paths(account):
        chromium.show(account.url + path, width)
        # What a browser says of any page with status 404.
        assert [line for line in chromium.console if "/profiles/nobody" not in line] == [], path
        assert chromium.ask("document.documentElement.scrollWidth") == width, (path, chromium.ask(CUT))
        assert chromium.ask(CUT) == [], path


@pytest.mark.parametrize("width", WIDTHS)
def test_no_name_of_an_operation_breaks_in_a_word(chromium, make_sandbox, width):
    """Long ones break after an underscore or an at sign, in tables and in the heading of a write."""
    sandbox = make_sandbox(profiles=1, events=0, clock=standing)
    caller = Caller(sandbox.url)
    caller.get("catalog-categories/X/relationships/items")
    caller.get("campaign-messages/X/relationships/template")
    caller.get("campaign-messages/X/template", revision="2026-10-15")
    caller.post("profile-suppression-bulk-delete-jobs", {})
    caller.post("catalog-variant-bulk-create-jobs", {})
    caller.close()
    for path in ("/", "/pushes", "/pushes/5"):
        chromium.show(sandbox.url + path, width)
        assert chromium.ask("document.querySelectorAll('td[data-label=\"Operation\"] wbr, h1 wbr').length") >= 3, path
        assert chromium.ask(BROKEN) == [], path
        assert chromium.ask("document.documentElement.scrollWidth") == width
        assert chromium.ask(CUT) == [], path


@pytest.mark.klaviyo_breaches("early", reason="one is to be shown")
@pytest.mark.parametrize("width", WIDTHS)
def test_the_strip_shows_breaches_of_manners(chromium, make_sandbox, width):
    """As they come, in place of the words that there is none, and whole."""
    sandbox = make_sandbox(clock=standing)
    chromium.show(sandbox.url, width)
    caller = Caller(sandbox.url)
    for _ in range(3):
        caller.get("accounts")
    chromium.wait_for("document.querySelector('#live-breaches').rows.length === 1")
    row = chromium.ask("document.querySelector('#live-breaches').rows[0].innerText")
    assert "GET /accounts" in row
    assert "before the Retry-After" in row
    assert chromium.ask("document.documentElement.scrollWidth") == width
    assert chromium.ask(CUT) == []
    caller.close()


def test_the_strip_shows_what_is_asked_after_load(chromium, make_sandbox):
    """A request made later comes to the top, once, and its operation's budget moves; a pause holds both."""
    sandbox = make_sandbox(clock=standing)
    caller = Caller(sandbox.url)
    chromium.show(sandbox.url, 1280)
    assert chromium.ask("document.querySelector('#live-requests').rows.length") == 0
    caller.get("lists")
    chromium.wait_for(f"{REQUESTS}.length === 1")
    assert chromium.ask(USED) == {"get_lists": 1}
    caller.get("metrics")
    caller.get("lists")
    chromium.wait_for(f"{REQUESTS}.length === 3")
    assert chromium.ask(REQUESTS) == ["GET /lists", "GET /metrics", "GET /lists"]
    assert chromium.ask(USED) == {"get_lists": 2, "get_metrics": 1}
    empty = "[...document.querySelectorAll('.empty:not([hidden])')].map((one) => one.textContent)"
    assert chromium.ask(empty) == ["Every client was well-behaved."]
    chromium.ask("document.getElementById('live-pause').click()")
    caller.get("lists")
    # Longer than from one look to the next.
    chromium.ask("new Promise((done) => setTimeout(done, 1200))")
    assert chromium.ask("document.querySelector('#live-state').textContent") == "Paused"
    assert len(chromium.ask(REQUESTS)) == 3
    chromium.ask("document.getElementById('live-pause').click()")
    chromium.wait_for(f"{REQUESTS}.length === 4")
    assert chromium.console == []
    caller.close()


def test_the_strip_outlives_the_server(chromium):
    """When the sandbox stops the page says so and stays; another one on its port is shown from its beginning."""
    small: dict[str, Any] = {"clock": standing, "profiles": 5, "events": 5}
    with ExitStack() as stack:
        sandbox = stack.enter_context(serve(**small))
        port = int(sandbox.url.rsplit(":", 1)[1])
        for _ in range(3):
            Caller(sandbox.url).get("lists")
        chromium.show(sandbox.url, 390)
        stack.close()
        chromium.wait_for("document.querySelector('#live-state').textContent === 'The sandbox does not answer'")
        assert len(chromium.ask(REQUESTS)) == 3
        stack.enter_context(serve(port=port, **small))
        Caller(sandbox.url).get("metrics")
        chromium.wait_for(f"JSON.stringify({REQUESTS}) === '[\"GET /metrics\"]'")
        assert chromium.ask("document.querySelector('#live-state').textContent") == "Live"


def test_on_a_phone_search_and_account_come_first(chromium, account):
    """At 390 px the search is on the first screen, and the strip below the account; beside it where there is room."""
    tops = (
        "['[role=search]', '.account', '#live'].map((one) => document.querySelector(one).getBoundingClientRect().top)"
    )
    chromium.show(account.url, 390)
    search, content, strip = chromium.ask(tops)
    assert 0 < search < content < strip
    assert search < 300
    chromium.show(account.url, 1280)
    search, content, strip = chromium.ask(tops)
    assert abs(content - strip) < 60


def test_the_chart_moves(chromium, make_sandbox):
    """A request that comes after the page was loaded is in the chart, which needs no library and no inline style."""
    sandbox = make_sandbox(clock=standing)
    chromium.show(sandbox.url, 390)
    bars = "document.querySelectorAll('#live-chart rect[class]').length"
    assert chromium.ask(bars) == 0
    caller = Caller(sandbox.url)
    caller.get("lists")
    chromium.wait_for(f"{bars} > 0")
    assert chromium.ask("document.querySelector('#live-chart rect.read').getBoundingClientRect().height > 4")
    assert chromium.console == []
    caller.close()


def test_it_is_dark_where_the_reader_wants_it(chromium, account):
    """The colours follow the reader's choice, and text stands out from what is behind it by the AA ratio in both."""
    backs = []
    for dark in (False, True):
        chromium.show(account.url, 1280, dark=dark)
        backs.append(chromium.ask("getComputedStyle(document.body).backgroundColor"))
        assert min(chromium.ask(CONTRAST)) >= 4.5
    assert backs == ["rgb(245, 246, 244)", "rgb(16, 19, 18)"]


def test_a_page_that_is_broken_would_be_found(chromium, tmp_path: Path):
    """The checks see what they are there to see: a script that runs and a line that is too wide."""
    page = tmp_path / "page.html"
    page.write_text(f'<!DOCTYPE html><meta name="viewport" content="width=device-width"><p style="width:900px">{NASTY}')
    chromium.show(page.as_uri(), 390)
    chromium.wait_for("document.querySelector('img').complete")
    assert any("run" in line for line in chromium.console)
    assert chromium.ask("document.documentElement.scrollWidth") > 390
    assert chromium.ask(CUT)
