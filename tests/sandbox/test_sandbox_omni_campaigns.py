"""Campaigns as revision 2026-10-15 shows them: of every channel, with messages, variations and audiences."""

from __future__ import annotations

import pytest
from support.calls import problem

OCTOBER = "2026-10-15"
CAMPAIGN = "campaign-of-october"


def everything(read):
    return [
        row
        for archived in ("true", "false")
        for row in read.rows("campaigns", revision=OCTOBER, filter=f"equals(archived,{archived})")
    ]


def ids(rows):
    return {row["id"] for row in rows}


def test_july_shows_none_that_october_has_alone(read, reading):
    """Neither in a list nor by their ids, nor what belongs to them; October shows those of July, too."""
    own = reading.store.resources[CAMPAIGN].rows.keys()
    assert ids(everything(read)) == own | reading.store.campaigns.rows.keys()
    messages = [
        row
        for row in read.rows("campaign-messages", revision=OCTOBER)
        if row["relationships"]["campaign"]["data"]["id"] in own
    ]
    assert len(messages) > len(own)
    for path in (f"campaigns/{next(iter(own))}", f"campaign-messages/{messages[0]['id']}"):
        assert (read.get(path).status_code, read.get(path, revision=OCTOBER).status_code) == (404, 200)


def test_archived_campaigns_come_when_they_are_asked_for(read):
    """Without a filter there are those that are not archived."""
    archived = {row["id"] for row in everything(read) if row["attributes"]["definition"]["archived"]}
    assert archived
    assert ids(read.rows("campaigns", revision=OCTOBER)) == ids(everything(read)) - archived


def test_campaigns_and_messages_are_filtered(read):
    """By name, builder and time, and messages by their campaign and status, too."""
    campaigns = everything(read)
    canvas = {row["id"] for row in campaigns if row["attributes"]["definition"]["builder"] == "canvas"}
    found = read.rows(
        "campaigns",
        revision=OCTOBER,
        filter="equals(builder,'canvas'),any(id,[" + ",".join(f"'{it}'" for it in canvas) + "])",
    )
    assert ids(found) == {
        row["id"] for row in campaigns if row["id"] in canvas and not row["attributes"]["definition"]["archived"]
    }
    messages = read.rows("campaign-messages", revision=OCTOBER, sort="updated", page__size=7)
    middle = messages[len(messages) // 2]["attributes"]["updated"]
    assert ids(read.rows("campaign-messages", revision=OCTOBER, filter=f"greater-or-equal(updated,{middle})")) == {
        row["id"] for row in messages if row["attributes"]["updated"] >= middle
    }
    for status in ("draft", "scheduled", "sending", "sent", "cancelled"):
        of_status = {row["id"] for row in messages if row["attributes"]["definition"]["status"] == status}
        assert of_status
        assert ids(read.rows("campaign-messages", revision=OCTOBER, filter=f"equals(status,'{status}')")) == of_status
    assert problem(read.get("campaigns", revision=OCTOBER, filter="equals(messages.channel,'email')"))[0] == 400


def test_every_channel_has_its_details(read):
    """Each message has variations, several where it is a test; the channel is theirs."""
    page = read.get("campaign-messages", revision=OCTOBER, include="campaign-variations", page__size=100).json()
    variations = {row["id"]: row["attributes"]["definition"]["details"] for row in page["included"]}
    named = []
    for row in page["data"]:
        identities = row["relationships"]["campaign-variations"]["data"]
        assert (len(identities) > 1) == ("ab_test" in row["attributes"]["definition"])
        assert len({variations[it["id"]]["channel"] for it in identities}) == 1
        named += [it["id"] for it in identities]
    assert sorted(named) == sorted(variations)
    assert {details["channel"] for details in variations.values()} == {"email", "sms", "push", "whatsapp"}


def test_a_campaign_has_one_audience_or_several(read, reading):
    """Each of lists and segments of the account, and with messages of its own."""
    campaign_ids = list(reading.store.resources[CAMPAIGN].rows)
    audiences = {key: read.rows(f"campaigns/{key}/campaign-audiences", revision=OCTOBER) for key in campaign_ids}
    assert {len(rows) for rows in audiences.values()} == {1, 2}
    known = reading.store.lists.rows.keys() | reading.store.segments.rows.keys()
    for rows in audiences.values():
        priorities = [row["attributes"]["definition"]["priority"] for row in rows]
        assert sorted(priorities) == list(range(1, len(rows) + 1))
        for row in rows:
            assert {*row["attributes"]["definition"]["included"]} <= known
            assert read.get(f"campaign-audiences/{row['id']}", revision=OCTOBER, include="campaign-messages").json()[
                "included"
            ]


@pytest.mark.parametrize("is_of_july", [True, False])
def test_a_deleted_campaign_takes_its_parts_along(call, writing, is_of_july):
    """Its messages, variations and audiences are gone in both revisions."""
    store = writing.store
    campaign_id = next(iter((store.campaigns if is_of_july else store.resources[CAMPAIGN]).rows))
    [message, *_] = call.rows(f"campaigns/{campaign_id}/campaign-messages", revision=OCTOBER)
    [audience, *_] = call.rows(f"campaigns/{campaign_id}/campaign-audiences", revision=OCTOBER)
    [variation, *_] = call.rows(f"campaign-messages/{message['id']}/campaign-variations", revision=OCTOBER)
    writing.control.delete("campaigns", campaign_id)
    paths = [f"{row['type']}s/{row['id']}" for row in (message, audience, variation)]
    assert {call.get(path, revision=OCTOBER).status_code for path in (f"campaigns/{campaign_id}", *paths)} == {404}
    assert message["id"] not in ids(call.rows("campaign-messages", revision=OCTOBER))
