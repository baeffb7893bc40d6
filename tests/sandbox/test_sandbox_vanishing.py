"""An account in which something is deleted while others still refer to it."""

from __future__ import annotations

import pytest


def ids(rows):
    return {row["id"] for row in rows}


def drop(sandbox, table, row_id):
    store = sandbox.store
    with store.lock:
        getattr(store, table).drop(row_id)


def test_a_dropped_flow_takes_its_actions_and_messages_along(call, writing):
    """A flow that is gone is a 404 with all that it did and said, and no tag or trigger leads to it."""
    store = writing.store
    flow = next(row for row in store.flows.rows.values() if row["tag_ids"] and row["triggers"])
    action = store.flow_actions.rows[flow["action_ids"][0]]
    message = next(row for row in store.flow_messages.rows.values() if row["flow_id"] == flow["id"])
    drop(writing, "flows", flow["id"])
    for path in (
        *(f"flows/{flow['id']}{rest}" for rest in ("", "/tags", "/flow-actions", "/relationships/flow-actions")),
        *(f"flow-actions/{action['id']}{rest}" for rest in ("", "/flow-messages")),
        *(f"flow-messages/{message['id']}{rest}" for rest in ("", "/template")),
    ):
        assert call.get(path).status_code == 404
    page = call.get("flows", include="flow-actions,tags").json()
    assert flow["id"] not in ids(page["data"])
    assert action["id"] not in ids(page["included"])
    assert flow["id"] not in ids(call.rows(f"tags/{flow['tag_ids'][0]}/relationships/flows"))
    for kind in ("lists", "segments", "metrics"):
        assert all(
            flow["id"] not in ids(row["relationships"]["flow-triggers"]["data"])
            for row in call.rows(kind, include="flow-triggers")
        )


def test_a_dropped_campaign_takes_its_messages_along(call, writing):
    """A campaign that is gone is a 404 with its messages, and no tag leads to it."""
    campaign = next(row for row in writing.store.campaigns.rows.values() if row["tag_ids"])
    drop(writing, "campaigns", campaign["id"])
    for path in (f"campaigns/{campaign['id']}", f"campaign-messages/{campaign['message_ids'][0]}"):
        assert call.get(path).status_code == 404
    assert campaign["id"] not in ids(call.rows(f"tags/{campaign['tag_ids'][0]}/relationships/campaigns"))


def test_a_dropped_tag_and_template_leave_no_relationship(call, writing):
    """What carried a tag or used a template goes on without it."""
    store = writing.store
    campaign = next(row for row in store.campaigns.rows.values() if row["tag_ids"] and not row["archived"])
    channel = campaign["messages"]["channel"]
    drop(writing, "tags", campaign["tag_ids"][0])
    page = call.get("campaigns", filter=f"equals(messages.channel,'{channel}')", include="tags").json()
    assert all(campaign["tag_ids"][0] not in ids(row["relationships"]["tags"]["data"]) for row in page["data"])
    assert campaign["tag_ids"][0] not in ids(call.rows(f"campaigns/{campaign['id']}/tags"))
    message = next(row for row in store.flow_messages.rows.values() if row["template_id"])
    drop(writing, "templates", message["template_id"])
    document = call.get(f"flow-messages/{message['id']}", include="template").json()
    assert document["data"]["relationships"]["template"]["data"] is None
    assert document["included"] == []
    assert call.get(f"flow-messages/{message['id']}/template").status_code == 404


def test_a_dropped_message_or_action_is_named_by_nothing(call, writing):
    """A message or an action that is gone alone is left out by what it belonged to."""
    store = writing.store
    action = next(row for row in store.flow_actions.rows.values() if row["message_ids"])
    drop(writing, "flow_messages", action["message_ids"][0])
    assert action["message_ids"][0] not in ids(call.rows(f"flow-actions/{action['id']}/flow-messages"))
    drop(writing, "flow_actions", action["id"])
    assert action["id"] not in ids(call.rows(f"flows/{action['flow_id']}/flow-actions"))
    document = call.get(f"flows/{action['flow_id']}", additional_fields__flow="definition").json()["data"]
    assert action["id"] not in ids(document["attributes"]["definition"]["actions"])
    campaign = next(iter(store.campaigns.rows.values()))
    for message_id in campaign["message_ids"]:
        drop(writing, "campaign_messages", message_id)
    assert call.get(f"campaigns/{campaign['id']}").json()["data"]["relationships"]["campaign-messages"]["data"] == []


@pytest.mark.parametrize("kind", ["list", "segment"])
def test_a_dropped_group_has_no_members(call, writing, kind):
    """A list or segment that is gone is a 404 with its members, and no profile or tag leads to it."""
    store = writing.store
    members = store.list_members if kind == "list" else store.segment_members
    group_id = next(
        row["id"] for row in getattr(store, f"{kind}s").rows.values() if row["tag_ids"] and members[row["id"]].rows
    )
    tag_id = getattr(store, f"{kind}s").rows[group_id]["tag_ids"][0]
    profile_id = next(iter(members[group_id].rows))
    drop(writing, f"{kind}s", group_id)
    for rest in ("", "/profiles", "/relationships/profiles", "/tags"):
        assert call.get(f"{kind}s/{group_id}{rest}").status_code == 404
    document = call.get(f"profiles/{profile_id}", include=f"{kind}s").json()
    assert group_id not in ids(document["data"]["relationships"][f"{kind}s"]["data"])
    assert group_id not in ids(call.rows(f"tags/{tag_id}/relationships/{kind}s"))
