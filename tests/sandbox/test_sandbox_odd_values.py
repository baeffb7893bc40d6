"""Values that programs have trouble with: an account takes them, holds them, keeps them and tells them."""

from __future__ import annotations

import json
import math

import pytest
import requests
from support.calls import MEDIA_TYPE, Caller
from support.patience import PATIENCE

from klaviyo_sandbox import serve
from klaviyo_sandbox.account.odd_values import COUNT, PROPERTIES, TEXT


def rows_of(call, path):
    """Every row, as Python's decoder reads it: `requests` has one that takes no NaN."""
    found, link = [], f"{call.url}/api/{path}"
    while link is not None:
        page = json.loads(call.session.get(link).content)
        found += page["data"]
        link = page["links"].get("next")
    return found


def same(one, other):
    """Equal, where NaN equals NaN."""
    return json.dumps(one) == json.dumps(other)


def held(rows, name):
    return [row["attributes"][name] for row in rows if "half a pair" in (row["attributes"][name] or {})]


@pytest.mark.parametrize("procedural", [False, True])
def test_an_account_has_odd_values(procedural):
    """In names and values of some rows of every table that people write; each page is JSON as Python reads it."""
    with serve(profiles=60, events=200, limits=False, odd_values=True, procedural=procedural) as sandbox:
        call = Caller(sandbox.url)
        profiles = rows_of(call, "profiles?page[size]=100")
        events = rows_of(call, "events?include=profile,metric")
        for found in (held(profiles, "properties"), held(events, "event_properties")):
            assert len(found) == COUNT
            for properties in found:
                assert same({name: properties[name] for name in PROPERTIES}, dict(PROPERTIES))
        assert [row["attributes"]["first_name"] for row in profiles].count(TEXT) == COUNT
        for kind in ("lists", "segments", "tags"):
            names = [row["attributes"]["name"] for row in rows_of(call, kind)]
            assert sum(name.endswith(TEXT) for name in names) == 1
        with serve(profiles=60, events=200, limits=False, procedural=procedural) as plain:
            assert len(plain.store.profiles) == len(profiles)
            assert len(plain.store.events) == len(events)
        call.close()


def test_what_is_written_comes_back(call):
    """Half a pair, U+0000, NaN, 1e400, numbers beyond 64 bits, in properties of people and events."""
    properties = rb'"\ud83d":"a\ude00","zero\u0000":"\u0000","nan":NaN,"inf":[1e400,-Infinity],"n":%d' % 2**70
    headers = {"Content-Type": MEDIA_TYPE}
    person = b'{"type":"profile","attributes":{"email":"odd@example.com","first_name":"x\\ud83d","properties":{%s}}}'
    answer = call.session.post(
        f"{call.url}/api/profile-import", data=b'{"data":%s}' % (person % properties), headers=headers
    )
    assert answer.status_code == 201
    event = (
        b'{"data":{"type":"event","attributes":{"properties":{%s},"metric":{"data":{"type":"metric","attributes":'
        b'{"name":"Odd \\ud83d"}}},"profile":{"data":{"type":"profile","attributes":{"email":"odd@example.com"}}}}}}'
    )
    answer = call.session.post(f"{call.url}/api/events", data=event % properties, headers=headers)
    assert answer.status_code == 202
    wanted = json.loads(b"{%s}" % properties)
    [profile] = [row for row in rows_of(call, "profiles") if row["attributes"]["email"] == "odd@example.com"]
    assert same(profile["attributes"]["properties"], wanted)
    assert profile["attributes"]["first_name"] == "x\ud83d"
    assert any(same(row["attributes"]["event_properties"], wanted) for row in rows_of(call, "events"))
    assert "Odd \ud83d" in [row["attributes"]["name"] for row in rows_of(call, "metrics")]


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-1e400"])
def test_where_a_number_is_declared_it_must_be_one(call, value):
    """NaN is let through where anything may stand, and nowhere else."""
    body = b'{"data":{"type":"profile","attributes":{"email":"a@example.com","location":{"latitude":%s}}}}' % value
    event = (
        b'{"data":{"type":"event","attributes":{"value":%s,"properties":{},"metric":{"data":{"type":"metric",'
        b'"attributes":{"name":"x"}}},"profile":{"data":{"type":"profile","attributes":{"email":"a@example.com"}}}}}}'
    )
    for path, data in (("profile-import", body), ("events", event % value)):
        answer = call.session.post(f"{call.url}/api/{path}", data=data, headers={"Content-Type": MEDIA_TYPE})
        assert answer.status_code == 400, path
        assert answer.json()["errors"][0]["source"]["pointer"].startswith("/data/attributes/")


def test_odd_values_are_kept_on_disk(tmp_path):
    """Those of the account as it was made, and those that were written; the directory knows that they belong to it."""
    arguments = {"profiles": 10, "events": 10, "limits": False, "data": tmp_path, "odd_values": True}
    data = b'{"data":{"type":"profile","attributes":{"email":"a@example.com","properties":{"\\ud83d":NaN}}}}'
    with serve(**arguments) as sandbox:
        call = Caller(sandbox.url)
        answer = call.session.post(f"{call.url}/api/profile-import", data=data, headers={"Content-Type": MEDIA_TYPE})
        assert answer.status_code == 201
        before = [row["attributes"] for row in rows_of(call, "profiles")]
        call.close()
    with serve(**arguments) as sandbox:
        call = Caller(sandbox.url)
        assert same([row["attributes"] for row in rows_of(call, "profiles")], before)
        call.close()
        sandbox.control.reset()
        assert len(sandbox.store.profiles) == 10
    assert any(math.isnan(row["properties"].get("\ud83d", 0)) for row in before)


def test_pages_and_reports_show_them():
    """The browser's pages, aggregates that sum NaN, and searches by odd names."""
    with serve(profiles=30, events=60, limits=False, odd_values=True) as sandbox:
        call = Caller(sandbox.url)
        store = sandbox.store
        first = next(row for row in store.profiles.rows.values() if row["first_name"] == TEXT)
        event = next(row for row in store.events.rows.values() if "half a pair" in (row["event_properties"] or {}))
        for path in ("", "profiles", "events", "lists", f"profiles/{first['id']}", f"events/{event['id']}"):
            assert requests.get(f"{sandbox.url}/{path}", timeout=PATIENCE).status_code == 200, path
        for value in (math.nan, math.inf, 2**70, 10**400, "\ud83d", "a\0"):
            sandbox.control.add_events(
                seconds=-60, metric_id=event["metric_id"], properties={"$value": value, "value": value, "kind": value}
            )
        for measurements, by in ((["sum_value", "count", "unique"], []), (["sum_value"], ["kind"])):
            attributes = {
                "metric_id": event["metric_id"],
                "measurements": measurements,
                "by": by,
                "filter": [
                    f"greater-or-equal(datetime,{store.now().year - 1}-02-01T00:00:00)",
                    f"less-than(datetime,{store.now().year}-01-31T00:00:00)",
                ],
            }
            body = {"data": {"type": "metric-aggregate", "attributes": attributes}}
            assert call.post("metric-aggregates", body).status_code in (200, 400)
        call.close()
