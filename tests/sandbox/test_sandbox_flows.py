from __future__ import annotations

import pytest
from support.calls import problem

from klaviyo_sandbox.account.seeded.flow_messages import messages_of


def ids(rows):
    return {row["id"] for row in rows}


def quoted(values):
    return ",".join(f'"{value}"' for value in values)


def test_flows_come_archived_or_not(read, reading):
    """The archived come only where they are asked for, whatever else is."""
    rows = reading.store.flows.rows.values()
    assert ids(read.rows("flows", page__size=5)) == ids(row for row in rows if not row["archived"])
    old = "starts-with(name,'Old')"
    assert read.rows("flows", filter=old) == []
    assert len(read.rows("flows", filter=f"{old},equals(archived,true)")) == 2
    for flag in (True, False):
        expected = {row["id"] for row in rows if row["archived"] is flag}
        assert expected
        assert ids(read.rows("flows", filter=f"equals(archived,{str(flag).lower()})")) == expected


def test_flows_are_filtered_by_what_they_are(read, reading):
    """Each filter finds what a plain comparison of those that are not archived finds."""
    rows = [row for row in reading.store.flows.rows.values() if not row["archived"]]
    middle = sorted(row["updated"] for row in rows)[6]
    for text, expected in (
        *(
            (f"equals(trigger_type,'{kind}')", [row for row in rows if row["trigger_type"] == kind])
            for kind in {row["trigger_type"] for row in rows}
        ),
        *(
            (f"equals(status,'{status}')", [row for row in rows if row["status"] == status])
            for status in ("draft", "manual", "live")
        ),
        (f"any(id,[{quoted(row['id'] for row in rows[:2])}])", rows[:2]),
        ("contains(name,'elcome')", [row for row in rows if "elcome" in row["name"]]),
        ("starts-with(name,'We')", [row for row in rows if row["name"].startswith("We")]),
        ("ends-with(name,'Welcome')", [row for row in rows if row["name"].endswith("Welcome")]),
        (f"equals(updated,{middle})", [row for row in rows if row["updated"] == middle]),
        (f"greater-or-equal(updated,{middle})", [row for row in rows if row["updated"] >= middle]),
        (f"less-than(updated,{middle})", [row for row in rows if row["updated"] < middle]),
    ):
        assert expected, text
        assert ids(read.rows("flows", filter=text, sort="-updated", page__size=2)) == ids(expected), text


@pytest.mark.parametrize(
    "text",
    ["equals(trigger_type,'Moon')", "any(status,['live'])", "equals(archived,'true')", "equals(id,'x')"],
)
def test_what_flows_cannot_be_filtered_by(read, text):
    """Other triggers, operators and forms are a 400."""
    assert problem(read.get("flows", filter=text)) == (400, "invalid", {"parameter": "filter"})


def test_included_actions_know_their_flow(read, reading):
    """Actions that are included with flows carry their definition whole, and the id of their flow unasked."""
    query = {"include": "flow-actions,tags"}
    pages = [read.get("flows", filter=f"equals(archived,{flag})", **query).json() for flag in ("true", "false")]
    included = [entry for page in pages for entry in page["included"]]
    actions = {entry["id"]: entry for entry in included if entry["type"] == "flow-action"}
    for row in (row for page in pages for row in page["data"]):
        named = [identity["id"] for identity in row["relationships"]["flow-actions"]["data"]]
        assert 3 <= len(named) <= 8
        for action_id in named:
            assert actions[action_id]["relationships"]["flow"]["data"] == {"type": "flow", "id": row["id"]}
            assert actions[action_id]["attributes"]["definition"]["id"] == action_id
            assert set(actions[action_id]["relationships"]["flow-messages"]) == {"links"}
    assert actions.keys() == reading.store.flow_actions.rows.keys()


def test_actions_of_a_flow(read, reading):
    """A flow's actions are found by type as it was spelled of old, by status, id and time, and in any order."""
    rows = list(reading.store.flow_actions.rows.values())
    flow_id = max(reading.store.flows.rows, key=lambda flow: len([row for row in rows if row["flow_id"] == flow]))
    own = [row for row in rows if row["flow_id"] == flow_id]
    for path in (f"flows/{flow_id}/flow-actions", f"flows/{flow_id}/relationships/flow-actions"):
        assert ids(read.rows(path, page__size=2)) == ids(own)
        for text, expected in (
            ("equals(action_type,'SEND_EMAIL')", [row for row in own if row["definition"]["type"] == "send-email"]),
            (
                "any(action_type,['TIME_DELAY','SEND_SMS'])",
                [row for row in own if row["definition"]["type"] in ("time-delay", "send-sms")],
            ),
            ("equals(status,'live')", [row for row in own if row["definition"]["data"].get("status") == "live"]),
            (f"any(id,['{own[0]['id']}'])", own[:1]),
            (f"greater-than(updated,{own[0]['updated']})", [row for row in own if row["updated"] > own[0]["updated"]]),
        ):
            assert ids(read.rows(path, filter=text, sort="updated")) == ids(expected), text
    updated = [row["attributes"]["updated"] for row in read.rows(f"flows/{flow_id}/flow-actions", sort="-updated")]
    assert updated == sorted(updated, reverse=True)


def test_what_is_only_written_is_not_shown(reading):
    """The id that an action has while its flow is being created (``writeOnly``) is in no definition."""
    shown = [action["definition"].keys() for action in reading.store.flow_actions.rows.values()]
    assert {"id", "type", "links"} <= set.intersection(*map(set, shown))
    assert "temporary_id" not in set().union(*shown)


def test_every_message_of_an_action_is_a_resource(read, reading):
    """Whatever a definition says, experiments included, is a flow message with the same id and definition."""
    kinds = set()
    for action_id, action in reading.store.flow_actions.rows.items():
        said = {message["id"]: (kind, message) for kind, message in messages_of(action["definition"])}
        rows = read.rows(f"flow-actions/{action_id}/flow-messages")
        assert {row["id"]: row["attributes"]["definition"] for row in rows} == {
            message_id: message for message_id, (_, message) in said.items()
        }
        assert ids(read.rows(f"flow-actions/{action_id}/relationships/flow-messages")) == said.keys()
        for row in rows:
            kinds.add((said[row["id"]][0], row["attributes"]["channel"]))
            assert row["relationships"]["flow-action"]["data"]["id"] == action_id
            assert (row["relationships"]["template"]["data"] or {}).get("id") == said[row["id"]][1].get("template_id")
    assert kinds == {
        ("send-email", "Email"),
        ("send-sms", "SMS"),
        ("send-mobile-push", "Push"),
        ("send-whatsapp", "WhatsApp"),
        ("send-webhook", "Webhook"),
        ("send-internal-alert", "Internal Alert"),
    }


def test_messages_of_an_action_by_name(read, reading):
    """Messages of an experiment are found by what they are called."""
    action = next(row for row in reading.store.flow_actions.rows.values() if row["action_type"] == "AB_TEST")
    path = f"flow-actions/{action['id']}/flow-messages"
    first, *_, last = sorted(read.rows(path), key=lambda row: row["attributes"]["definition"]["name"])
    name = last["attributes"]["definition"]["name"]
    for text in (f"equals(name,'{name}')", f"ends-with(name,'{name[-3:]}')", f"any(id,['{last['id']}'])"):
        assert ids(read.rows(path, filter=text)) == {last["id"]}
    assert ids(read.rows(path, filter=f"starts-with(name,'{name[:4]}')")) >= {first["id"], last["id"]}


def test_one_action_and_one_message(read, reading):
    """An action includes its flow and messages; a message its action and its template, which it also leads to."""
    message = next(row for row in reading.store.flow_messages.rows.values() if row["template_id"])
    action = read.get(f"flow-actions/{message['action_id']}", include="flow,flow-messages").json()
    assert {(entry["type"], entry["id"]) for entry in action["included"]} >= {
        ("flow", message["flow_id"]),
        ("flow-message", message["id"]),
    }
    document = read.get(f"flow-messages/{message['id']}", include="flow-action,template").json()
    assert ids(document["included"]) == {message["action_id"], message["template_id"]}
    assert read.get(f"flow-messages/{message['id']}/template").json()["data"]["id"] == message["template_id"]
    text = next(row for row in reading.store.flow_messages.rows.values() if row["channel"] == "SMS")
    assert problem(read.get(f"flow-messages/{text['id']}/template")) == (404, "not_found", {"pointer": "/data/"})


def test_an_experiment_has_messages_of_its_own(read, reading):
    """An A/B test says something in its main action and in each variation, and nothing itself."""
    action = next(row for row in reading.store.flow_actions.rows.values() if row["action_type"] == "AB_TEST")
    data = read.get(f"flow-actions/{action['id']}").json()["data"]["attributes"]["definition"]["data"]
    assert "message" not in data
    said = [it["data"]["message"]["id"] for it in (data["main_action"], *data["current_experiment"]["variations"])]
    assert len(set(said)) == 3


def test_a_definition_only_when_asked_for(read, reading):
    """One flow tells its triggers and actions through additional fields alone."""
    for flow_id, flow in reading.store.flows.rows.items():
        assert "definition" not in read.get(f"flows/{flow_id}").json()["data"]["attributes"]
        shown = read.get(f"flows/{flow_id}", additional_fields__flow="definition").json()["data"]["attributes"]
        assert [action["id"] for action in shown["definition"]["actions"]] == flow["action_ids"]
        assert shown["definition"]["triggers"] == flow["triggers"]
    sparse = {"additional_fields__flow": "definition", "fields__flow": "definition.entry_action_id"}
    only = read.get(f"flows/{flow_id}", **sparse).json()["data"]["attributes"]
    assert only == {"definition": {"entry_action_id": flow["action_ids"][0]}}


def test_sparse_fields_of_actions(read, reading):
    """Of an action's definition the message alone can be asked for; without one nothing is left of its data."""
    query = {
        "include": "flow-actions",
        "fields__flow_action": "definition.type,definition.data.message",
        "fields__flow": "name",
    }
    shown = {}
    for entry in read.get("flows", **query).json()["included"]:
        assert set(entry["attributes"]) == {"definition"}
        definition = entry["attributes"]["definition"]
        shown.setdefault(definition["type"], set()).update(definition.get("data", {"nothing": None}))
    assert shown["send-email"] == {"message"}
    assert shown["ab-test"] == set()
    assert shown["back-in-stock-delay"] == {"nothing"}


def test_a_flow_may_be_older_than_its_actions(reading):
    """Some flows were last updated before the newest of their actions, some after."""
    store = reading.store
    newest = {
        flow_id: max(store.flow_actions.rows[action]["updated"] for action in flow["action_ids"])
        for flow_id, flow in store.flows.rows.items()
    }
    assert {flow["updated"] < newest[flow_id] for flow_id, flow in store.flows.rows.items()} == {True, False}


@pytest.mark.parametrize("kind", ["list", "segment", "metric"])
def test_what_starts_a_flow_names_it(read, reading, kind):
    """Lists, segments and metrics include the flows that they trigger."""
    expected = {
        (trigger["id"], flow["id"])
        for flow in reading.store.flows.rows.values()
        for trigger in flow["triggers"]
        if trigger["type"] == kind
    }
    assert expected
    found, included = set(), set()
    for page in read.pages(f"{kind}s", include="flow-triggers"):
        included |= ids(page["included"])
        found |= {
            (row["id"], flow["id"]) for row in page["data"] for flow in row["relationships"]["flow-triggers"]["data"]
        }
    assert found == expected
    assert included == {flow_id for _, flow_id in expected}
    one, flow_id = next(iter(expected))
    assert flow_id in ids(read.get(f"{kind}s/{one}", include="flow-triggers").json()["included"])


@pytest.mark.parametrize(
    "path",
    [
        *("flows/NOPE", "flows/NOPE/tags", "flows/NOPE/relationships/tags", "flows/NOPE/flow-actions"),
        *("flows/NOPE/relationships/flow-actions", "flow-actions/1", "flow-actions/1/flow-messages"),
        *("flow-actions/1/relationships/flow-messages", "flow-messages/NOPE", "flow-messages/NOPE/template"),
    ],
)
def test_an_unknown_flow_action_or_message_is_not_found(read, path):
    """Ids that are not in the account are 404s, also as parents."""
    assert problem(read.get(path)) == (404, "not_found", {"pointer": "/data/"})
