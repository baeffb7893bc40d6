"""`--drift`: an account whose answers are not those that the columns were made for shows it, by names only."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from support.calls import REVISION
from support.commands import run_command
from support.fast_clock import AT_ONCE, fast_clock, fast_command
from support.front import Answer, front_of, refusal
from tap_support import KEY, config, discovered, select

from klaviyo_client.api.pages import Page
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import Incomplete
from klaviyo_client.http.retries import RetryPolicy
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.reading import drift
from tap_klaviyo.rows import schema_files
from tap_klaviyo.streams.drift import run_drift_check
from tap_klaviyo.tables import COLLECTIONS, STREAMS, TABLES
from tap_klaviyo.tap import TapKlaviyo

Edit = Callable[[str, dict[str, Any]], None]
HEADERS = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}
SECRET = "Xylophone-417"


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=30, events=60, seed=11, limits=False)


def drifting(url: str, edit: Edit, refused: tuple[str, ...] = ()) -> Callable[[str], Answer]:
    """What a front answers: as the sandbox does, but for what ``edit`` does to the resources of a path."""

    def answer(address: str) -> Answer:
        path = urlsplit(address).path.removeprefix("/api/")
        if path in refused:
            return refusal(400, f"about {SECRET}")
        reply = requests.get(f"{url}{address}", headers=HEADERS, timeout=60)
        document = reply.json()
        # A link leads to the sandbox itself; nothing but the first page is to be read anyway.
        document.pop("links", None)
        for resource in (*document.get("data", ()), *document.get("included", ())):
            edit(resource["type"], resource["attributes"])
        return reply.status_code, {"content-type": "application/vnd.api+json"}, json.dumps(document).encode()

    return answer


def check(url: str, wanted: dict[str, Any], write: Callable[[str], None], **settings: Any) -> None:
    """Run the check for these streams, in this process."""
    account_settings = {"api_key": KEY, "api_url": url, **settings}
    catalog = TapKlaviyo(config=account_settings, validate_config=True).catalog_dict
    tap = TapKlaviyo(config=account_settings, catalog=select(catalog, wanted))
    policy = RetryPolicy(timeout=600 * AT_ONCE)
    tap.client = KlaviyoClient(KEY, url, rate_limit_share=1.0, clock=fast_clock(AT_ONCE), retry_policy=policy)
    run_drift_check(tap, write)


def report(url: str, *wanted: str, **settings: Any) -> list[str]:
    """The lines that the check writes for these streams."""
    lines: list[str] = []
    check(url, dict.fromkeys(wanted), lines.append, **settings)
    return lines


def test_what_an_account_has_changed_is_named_and_no_value_is(account: RunningSandbox) -> None:
    """A new attribute, one that is gone, one without its parts, values of other types; custom names are not said."""

    def edit(kind: str, attributes: dict[str, Any]) -> None:
        if kind == "profile":
            attributes |= {"loyalty_tier": SECRET, "first_name": 417, "updated": SECRET, "location": SECRET}
            attributes["subscriptions"]["email"]["marketing"]["proof"] = {SECRET: SECRET}
            attributes["properties"] = {SECRET: SECRET, "birthday_of_my_dog": 1}
            attributes[SECRET] = True
            del attributes["title"]
        if kind == "list":
            attributes["opt_in_process"] = {"steps": SECRET}

    with front_of(account.url, drifting(account.url, edit)) as url:
        text = "\n".join(report(url, "profiles", "lists"))
    new = next(line for line in text.splitlines() if line.startswith("  new, profile: "))
    assert {"loyalty_tier (string)", "subscriptions.email.marketing.proof (object)"} <= set(new[16:].split(", "))
    assert "and 1 that are not named here" in text
    assert "profile: location (string)" in text
    assert "profiles (60 rows)\n    attribute not there: title" in text
    assert "did not fit and became null: updated (time, met string)" in text
    assert "first_name (string, met integer)" in text
    assert "converted from another type: opt_in_process (string, met object)" in text
    for name in (SECRET, "417", "dog", "steps"):
        assert name not in text


def test_one_page_is_read_of_each_collection_without_sparse_fields(account: RunningSandbox) -> None:
    """The newest first, with what columns need of includes; of what hangs on parents, that of the first with any."""
    before = len(account.requests)
    wanted = ("profiles", "campaigns", "campaign_messages", "list_profiles", "events")
    text = "\n".join(report(account.url, *wanted))
    asked = list(account.requests)[before:]
    assert {entry.status for entry in asked} == {200}
    assert not any(name.startswith("fields[") for entry in asked for name in entry.query)
    paths = [entry.path.removeprefix("/api/").split("/") for entry in asked]
    of_lists = [path for path in paths if path[0] == "lists" and len(path) > 1]
    assert 1 <= len(of_lists) <= 5
    # A page of each channel, archived and not.
    assert sorted(path[0] for path in paths if path not in of_lists) == [
        *["campaigns"] * 6,
        "events",
        "lists",
        # And of those who were suppressed last, who add rows to the table.
        *["profiles"] * 2,
    ]
    newest = next(entry for entry in asked if entry.path == "/api/events")
    assert newest.query["sort"] == "-datetime"
    assert text.endswith("Not read: none")


def test_an_account_that_is_as_it_should_be_shows_nothing_new(account: RunningSandbox) -> None:
    """Whatever is selected: nothing has lost its parts, and no value fails to fit."""
    lines = report(account.url, *STREAMS)
    assert "Attributes without the parts that columns read: none" in lines
    assert not any("became null" in line for line in lines)
    assert lines[-1] == "Not read: none"


def test_what_cannot_be_read_is_said_and_the_others_are_read(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """A missing scope with its name, a refusal without its words, an empty collection; the run is not green."""
    sandbox = make_sandbox(profiles=0, events=0, limits=False, scopes="profiles:read lists:read tags:read")
    wanted = dict.fromkeys(("profiles", "lists", "tags", "segments", "segment_profiles"))
    lines: list[str] = []
    with (
        front_of(sandbox.url, drifting(sandbox.url, lambda *_: None, refused=("tags",))) as url,
        pytest.raises(Incomplete, match="segments:read"),
    ):
        check(url, wanted, lines.append)
    told = [line.strip() for line in lines]
    assert "profiles: no rows, so nothing is known of its columns" in told
    assert "segments: the key lacks segments:read" in told
    assert "segment_profiles: the key lacks segments:read" in told
    assert "tags: get_tags was answered with status 400" in told
    assert SECRET not in "\n".join(lines)


def test_what_only_adds_to_a_table_does_not_fail_it(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """Suppressions of lists come with profiles, too: without the scope for lists, only what they add is missing."""
    sandbox = make_sandbox(profiles=5, events=0, limits=False, scopes="profiles:read")
    lines = report(sandbox.url, "profile_email_list_suppressions")
    assert lines[-1] == (
        "  profile_email_list_suppressions, what list_suppressed_profiles adds to it: the key lacks lists:read"
    )


def test_a_wrong_key_and_a_dead_address_are_the_error_alone(account: RunningSandbox, tmp_path: Path) -> None:
    """No report of nothing, and the exit codes that a run would have."""
    file = tmp_path / "chosen.json"
    file.write_text(json.dumps(select(discovered(), {"lists": None})))

    def code(**settings: Any) -> tuple[int, str]:
        path = tmp_path / "config.json"
        path.write_text(json.dumps({**config(account), **settings}))
        done = run_command(
            [*fast_command("tap_klaviyo", AT_ONCE), "--config", str(path), "--catalog", str(file), "--drift"]
        )
        return done.returncode, done.stdout

    assert code(api_key="") == (2, "")
    with front_of(account.url, lambda _: refusal(401)) as url:
        assert code(api_url=url) == (2, "")


def test_a_report_is_asked_for_its_last_day(account: RunningSandbox) -> None:
    """One call, and the statistics that said nothing."""
    before = len(account.requests)
    reports = [{"report": "flow_values", "name": "flow_days", "statistics": ["opens", "opens_unique"]}]
    lines = report(account.url, "flow_days", reports=reports)
    asked = [entry.operation for entry in list(account.requests)[before:]]
    assert asked.count("query_flow_values") == 1
    assert lines[-1] == "Not read: none"


def test_the_command_writes_text_alone_and_ends_with_0(account: RunningSandbox, tmp_path: Path) -> None:
    """No Singer message; what differs is no failure; a column that is not selected is not told of."""
    catalog = select(discovered(), {"lists": {"list_id", "name"}})
    file = tmp_path / "chosen.json"
    file.write_text(json.dumps(catalog))
    settings = tmp_path / "config.json"
    settings.write_text(json.dumps(config(account)))
    command = fast_command("tap_klaviyo", AT_ONCE)
    done = run_command([*command, "--config", str(settings), "--drift", "--catalog", str(file)])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tap-klaviyo ")
    assert done.stdout.rstrip().endswith("Not read: none")
    assert "opt_in_process" not in done.stdout


def test_a_part_of_a_list_and_of_an_included_resource_are_compared_as_the_resource_is() -> None:
    """And names that no column reads are told once, whatever the number of resources that have them."""
    read = drift.attributes_read(TABLES, {table.name: schema_files.load(table.name) for table in TABLES}, COLLECTIONS)
    attributes = {"subscriptions": {"email": {"marketing": {"list_suppressions": [{"reason": "X", "colour": "red"}]}}}}
    page = Page(
        [{"type": "profile", "id": str(number), "attributes": attributes} for number in range(2)],
        {("metric", "1"): {"type": "metric", "id": "1", "attributes": {"name": "Opened", "shade": None}}},
    )
    found = drift.Drift()
    drift.add_attributes(found, read, page)
    assert dict(found.unread) == {("metric", "shade"): {"null"}}


def test_a_column_is_missing_only_where_its_attribute_should_have_been() -> None:
    """Not where the object that would hold it is null, nor where some resource has it."""
    table = next(table for table in TABLES if table.name == "profiles")
    schema = schema_files.load("profiles")
    entry = SelectedTable(table, schema, ("profile_id", "email", "location_city", "title"))

    def gone(*attributes: dict[str, Any]) -> tuple[list[str], list[str]]:
        found = drift.Drift()
        data = [{"type": "profile", "id": str(place), "attributes": each} for place, each in enumerate(attributes)]
        drift.add_rows(found, entry, data, Page(data), {}, COLLECTIONS)
        return drift.unseen_columns(entry, found.tables["profiles"])

    assert gone({"email": "a@example.com", "title": None, "location": None}) == ([], ["location_city", "title"])
    assert gone({"title": None, "location": {}}, {"location": {"city": None}}) == (
        ["email"],
        ["location_city", "title"],
    )
    assert gone({"email": None, "location": {}}) == (["location_city", "title"], ["email"])
