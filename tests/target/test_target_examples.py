"""The examples, from Singer lines to what the vendor's own client reads back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.official import official_client, pages, to_dict
from target_support import Command, Run, advice_for, held

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.actions import ACTIONS

FOLDER = Path(__file__).parents[2] / "examples"
STREAMS: dict[str, Any] = json.loads((FOLDER / "streams.json").read_text())
ADA, BRUNO, CHLOE = "ada.moss@example.com", "bruno.lind@example.com", "chloe.park@example.com"
DARIO = "+12025550104"
SHOP = "$custom:::$default:::"
# The example that goes first where one speaks of people, or of a list, that there must be.
BEFORE = {
    "consent": "subscribe",
    "unsubscribe": "subscribe",
    "suppress": "upsert_profile",
    "unsuppress": "suppress",
    "delete_profile": "upsert_profile",
    "coupon_codes": "coupon",
    "catalog_items": "catalog_categories",
    "catalog_variants": "catalog_items",
    "merge_profiles": "upsert_profile",
}
# Records that a second run rejects: whoever has left a list is not on it any more.
REJECTED_AGAIN = {"unsubscribe": 1}


class Reader:
    """What the vendor's own client says of an account."""

    def __init__(self, api: Any) -> None:
        self.api = api

    def profiles(self, of: str) -> list[dict[str, Any]]:
        """The people with an e-mail address or a phone number."""
        name = "email" if "@" in of else "phone_number"
        asked = {"filter": f'equals({name},"{of}")', "additional_fields_profile": ["subscriptions"]}
        return list(to_dict(self.api.Profiles.get_profiles(**asked))["data"])

    def profile(self, of: str) -> dict[str, Any]:
        """The attributes of the one person."""
        [found] = self.profiles(of)
        return dict(found["attributes"])

    def marketing(self, of: str, channel: str = "email") -> dict[str, Any]:
        return dict(self.profile(of)["subscriptions"][channel]["marketing"])

    def events(self, of: str) -> dict[str, list[dict[str, Any]]]:
        """Metric's name -> attributes of the person's events, the oldest first."""
        [person] = self.profiles(of)
        asked = {"filter": f'equals(profile_id,"{person["id"]}")', "include": ["metric"], "sort": "datetime"}
        document = to_dict(self.api.Events.get_events(**asked))
        names = {entry["id"]: entry["attributes"]["name"] for entry in document.get("included") or ()}
        found: dict[str, list[dict[str, Any]]] = {}
        for row in document["data"]:
            found.setdefault(names[row["relationships"]["metric"]["data"]["id"]], []).append(row["attributes"])
        return found

    def category(self, external_id: str) -> dict[str, Any]:
        """The attributes of a category of the catalog."""
        return dict(to_dict(self.api.Catalogs.get_catalog_category(SHOP + external_id))["data"]["attributes"])

    def members(self, name: str) -> set[str]:
        """Who is on the one list of this name, by e-mail address or else phone number."""
        [found] = to_dict(self.api.Lists.get_lists(filter=f'any(name,["{name}"])'))["data"]
        people = [row["attributes"] for row in to_dict(self.api.Lists.get_profiles_for_list(found["id"]))["data"]]
        return {person.get("email") or person["phone_number"] for person in people}


@pytest.fixture
def reader(account: RunningSandbox) -> Iterator[Reader]:
    api, manager = official_client(account)
    yield Reader(api)
    manager.clear()


@pytest.fixture
def example(target: Command) -> Callable[[str], Run]:
    """Runs an action's example, and first the one that it builds on."""

    def run(action: str) -> Run:
        done = [pipe(target, name) for name in chain(action)][-1]
        assert done.rejected == []
        return done

    return run


def chain(action: str) -> list[str]:
    return [*(chain(BEFORE[action]) if action in BEFORE else ()), action]


def messages(action: str) -> list[dict[str, Any]]:
    path = FOLDER / f"{action}.jsonl"
    assert path.exists(), advice_for({action})
    return [json.loads(line) for line in path.read_text().splitlines()]


def pipe(target: Command, action: str) -> Run:
    done = target([json.dumps(message) for message in messages(action)], streams=STREAMS)
    assert done.code == 0, done.stderr
    return done


def outcomes(run: Run) -> dict[str, int]:
    """What the last line of the log counts."""
    found = re.search(r"done: (\d+) delivered, (\d+) accepted, (\d+) rejected(?:, (\d+) left out)?",
                      run.stderr.splitlines()[-1])  # fmt: skip
    assert found
    return dict(
        zip(("delivered", "accepted", "rejected", "left out"), (int(n or 0) for n in found.groups()), strict=True)
    )


def at(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)


# What arrives ---------------------------------------------------------------------------------------------------------


def test_upsert_profile(example: Callable[[str], Run], reader: Reader) -> None:
    """Columns become fields and custom properties, a null nothing, and everybody is on the list."""
    example("upsert_profile")
    ada = reader.profile(ADA)
    wanted = {"phone_number": "+12025550101", "external_id": "C-1001", "first_name": "Ada", "last_name": "Moss"}
    wanted |= {"organization": "Moss Lamps", "locale": "en-GB"}
    assert {name: ada[name] for name in wanted} == wanted
    assert (ada["location"]["city"], ada["location"]["country"]) == ("Leeds", "United Kingdom")
    assert ada["properties"] == {
        "loyalty_tier": "gold",
        "points": 1280,
        "member_since": "2024-03-01T00:00:00Z",
        "interests": ["lamps"],
    }
    assert reader.profile(BRUNO)["phone_number"] == "+12025550102"
    assert not reader.profile(CHLOE).get("last_name")
    assert reader.members("Customers") == {ADA, BRUNO, CHLOE, DARIO}


def test_track_event(example: Callable[[str], Run], reader: Reader) -> None:
    """Value, currency, time in any zone, the unique id and the properties; a person by external id is made."""
    example("track_event")
    found = reader.events(ADA)
    [viewed], [added] = found["Viewed Lamp"], found["Added to Cart"]
    assert viewed["datetime"] == at(2026, 5, 1, 10)
    assert viewed["event_properties"] == {
        "product": "Desk lamp",
        "colour": "red",
        "pushed_by": "target-klaviyo",
        "$event_id": "visit-1",
    }
    assert added["datetime"] == at(2026, 5, 1, 8, 5)
    expected = {"$event_id": "cart-1", "$value": 49.5, "$value_currency": "EUR", "quantity": 1}
    assert expected.items() <= added["event_properties"].items()
    [booked] = reader.events(BRUNO)["Booked Visit"]
    assert len(booked["event_properties"]["$event_id"]) == 32
    made = to_dict(reader.api.Profiles.get_profiles(filter='equals(external_id,"C-1003")'))["data"]
    assert [row["attributes"]["first_name"] for row in made] == ["Chloe"]


def test_order_completed(example: Callable[[str], Run], reader: Reader) -> None:
    """An order, each of its lines, a refund and a cancellation, each with what it is worth and an id that lasts."""
    example("order_completed")
    found = {
        name: [(row["event_properties"]["$event_id"], row["event_properties"].get("$value")) for row in rows]
        for name, rows in reader.events(ADA).items()
    }
    assert found["Placed Order"] == [("O-2001", 129)]
    assert found["Refunded Order"] == [("O-2001:refunded:R-1", 10)]
    assert sorted(found["Ordered Product"]) == [("O-2001:BULB-7:1", 30), ("O-2001:LAMP-1:1", 99)]
    lines = reader.events(ADA)["Ordered Product"]
    assert {row["event_properties"]["name"] for row in lines} == {"Bulb", "Desk lamp"}
    assert {row["event_properties"]["coupon"] for row in lines} == {"SPRING"}
    [placed] = reader.events(ADA)["Placed Order"]
    assert placed["datetime"] == at(2026, 5, 4, 12)
    assert [line["sku"] for line in placed["event_properties"]["products"]] == ["LAMP-1", "BULB-7"]
    assert {name: len(rows) for name, rows in reader.events(BRUNO).items()} == {
        "Placed Order": 1,
        "Ordered Product": 1,
        "Cancelled Order": 1,
    }


def test_list_members(example: Callable[[str], Run], reader: Reader) -> None:
    """People join the lists that their records name, and who is taken off one is absent; nobody is subscribed."""
    example("list_members")
    assert reader.members("VIP customers") == {ADA}
    assert reader.members("Lamp lovers") == {ADA, DARIO}
    assert {reader.marketing(email)["consent"] for email in (ADA, BRUNO)} == {"NEVER_SUBSCRIBED"}


def test_subscribe(example: Callable[[str], Run], reader: Reader) -> None:
    """Consent to e-mail and SMS with its source, to the list; consent of the past keeps its time."""
    example("subscribe")
    assert reader.members("Shop newsletter") == {ADA, BRUNO, DARIO}
    shown = {email: reader.marketing(email) for email in (ADA, BRUNO, CHLOE)}
    assert {entry["consent"] for entry in shown.values()} == {"SUBSCRIBED"}
    sources = [entry["custom_method_detail"] for entry in shown.values()]
    assert sources == ["Checkout", "Signup form", "Old shop"]
    assert shown[CHLOE]["consent_timestamp"] == at(2023, 11, 20, 17, 45)
    assert {reader.marketing(of, "sms")["consent"] for of in (BRUNO, DARIO)} == {"SUBSCRIBED"}
    assert reader.marketing(ADA, "sms")["consent"] == "NEVER_SUBSCRIBED"


def test_unsubscribe(example: Callable[[str], Run], reader: Reader) -> None:
    """From everything, from text messages, or from one list only."""
    example("unsubscribe")
    assert reader.marketing(CHLOE)["consent"] == "UNSUBSCRIBED"
    assert reader.marketing(DARIO, "sms")["consent"] == "UNSUBSCRIBED"
    assert reader.marketing(ADA)["consent"] == "SUBSCRIBED"
    assert [entry["reason"] for entry in reader.marketing(ADA)["list_suppressions"]] == ["UNSUBSCRIBE"]
    assert reader.members("Shop newsletter") == {BRUNO, DARIO}
    assert reader.marketing(BRUNO)["consent"] == "SUBSCRIBED"


def test_consent(example: Callable[[str], Run], reader: Reader) -> None:
    """A status for each channel; of what one person says the later counts, whichever comes first."""
    example("consent")
    assert {of: reader.marketing(of)["consent"] for of in (ADA, BRUNO)} == {ADA: "SUBSCRIBED", BRUNO: "SUBSCRIBED"}
    assert reader.marketing(ADA)["custom_method_detail"] == "Preference centre"
    assert reader.marketing(CHLOE)["consent"] == "UNSUBSCRIBED"
    assert reader.marketing(BRUNO, "sms")["consent"] != "SUBSCRIBED"


def test_suppress(example: Callable[[str], Run], reader: Reader) -> None:
    """Nobody in it gets any e-mail."""
    example("suppress")
    shown = [reader.marketing(email) for email in (ADA, BRUNO, CHLOE)]
    assert [[entry["reason"] for entry in found["suppression"]] for found in shown] == [["USER_SUPPRESSED"]] * 3
    assert not any(found["can_receive_email_marketing"] for found in shown)


def test_unsuppress(example: Callable[[str], Run], reader: Reader) -> None:
    """Whoever is in it gets e-mail again, and the others do not."""
    example("unsuppress")
    reach = {email: reader.marketing(email)["can_receive_email_marketing"] for email in (ADA, BRUNO, CHLOE)}
    assert reach == {ADA: False, BRUNO: True, CHLOE: True}


def test_delete_profile(example: Callable[[str], Run], reader: Reader) -> None:
    """By e-mail address, phone number or external id: they are gone, and nobody else is."""
    example("delete_profile")
    assert [len(reader.profiles(of)) for of in (ADA, BRUNO, CHLOE, DARIO)] == [1, 0, 0, 0]
    assert reader.members("Customers") == {ADA}


def test_merge_profiles(example: Callable[[str], Run], reader: Reader) -> None:
    """Two people become one, who has what they lacked of the others, and keeps what they had."""
    example("merge_profiles")
    assert [len(reader.profiles(of)) for of in (ADA, BRUNO, CHLOE, DARIO)] == [1, 0, 0, 1]
    ada = reader.profile(ADA)
    assert (ada["first_name"], ada["external_id"]) == ("Ada", "C-1001")


def test_identify(example: Callable[[str], Run], reader: Reader) -> None:
    """`$` names are fields, others custom properties, `$lists` lists, and `$consent` consent as the entry says."""
    example("identify")
    ada = reader.profile(ADA)
    assert (ada["external_id"], ada["first_name"], ada["location"]["city"]) == ("C-1001", "Ada", "Leeds")
    assert ada["properties"] == {"plan": "pro"}
    assert reader.marketing(ADA)["custom_method_detail"] == "Account page"
    assert reader.members("Beta testers") == {BRUNO}
    consents = [reader.marketing(email)["consent"] for email in (ADA, BRUNO, CHLOE)]
    assert consents == ["SUBSCRIBED", "SUBSCRIBED", "NEVER_SUBSCRIBED"]
    assert reader.marketing(BRUNO, "sms")["consent"] == "SUBSCRIBED"


def test_track(example: Callable[[str], Run], reader: Reader) -> None:
    """Name, unique id, value, time and person, each by its name of old; `$event_id` alone is the name."""
    example("track")
    [won] = reader.events(ADA)["Won Game"]
    assert won["datetime"] == at(2026, 5, 1, 10)
    assert {"$event_id": "game-77", "$value": 12.5, "level": 3}.items() <= won["event_properties"].items()
    assert (reader.profile(ADA)["first_name"], reader.profile(ADA)["properties"]) == ("Ada", {"plan": "pro"})
    assert list(reader.events(BRUNO)) == ["Lost Game"]
    metrics = to_dict(reader.api.Metrics.get_metrics())["data"]
    assert {"Won Game", "Lost Game", "Played Game"} <= {row["attributes"]["name"] for row in metrics}


def test_update_profile(example: Callable[[str], Run], reader: Reader) -> None:
    """Profile, lists, opt-in where the form asks for it, and its event."""
    example("update_profile")
    ada = reader.profile(ADA)
    assert (ada["external_id"], ada["first_name"], ada["location"]["city"]) == ("C-1001", "Ada", "Leeds")
    assert ada["properties"] == {"colour": "red"}
    assert reader.members("Shop news") == {ADA, BRUNO}
    assert reader.members("Beta testers") == {BRUNO}
    assert [reader.marketing(email)["consent"] for email in (ADA, BRUNO)] == ["SUBSCRIBED", "NEVER_SUBSCRIBED"]
    [signed] = reader.events(ADA)["Signed Up"]
    assert {"$event_id": "signup-1", "$value": 3, "page": "home"}.items() <= signed["event_properties"].items()
    assert reader.profile(CHLOE)["properties"] == {"colour": "blue"}


def test_coupon(example: Callable[[str], Run], reader: Reader) -> None:
    """By the id of the shop; of what is said of one the last counts."""
    example("coupon")
    found = {row["id"]: row["attributes"]["description"] for row in to_dict(reader.api.Coupons.get_coupons())["data"]}
    assert (found["LAMPS10"], found["WELCOME"]) == ("10 % off lamps and bulbs", None)


def test_coupon_codes(example: Callable[[str], Run], reader: Reader) -> None:
    """Each with its coupon and when it ends; one that somebody has used is left out."""
    assert outcomes(example("coupon_codes"))["left out"] == 1
    read = reader.api.Coupons.get_coupon_codes_for_coupon
    found = {
        row["attributes"]["unique_code"]: row["attributes"]["expires_at"]
        for coupon in ("LAMPS10", "WELCOME")
        for row in to_dict(read(coupon))["data"]
    }
    assert found.keys() == {"LAMP-7F3K", "LAMP-9Q2M", "HELLO-1"}
    assert found["LAMP-7F3K"] == at(2030, 12, 31, 22, 59, 59)


def test_catalog_categories(example: Callable[[str], Run], reader: Reader) -> None:
    """By the shop's id; of what is said of one the last counts."""
    example("catalog_categories")
    found = [reader.category(name)["name"] for name in ("lamps", "bulbs")]
    assert found == ["Lamps", "Bulbs and tubes"]


def test_catalog_items(example: Callable[[str], Run], reader: Reader) -> None:
    """Items are there, with what is known of them, in their categories."""
    example("catalog_items")
    item = to_dict(reader.api.Catalogs.get_catalog_item(SHOP + "LAMP-1"))["data"]["attributes"]
    assert (item["title"], item["price"], item["custom_metadata"]) == ("Desk lamp", 49.5, {"colour": "red"})
    read = reader.api.Catalogs.get_items_for_catalog_category
    found = {name: {row["id"] for row in to_dict(read(SHOP + name))["data"]} for name in ("lamps", "bulbs")}
    assert found == {"lamps": {SHOP + "LAMP-1", SHOP + "BULB-7"}, "bulbs": {SHOP + "BULB-7"}}


def test_catalog_variants(example: Callable[[str], Run], reader: Reader) -> None:
    """Each hangs on its item."""
    example("catalog_variants")
    rows = to_dict(reader.api.Catalogs.get_variants_for_catalog_item(SHOP + "LAMP-1"))["data"]
    found = {
        row["attributes"]["sku"]: (row["attributes"]["price"], row["attributes"]["inventory_quantity"]) for row in rows
    }
    assert found == {"L1R": (49.5, 12), "L1B": (47, 0)}


def test_object_records(example: Callable[[str], Run], reader: Reader) -> None:
    """Objects of the type that the source feeds; of what is said of one the last counts."""
    assert outcomes(example("object_records"))["accepted"] == 3
    objects = reader.api.Custom_Objects
    [kind] = [
        row["id"] for row in to_dict(objects.get_object_types())["data"] if row["attributes"]["title"] == "Subscription"
    ]
    found = {
        row["attributes"]["record_properties"]["name"]: row["attributes"]["record_properties"]
        for page in pages(objects.get_records_for_object_type, id=kind)
        for row in page["data"]
    }
    assert (found["S-1"]["boxes"], found["S-2"]["paused"]) == (3, True)


# All of them ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_again_nothing_more_changes(target: Command, account: RunningSandbox, action: str) -> None:
    """Every record has one outcome, and a second run of the same lines leaves the account as it is."""
    for before in chain(action)[:-1]:
        pipe(target, before)
    untouched = held(account)
    said = messages(action)
    count = sum(message["type"] == "RECORD" for message in said)
    found = []
    for rejected in (0, REJECTED_AGAIN.get(action, 0)):
        done = pipe(target, action)
        counted = outcomes(done)
        assert (sum(counted.values()), counted["rejected"]) == (count, rejected), done.stderr
        assert done.states == [said[-1]["value"]]
        found.append(held(account))
    assert (found[0] == untouched) is (action == "audience_manifest")
    assert found[1] == found[0]


def test_every_file_and_every_entry_is_of_use() -> None:
    """One file for each action; each stream in them has that action, by its entry or its name, and no entry is left."""
    files = {path.stem for path in FOLDER.glob("*.jsonl")}
    assert ACTIONS.keys() <= files, advice_for(ACTIONS.keys() - files)
    assert files <= ACTIONS.keys(), f"no action has these names: {sorted(files - ACTIONS.keys())}"
    seen = set()
    for action in ACTIONS.values():
        streams = {message["stream"] for message in messages(action.name) if "stream" in message}
        assert {STREAMS.get(name, {}).get("action") or action.name for name in streams} == {action.name}
        nameless = {name for name in streams if "action" not in STREAMS.get(name, {})} - set(action.streams)
        assert not nameless, (
            f"nothing says what to do with streams of examples/{action.name}.jsonl: add to examples/streams.json "
            + "".join(f'"{name}": {{"action": "{action.name}"}},' for name in sorted(nameless))
        )
        seen |= streams
    assert set(STREAMS) <= seen


def test_the_people_are_invented() -> None:
    """Only addresses and numbers that are nobody's."""
    text = "".join(path.read_text() for path in FOLDER.glob("*.jsonl"))
    assert set(re.findall(r"@[\w.]+", text)) == {"@example.com"}
    numbers = {re.sub(r"\D", "", found) for found in re.findall(r"\+[\d ()-]+", text)}
    assert {number[:9] for number in numbers if len(number) > 8} == {"120255501"}
