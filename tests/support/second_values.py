"""Works out a few values of each family of tables by plain HTTP, as ``second_path`` does the keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klaviyo_sandbox import RunningSandbox
from support.second_path import (
    Json,
    Key,
    Witness,
    campaign_parameters,
    definition,
    marketing,
    message_parameters,
    properties,
    related,
    utc,
    witness,
)

Values = dict[Key, Json]


def values(account: RunningSandbox, table: str) -> Values:
    """Key, as in ``second_path.KEYS`` -> some of the columns that the row with that key must have."""
    return _VALUES[table](witness(account))


def campaigns(account: Witness) -> Values:
    """The channel is what the messages say, as a campaign itself says none."""
    channels: dict[str, str] = {}
    for campaign_id, message in account.campaign_messages():
        channels.setdefault(campaign_id, definition(message)["channel"])
    rows: Values = {}
    for campaign_id, (asked_for, row) in account.campaigns().items():
        attributes = row["attributes"]
        rows[campaign_id,] = {
            "name": attributes["name"],
            "status": attributes["status"],
            "archived": attributes["archived"],
            "channel": channels.get(campaign_id, asked_for),
            "send_strategy_method": attributes["send_strategy"]["method"],
            "created_at": utc(attributes["created_at"]),
            "updated_at": utc(attributes["updated_at"]),
        }
    return rows


def campaign_messages(account: Witness) -> Values:
    """Each message is asked for its template."""
    rows: Values = {}
    for campaign_id, message in account.campaign_messages():
        template = account.one(f"campaign-messages/{message['id']}/relationships/template")
        rows[message["id"],] = {
            "channel": definition(message).get("channel"),
            "content_subject": (definition(message).get("content") or {}).get("subject"),
            "campaign_data_id": campaign_id,
            "template_data_id": None if template is None else template["id"],
        }
    return rows


def flow_actions(account: Witness) -> Values:
    return {
        (action["id"],): {
            "flow_id": flow_id,
            "action_type": definition(action).get("type"),
            "status": (definition(action).get("data") or {}).get("status"),
        }
        for flow_id, action in account.flow_actions()
    }


def flow_action_messages(account: Witness) -> Values:
    """Each action is asked for its messages."""
    rows: Values = {}
    for _, action in account.flow_actions():
        for message in account.rows(f"flow-actions/{action['id']}/flow-messages"):
            channel = message["attributes"]["channel"]
            rows[message["id"],] = {
                "flow_action_id": action["id"],
                "channel": None if channel is None else channel.lower(),
                "created": utc(message["attributes"]["created"]),
            }
    return rows


def events(account: Witness) -> Values:
    """Names of metrics and addresses of profiles are those that the metrics and profiles themselves have."""
    names = {row["id"]: row["attributes"]["name"] for row in account.rows("metrics")}
    emails = {row["id"]: row["attributes"]["email"] for row in account.profiles()}
    return {
        (event_id,): {
            "metric_name": names.get(related(event["relationships"], "metric")),
            "profile_email": emails.get(related(event["relationships"], "profile")),
            **_attribution(account.attributions()[event_id], properties(event).get("$attribution") or {}),
        }
        for event_id, event in account.events().items()
    }


def _attribution(entries: list[Json], legacy: Json) -> dict[str, Any]:
    """What the first attribution says; an event of old that has none says it itself."""
    if not entries:
        return {
            "attribution_attributed_event_id": legacy.get("$attributed_event_id"),
            "attribution_flow": legacy.get("$flow"),
            "attribution_message": legacy.get("$message"),
            "attribution_variation": legacy.get("$variation"),
        }
    first = entries[0]
    return {
        "attribution_attributed_event_id": related(first, "attributed-event"),
        "attribution_flow": related(first, "flow"),
        "attribution_message": related(first, "flow-message") or related(first, "campaign"),
        "attribution_variation": related(first, "flow-message-variation"),
    }


def profiles(account: Witness) -> Values:
    return {
        (profile["id"],): {
            "email_marketing_consent": marketing(profile).get("consent"),
            "email_marketing_timestamp": utc(marketing(profile).get("consent_timestamp")),
        }
        for profile in account.profiles()
    }


def campaign_utm_params(account: Witness) -> Values:
    return {key: dict(parameter) for key, parameter in campaign_parameters(account)}


def flow_action_message_utm_params(account: Witness) -> Values:
    return {key: {"name": it["param"], "value": it["value"]} for key, it in message_parameters(account)}


_VALUES: dict[str, Callable[[Witness], Values]] = {
    "campaigns": campaigns,
    "campaign_messages": campaign_messages,
    "campaign_utm_params": campaign_utm_params,
    "events": events,
    "flow_actions": flow_actions,
    "flow_action_messages": flow_action_messages,
    "flow_action_message_utm_params": flow_action_message_utm_params,
    "profiles": profiles,
}
