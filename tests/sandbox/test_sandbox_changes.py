"""An account that changes while it is read."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from klaviyo_sandbox.account import changes


def test_a_touched_profile_moves_under_the_cursor(writing, call):
    """One of the first page comes once more, at the end of the order by `updated`."""
    pages = call.pages("profiles", sort="updated", page__size=20)
    first = next(pages)["data"]
    with writing.store.lock:
        changes.touch_profile(writing.store, first[0]["id"], first_name="Later")
    rest = [row for page in pages for row in page["data"]]
    assert rest[-1]["id"] == first[0]["id"]
    assert rest[-1]["attributes"]["first_name"] == "Later"
    assert rest[-1]["attributes"]["updated"] > first[0]["attributes"]["updated"]


def test_events_come_late_and_from_the_future(writing, call):
    """Where their time belongs in the order, and with what they say."""
    store, now = writing.store, datetime.now(UTC)
    profile, metric = next(iter(store.profiles.rows)), next(iter(store.metrics.rows))
    with store.lock:
        late, ahead = (
            changes.add_event(store, random.Random(days), profile, metric, now + timedelta(days=days), {"x": days})
            for days in (-900, 30)
        )
    rows = call.rows("events", sort="datetime")
    assert (rows[0]["attributes"]["uuid"], rows[-1]["attributes"]["uuid"]) == (late["uuid"], ahead["uuid"])
    assert rows[0]["attributes"]["event_properties"] == {"x": -900}


def marketing(call, profile_id):
    """What the account says of e-mail to a profile."""
    answer = call.get(f"profiles/{profile_id}", additional_fields__profile="subscriptions").json()["data"]
    return answer["attributes"]["subscriptions"]["email"]["marketing"]


def test_a_bounce_and_two_complaints_of_a_list_are_suppressions(writing, call):
    """Each is an entry of its own, beside those that are there; one of a list lets other e-mail through."""
    store = writing.store
    bounced, complained = [row["id"] for row in store.profiles.rows.values() if row["email"]][:2]
    list_id = next(iter(store.lists.rows))
    before = {row_id: marketing(call, row_id) for row_id in (bounced, complained)}
    with store.lock:
        changes.suppress_profile(store, bounced, "HARD_BOUNCE")
        for _ in range(2):
            changes.suppress_profile(store, complained, "SPAM_COMPLAINT", list_id)
    now = marketing(call, bounced)
    assert [entry["reason"] for entry in now["suppression"][len(before[bounced]["suppression"]) :]] == ["HARD_BOUNCE"]
    assert now["can_receive_email_marketing"] is False
    now = marketing(call, complained)
    more = now["list_suppressions"][len(before[complained]["list_suppressions"]) :]
    assert [(entry["list_id"], entry["reason"]) for entry in more] == [(list_id, "SPAM_COMPLAINT")] * 2
    assert now["can_receive_email_marketing"] == before[complained]["can_receive_email_marketing"]


def test_a_merged_profile_is_gone_and_what_it_had_is_the_others(writing, call):
    """Its events, and its places in lists with their times; what the other one has already stays."""
    store = writing.store
    list_id, joined = next((row_id, members) for row_id, members in store.list_members.items() if len(members))
    source = next(iter(joined.rows))
    destination = next(row_id for row_id in store.profiles.rows if row_id not in joined)
    when, address = joined.rows[source]["joined_group_at"], store.profiles.rows[destination]["email"]
    with store.lock:
        event = changes.add_event(store, random.Random(1), source, next(iter(store.metrics.rows)), datetime.now(UTC))
        changes.merge_profiles(store, source, destination)
    assert call.get(f"profiles/{source}").status_code == 404
    assert call.get(f"profiles/{destination}").json()["data"]["attributes"]["email"] == address
    related = call.get(f"events/{event['id']}", include="profile").json()["data"]["relationships"]
    assert related["profile"]["data"]["id"] == destination
    members = {row["id"]: row["attributes"]["joined_group_at"] for row in call.rows(f"lists/{list_id}/profiles")}
    assert source not in members
    assert members[destination] == when


def test_an_edited_campaign_says_when_and_a_tag_moves_nothing(writing, call):
    """As Klaviyo's pages change them: the name moves ``updated_at``, a tag does not."""
    store = writing.store
    row_id, before = next(iter(store.campaigns.rows.items()))
    tag_ids = list(store.tags.rows)[:2]
    with store.lock:
        changes.set_tags(store, "campaign", row_id, tag_ids)
        tagged = store.campaigns.rows[row_id]
        changes.edit(store, "campaign", row_id, name="Edited")
    assert tagged["updated_at"] == before["updated_at"]
    attributes = call.get(f"campaigns/{row_id}").json()["data"]["attributes"]
    assert attributes["name"] == "Edited"
    assert attributes["updated_at"] > before["updated_at"]
    assert {tag["id"] for tag in call.rows(f"campaigns/{row_id}/tags")} == set(tag_ids)


def test_a_renamed_metric_keeps_its_events(writing, call):
    """The metric goes on under another name, as when Klaviyo renamed those of SMS."""
    store = writing.store
    row_id = next(row["id"] for row in store.metrics.rows.values() if row["name"] == "Received SMS")
    with store.lock:
        changes.edit(store, "metric", row_id, name="Received Text Message")
    assert call.get(f"metrics/{row_id}").json()["data"]["attributes"]["name"] == "Received Text Message"
