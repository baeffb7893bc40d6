"""Recipes of docs/recipes that are one entry of a tap: each is run as its page has it, against a sandbox."""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import duckdb
import psycopg
import pytest
import yaml
from support.recipes import RECIPES, ROOT, Message, chosen, entries, read_with, rows

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.rows import schema_files
from target_klaviyo.model.identifiers import parse_email
from target_klaviyo.model.records import RejectedRecord


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=60, events=900, seed=4, limits=False)


@pytest.fixture
def read(account: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Message]]:
    """Runs the tap with an entry of a page; gives its messages."""
    return partial(read_with, account.url, monkeypatch)


def metric_names(messages: list[Message]) -> set[str]:
    return {row["metric_name"] for row in rows(messages, "events")}


def selections() -> dict[str, list[str]]:
    """Every list of patterns in the documents and in meltano.yml, by where it stands."""
    found = {}
    for page in (*RECIPES.glob("*.md"), ROOT / "meltano.yml"):
        blocks = re.findall(r"^ *select:\n((?: *(?:- [^:\n]+|#.*)\n)+)", page.read_text(), re.MULTILINE)
        found |= {f"{page.name} {number}": yaml.safe_load(textwrap.dedent(text)) for number, text in enumerate(blocks)}
    for page in (*RECIPES.glob("*.md"), *ROOT.glob("examples/*/README.md")):
        lines = re.findall(r"__SELECT='(\[.*\])'", page.read_text())
        found |= {f"{page} line {number}": json.loads(text) for number, text in enumerate(lines)}
    return found


def test_no_wildcard_selects_a_column_that_somebody_must_ask_for() -> None:
    """`lists.*` brings `profile_count`, fifteen calls a minute, unless `profile_count` is deselected."""
    schemas = {path.stem: schema_files.load(path.stem) for path in (ROOT / "schemas" / "tap").glob("*.json")}
    catalog = {"streams": [{"tap_stream_id": name, "schema": schema} for name, schema in schemas.items()]}
    dear = {f"{table}.{column}" for table in schemas for column in schema_files.optional_columns(schemas[table])}
    for place, patterns in selections().items():
        found = chosen([pattern for pattern in patterns if "*" in pattern or pattern.startswith("!")], catalog)
        assert [
            name for table, names in found.items() for column in names if (name := f"{table}.{column}") in dear
        ] == [], place
    assert len(selections()) >= 12


def nulls(value: Any, path: str = "") -> list[str]:
    """Where in a document nulls stand."""
    if isinstance(value, dict):
        return [found for key, part in value.items() for found in nulls(part, f"{path}/{key}")]
    return [path] if value is None else []


def test_no_setting_of_a_recipe_is_null() -> None:
    """Meltano 4.4 ends with a KeyError on a null in the settings of a plugin that inherits."""
    pages = [page.name for page in RECIPES.glob("*.md") if page.name != "schedule.md"]
    assert [found for page in pages for name, entry in entries(page).items() for found in nulls(entry, name)] == []


def test_one_metric_is_read_without_a_request_for_each_event(
    account: RunningSandbox, read: Callable[..., list[Message]]
) -> None:
    """Orders only, with the ids of what they are attributed to; one added later has no history without a refresh."""
    (entry,) = entries("one-metric.md").values()
    before = len(account.requests)
    messages = read(entry)
    assert metric_names(messages) == {"Placed Order"}
    assert any(row["attribution_message"] for row in rows(messages, "events"))
    assert rows(messages, "event_attributions")
    asked = list(account.requests)[before:]
    assert [request.path for request in asked if request.path.startswith("/api/events/")] == []

    state = next(it["value"] for it in reversed(messages) if it["type"] == "STATE")
    both = ["Placed Order", "Received Email"]
    later, anew = (
        [row for row in rows(read(entry, start, event_metrics=both), "events") if row["metric_name"] == both[1]]
        for start in (state, None)
    )
    assert len(later) < len(anew)


def test_presets_of_the_page_are_those_of_the_tap(read: Callable[..., list[Message]]) -> None:
    """Beside a name, `engagement` brings opens and clicks."""
    (entry,) = entries("one-metric.md").values()
    names = metric_names(read(entry, event_metrics=["Placed Order", "engagement"]))
    assert {"Placed Order", "Opened Email", "Clicked Email", "Received Email"} <= names
    assert "Viewed Product" not in names


def profiles_of(account: RunningSandbox) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in account.store.profiles.rows.values()}


def test_hashed_addresses_leave_no_address_behind(account: RunningSandbox, read: Callable[..., list[Message]]) -> None:
    """The hash of each person's address, the same in every table; nobody's address in anything that is written."""
    (entry,) = entries("hash-emails.md").values()
    messages = read(entry)
    addresses = {key: row["email"] for key, row in profiles_of(account).items() if row["email"]}
    hashed = {key: hashlib.md5(address.encode()).hexdigest() for key, address in addresses.items()}
    assert {row["profile_id"]: row["email"] for row in rows(messages, "profiles") if row["email"]} == hashed
    for table, key, column in (
        ("list_profiles", "profile_id", "email"),
        ("segment_profiles", "profile_id", "email"),
        ("events", "profile_data_id", "profile_email"),
    ):
        found = rows(messages, table)
        assert found
        assert {row[column] for row in found} == {hashed.get(row[key]) for row in found}
    written = json.dumps(messages, ensure_ascii=False).lower()
    assert [address for address in addresses.values() if address.lower() in written] == []


def test_a_hash_with_a_secret_is_another(account: RunningSandbox, read: Callable[..., list[Message]]) -> None:
    """The page's expression with a salt works, and the salt matters."""
    (entry,) = entries("hash-emails.md").values()
    (salted,) = re.findall(r"`(sha256\(.*?)`", (RECIPES / "hash-emails.md").read_text())
    maps = {"profiles": {"email": salted}}
    only_profiles = {**entry, "select": ["profiles.profile_id", "profiles.email"]}
    one, other = (
        {
            row["email"]
            for row in rows(read(only_profiles, stream_maps=maps, stream_map_config={"salt": salt}), "profiles")
        }
        for salt in ("a", "b")
    )
    assert one & other == {None}
    assert len(one) == len(other) == len({row["email"] for row in profiles_of(account).values()})


def test_the_page_lists_every_column_that_holds_an_address() -> None:
    """Of people by the path of each column, what others send by the name of the JSON, senders by their names."""
    page = (RECIPES / "hash-emails.md").read_text()
    people, others, senders = (
        re.findall(r"`([\w.*]+)`", line.split("|")[2])
        for line in page.splitlines()
        if line.startswith(("| a person's", "| whatever", "| an address of yours"))
    )
    columns = {
        f"{path.stem}.{name}": column.get("x-klaviyo-path", "")
        for path in sorted((ROOT / "schemas" / "tap").glob("*.json"))
        for name, column in json.loads(path.read_text())["properties"].items()
    }
    assert set(people) == {name for name, path in columns.items() if path.endswith("/attributes/email")}
    free = r"/(properties|event_properties|record_properties|original_payload|sample_values)$"
    of_people = {name for name, path in columns.items() if re.search(free, path) or name.endswith("attributes")}
    no_people = {"brands.attributes", "campaigns.attributes", "flows.attributes", "object_schemas.properties"}
    assert set(others) == of_people - no_people | {"esp_member_attributes.value"}
    sending = {name for name in columns if re.search(r"(from|reply_to|cc|bcc|sender)_email$", name)}
    assert {name for name in columns if any(fnmatchcase(name, pattern) for pattern in senders)} == sending
    named = set(re.findall(r"`(\w+\.\w+)`", page.split("Free text")[1].split("##")[0]))
    assert named <= columns.keys()


def test_a_hash_is_no_address_to_the_target() -> None:
    """Whoever pushes a hashed address is told so."""
    with pytest.raises(RejectedRecord, match="e-mail address"):
        parse_email(hashlib.md5(b"ada@example.com").hexdigest())


def test_people_are_left_out_by_domain_and_by_reach(
    account: RunningSandbox, read: Callable[..., list[Message]]
) -> None:
    """Nobody of the domain in any table, everybody else in each; and only those who can receive e-mail."""
    by_domain, reachable = entries("leave-people-out.md").values()
    messages = read(by_domain)
    people = profiles_of(account)
    own = {key for key, row in people.items() if (row["email"] or "").endswith("@example.com")}
    assert own
    assert {row["profile_id"] for row in rows(messages, "profiles")} == people.keys() - own
    for table, key in (
        ("list_profiles", "profile_id"),
        ("segment_profiles", "profile_id"),
        ("events", "profile_data_id"),
    ):
        found = {row[key] for row in rows(messages, table)}
        assert found
        assert not found & own
    assert {row["email_marketing_can_receive"] for row in rows(read(reachable), "profiles")} == {True}
    assert 0 < len(rows(read(reachable), "profiles")) < len(people)


def test_custom_properties_are_columns_and_the_lines_of_sql_say_the_same(
    account: RunningSandbox, read: Callable[..., list[Message]], database: str
) -> None:
    """Under the names that the page gives; PostgreSQL and DuckDB find the same in the JSON, by the page's lines."""
    (entry,) = entries("custom-properties.md").values()
    messages = read(entry)
    (schema,) = [it["schema"]["properties"] for it in messages if it["type"] == "SCHEMA" and it["stream"] == "profiles"]
    assert {"loyalty_tier", "points_balance", "born_on"} <= schema.keys()
    found = rows(messages, "profiles")
    assert {row["profile_id"]: row["loyalty_tier"] for row in found} == {
        key: (row["properties"] or {}).get("Loyalty Tier") for key, row in profiles_of(account).items()
    }
    assert any(row["item_count"] is not None for row in rows(messages, "events"))

    tiers = sorted(str(row["loyalty_tier"]) for row in found)
    lines = dict(
        re.findall(
            r"^\| (PostgreSQL|DuckDB) \| `(.*)` \|$", (RECIPES / "custom-properties.md").read_text(), re.MULTILINE
        )
    )
    texts = [(json.dumps(row["properties"]),) for row in found]
    with psycopg.connect(database) as connection:
        connection.execute("create temporary table profiles (properties jsonb)")
        connection.cursor().executemany("insert into profiles values (%s)", texts)
        assert sorted(str(value) for (value,) in connection.execute(lines["PostgreSQL"]).fetchall()) == tiers
    with duckdb.connect() as lake:
        lake.execute("create table profiles (properties json)")
        lake.executemany("insert into profiles values (?)", texts)
        assert sorted(str(value) for (value,) in lake.execute(lines["DuckDB"]).fetchall()) == tiers


def test_stream_maps_rename_add_drop_and_filter(account: RunningSandbox, read: Callable[..., list[Message]]) -> None:
    """Each line of the page's maps does what its comment says."""
    (entry,) = entries("stream-maps.md").values()
    messages = read(entry)
    people = rows(messages, "profiles")
    assert all("title" not in row and row["full_name"] == row["full_name"].strip() for row in people)
    assert {row["email"] for row in people if row["email"]} == {
        row["email"].lower() for row in profiles_of(account).values() if row["email"]
    }
    assert {frozenset(row) for row in rows(messages, "lists")} == {frozenset({"list_id", "label"})}
    assert {row["status"] for row in rows(messages, "sent_campaigns")} == {"Sent"}
    assert rows(messages, "campaigns") == []
    (schema,) = [it for it in messages if it["type"] == "SCHEMA" and it["stream"] == "sent_campaigns"]
    assert schema["key_properties"] == ["campaign_id"]


def test_flattening_makes_text_of_json_and_no_column(read: Callable[..., list[Message]]) -> None:
    """The same columns with and without; what was an object is a text of JSON."""
    (entry,) = entries("flattening.md").values()
    flat, plain = read(entry), read(entry, flattening_enabled=False)
    for table in ("profiles", "events"):
        flat_columns, plain_columns = (
            next(it["schema"]["properties"] for it in messages if it["type"] == "SCHEMA" and it["stream"] == table)
            for messages in (flat, plain)
        )
        assert flat_columns.keys() == plain_columns.keys()
    texts = [row["properties"] for row in rows(flat, "profiles")]
    assert [None if text is None else json.loads(text) for text in texts] == [
        row["properties"] for row in rows(plain, "profiles")
    ]
