"""Tables of flows, their actions, messages and tags. One pass for live and one for archived flows feed all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Collection, Lookup, Root, Table, each
from tap_klaviyo.tables.table_functions import UTM_DELETION_NOTE, with_positions

FLOWS = Collection(
    "flows",
    "get_flows",
    "flow",
    bookmark="updated",
    filter_sets=({"archived": False}, {"archived": True}),
    reread=True,
    keep_deleted=True,
)


def messages_in(definition: Any) -> Iterator[Any]:
    """Every message that an action's definition holds.

    A/B tests and content experiments keep theirs in the main action and in the variations of the running experiment.
    """
    for holder in _message_holders(definition):
        data = holder.get("data") if isinstance(holder, dict) else None
        if isinstance(data, dict) and isinstance(data.get("message"), dict):
            yield data["message"]


def _message_holders(definition: Any) -> Iterator[Any]:
    yield definition
    data = definition.get("data") if isinstance(definition, dict) else None
    if isinstance(data, dict):
        yield data.get("main_action")
        experiment = data.get("current_experiment")
        variations = experiment.get("variations") if isinstance(experiment, dict) else None
        yield from variations if isinstance(variations, list) else ()


def first_message(definition: Any) -> Any:
    """The message that an action is about, None for one that sends nothing."""
    return next(messages_in(definition), None)


def _message_stamps(page: Page) -> Mapping[str, Any]:
    """Created, updated and channel of each message; Klaviyo writes "Email" here and "email" elsewhere."""
    by_id = {}
    for message in page.data:
        attributes = message.get("attributes") or {}
        channel = attributes.get("channel")
        by_id[message["id"]] = {**attributes, "channel": channel.lower() if isinstance(channel, str) else channel}
    return by_id


ACTIONS = each("action", "included:flow-actions#")
MESSAGES = each("message", "action#/attributes/definition", make=lambda definition: list(messages_in(definition)))
STAMP = Lookup(
    "stamp",
    "get_flow_action_messages",
    owner_kind="flow action",
    owner_path="action#/id",
    match_path="message#/id",
    extract=_message_stamps,
    query={"fields[flow-message]": "channel,created,updated"},
)
FLOW_DELETION_NOTE = "What is deleted stays as it was last read, so that old events still find it."

TABLES = (
    Table("flows", FLOWS, key=("flow_id",), bookmark="updated", deletion_note=FLOW_DELETION_NOTE),
    Table(
        "flow_actions",
        FLOWS,
        key=("flow_action_id",),
        bookmark="flow_updated",
        roots=(ACTIONS, Root("message", ("action#/attributes/definition",), first_message)),
        deletion_note=FLOW_DELETION_NOTE,
    ),
    Table(
        "flow_action_messages",
        FLOWS,
        key=("flow_action_message_id",),
        bookmark="flow_updated",
        roots=(
            ACTIONS,
            MESSAGES,
            STAMP,
        ),
        deletion_note=FLOW_DELETION_NOTE,
    ),
    Table(
        "flow_action_message_utm_params",
        FLOWS,
        key=("flow_action_message_id", "position"),
        bookmark="flow_updated",
        roots=(ACTIONS, MESSAGES, each("parameter", "message#/custom_tracking_params", make=with_positions)),
        deletion_note=UTM_DELETION_NOTE,
    ),
    Table(
        "flow_tags",
        FLOWS,
        key=("flow_id", "tag_id"),
        bookmark="flow_updated",
        roots=(each("tag", "/relationships/tags/data"),),
        deletion_note="A tag taken off stays.",
    ),
)
