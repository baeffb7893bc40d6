from __future__ import annotations

import pytest

from klaviyo_sandbox.spec.documents import field_tree, prune


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["email"], {"email": "a"}),
        (["location.city", "location.zip"], {"location": {"city": "B", "zip": None}}),
        (["location", "location.city"], {"location": {"city": "B", "zip": None, "ip": "x"}}),
        (["location.city", "location"], {"location": {"city": "B", "zip": None, "ip": "x"}}),
        (["nothing"], {}),
    ],
)
def test_sparse_fields_cut_branches(names, expected):
    """A dotted name keeps its branch alone, a whole object wins over its parts."""
    value = {"email": "a", "location": {"city": "B", "zip": None, "ip": "x"}}
    assert prune(value, field_tree(names)) == (expected if names != ["nothing"] else {})


def test_a_resource_shows_what_is_on_by_default(read):
    """Subscriptions and predictions are only sent when asked for, relationships carry links and no data."""
    profile = read.get("profiles").json()["data"][0]
    assert "subscriptions" not in profile["attributes"]
    assert "predictive_analytics" not in profile["attributes"]
    assert all(set(value) == {"links"} for value in profile["relationships"].values())
    assert set(profile["relationships"]) == {"lists", "segments", "push-tokens", "conversations"}


def test_additional_fields_add_what_is_off_by_default(read, reading):
    """What is asked for comes as the account holds it, what is not asked for stays away."""
    asked = read.get("profiles", additional_fields__profile="subscriptions").json()["data"][0]
    assert asked["attributes"]["subscriptions"] == reading.store.profiles.rows[asked["id"]]["subscriptions"]
    assert "predictive_analytics" not in asked["attributes"]
    one = read.get(f"profiles/{asked['id']}", additional_fields__profile="predictive_analytics").json()["data"]
    assert "predictive_analytics" in one["attributes"]


def test_sparse_fields_hold_for_included_resources_too(read):
    """Fields of each type are chosen apart from the other types."""
    page = read.get("events", include="profile,metric", fields__event="datetime", fields__profile="email").json()
    shown = {resource["type"]: set(resource["attributes"]) for resource in page["included"]}
    assert shown == {"profile": {"email"}, "metric": {"name", "created", "updated", "integration"}}
    assert {tuple(row["attributes"]) for row in page["data"]} == {("datetime",)}


def test_additional_fields_are_sent_beside_sparse_fields(read):
    """Both sets come; a part that the sparse fields name stands for the whole."""
    query = {"additional_fields__profile": "subscriptions"}
    beside = read.get("profiles", **query, fields__profile="email").json()["data"][0]["attributes"]
    named = read.get("profiles", **query, fields__profile="email,subscriptions.sms").json()["data"][0]["attributes"]
    assert set(beside) == set(named) == {"email", "subscriptions"}
    assert set(beside["subscriptions"]) > {"email", "sms"}
    assert set(named["subscriptions"]) == {"sms"}


@pytest.mark.parametrize(
    ("path", "kind", "fields", "additional"),
    [
        ("profiles", "profile", "email,location.city", "subscriptions,predictive_analytics"),
        ("profiles/{profile}", "profile", "created", "predictive_analytics"),
        ("lists/{list}", "list", "name", "profile_count"),
        ("segments/{segment}", "segment", "name", "profile_count"),
        ("lists/{list}/profiles", "profile", "joined_group_at", "subscriptions"),
        ("flows/{flow}", "flow", "name", "definition"),
    ],
)
def test_fields_and_additional_fields_are_both_sent(read, reading, path, kind, fields, additional):
    """Whatever the type, and nothing beside them."""
    tables = {"profile": "profiles", "list": "lists", "segment": "segments", "flow": "flows"}
    ids = {name: next(iter(getattr(reading.store, table).rows)) for name, table in tables.items()}
    ids["list"] = max(reading.store.list_members, key=lambda name: len(reading.store.list_members[name]))
    query = {f"fields__{kind}": fields, f"additional_fields__{kind}": additional}
    data = read.get(path.format(**ids), **query).json()["data"]
    expected = {name.partition(".")[0] for name in f"{fields},{additional}".split(",")}
    assert set((data[0] if isinstance(data, list) else data)["attributes"]) == expected


def test_includes_come_once_a_page(read, reading):
    """What several rows share is included once, and every relationship that was included has its data."""
    page = read.get("events", include="profile,metric,attributions", page__size=200).json()
    named = [(resource["type"], resource["id"]) for resource in page["included"]]
    assert len(named) == len(set(named))
    for row in page["data"]:
        event = reading.store.events.rows[row["id"]]
        assert row["relationships"]["profile"]["data"] == {"type": "profile", "id": event["profile_id"]}
        assert row["relationships"]["metric"]["data"] == {"type": "metric", "id": event["metric_id"]}
        assert ("attributions" in row["relationships"]) == (row["id"] in reading.store.attributions)


def test_an_attribution_names_the_event_it_leads_to(read, reading):
    """Attributions have no attributes; their relationships carry ids without being included."""
    event_id = next(iter(reading.store.attributions))
    (found,) = read.get(f"events/{event_id}", include="attributions").json()["included"]
    assert "attributes" not in found
    assert found["relationships"]["event"]["data"] == {"type": "event", "id": event_id}
    assert found["relationships"]["attributed-event"]["data"]["id"] in reading.store.events


def test_a_profile_includes_its_groups(read, reading):
    """Lists, segments and devices of one profile can be included."""
    list_id, members = max(reading.store.list_members.items(), key=lambda item: len(item[1]))
    profile_id = next(iter(members.rows))
    document = read.get(f"profiles/{profile_id}", include="lists,segments,push-tokens").json()
    assert {"type": "list", "id": list_id} in document["data"]["relationships"]["lists"]["data"]
    devices = reading.store.resources["push-token"].rows.values()
    assert document["data"]["relationships"]["push-tokens"]["data"] == [
        {"type": "push-token", "id": row["id"]} for row in devices if row["profile_id"] == profile_id
    ]
    assert list_id in {resource["id"] for resource in document["included"]}


def test_members_say_when_they_joined(read, reading):
    """Profiles of a list or segment carry `joined_group_at`, the ids-only reads nothing but type and id."""
    for word, groups in (("lists", reading.store.list_members), ("segments", reading.store.segment_members)):
        group_id, members = max(groups.items(), key=lambda item: len(item[1]))
        for row in read.rows(f"{word}/{group_id}/profiles", page__size=100):
            assert row["attributes"]["joined_group_at"] == members.rows[row["id"]]["joined_group_at"]
        ids = read.rows(f"{word}/{group_id}/relationships/profiles", page__size=100)
        assert {row["id"] for row in ids} == set(members.rows)
        assert all(set(row) == {"type", "id"} for row in ids)


def test_counts_are_only_sent_when_asked_for(read, reading):
    """A list or segment tells how many profiles it has through additional fields alone."""
    for word, groups in (("list", reading.store.list_members), ("segment", reading.store.segment_members)):
        group_id, members = next(iter(groups.items()))
        assert "profile_count" not in read.get(f"{word}s/{group_id}").json()["data"]["attributes"]
        counted = read.get(f"{word}s/{group_id}", **{f"additional_fields__{word}": "profile_count"}).json()
        assert counted["data"]["attributes"]["profile_count"] == len(members)


def test_a_slash_at_the_end_makes_no_difference(read):
    """Links of resources end in a slash, and both ways lead there."""
    profile = read.get("profiles").json()["data"][0]
    assert profile["links"]["self"].endswith(f"/api/profiles/{profile['id']}/")
    assert read.session.get(profile["links"]["self"]).json()["data"]["attributes"] == profile["attributes"]
    assert read.get(f"profiles/{profile['id']}").json()["data"] == profile


def test_the_account_and_a_metric(read, reading):
    """There is one account; a metric names its integration."""
    (account,) = read.get("accounts").json()["data"]
    assert account["id"] in reading.store.accounts
    metric_id = next(iter(reading.store.metrics.rows))
    integration = read.get(f"metrics/{metric_id}").json()["data"]["attributes"]["integration"]
    assert set(integration) == {"object", "id", "key", "name", "category"}
