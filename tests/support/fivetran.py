"""The five source tables of fivetran/dbt_klaviyo, worked out from an account by plain HTTP.

Columns and types are those that its models read (v1.4.1: macros/staging, models/staging/src_klaviyo.yml).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from support.second_path import Json, Witness, definition, properties, related, utc

Rows = dict[str, Json]

# ``_fivetran_synced`` is a timestamp of every table, ``_fivetran_deleted`` a boolean.
COLUMNS = {
    "campaign": {
        **dict.fromkeys(("id", "name", "campaign_type", "status", "status_id", "status_label"), "text"),
        **dict.fromkeys(("subject", "from_email", "from_name", "email_template_id"), "text"),
        **dict.fromkeys(("created", "updated", "scheduled", "send_time", "sent_at"), "timestamp"),
        "archived": "boolean",
    },
    "event": {
        **dict.fromkeys(("id", "uuid", "person_id", "metric_id", "type", "_variation"), "text"),
        **dict.fromkeys(("campaign_id", "flow_id", "flow_message_id"), "text"),
        **dict.fromkeys(("property_value", "property_attribution"), "text"),
        **dict.fromkeys(("timestamp", "datetime"), "timestamp"),
    },
    "flow": {
        **dict.fromkeys(("id", "name", "status", "trigger_type"), "text"),
        **dict.fromkeys(("created", "updated"), "timestamp"),
        "archived": "boolean",
    },
    "metric": {
        **dict.fromkeys(("id", "name", "integration_id", "integration_name", "integration_category"), "text"),
        **dict.fromkeys(("created", "updated"), "timestamp"),
    },
    "person": {
        **dict.fromkeys(("id", "email", "phone_number", "first_name", "last_name", "organization", "title"), "text"),
        **dict.fromkeys(("address_1", "address_2", "city", "region", "country", "zip", "timezone"), "text"),
        **dict.fromkeys(("latitude", "longitude"), "float"),
        **dict.fromkeys(("created", "updated", "last_event_date"), "timestamp"),
    },
}

# What shops have been seen to put into ``$value`` -> the amount, None where it is no single number.
AMOUNTS: dict[Any, str | None] = {
    "$1,234.50": "1234.50",
    "€ 12,30": "12.30",
    "15 USD": "15",
    "-$5.00": "-5.00",
    "$-5.25": "-5.25",
    "1.234,50 kr.": "1234.50",
    "1\u00a0234,50 zł": "1234.50",
    "CHF 1'234.50": "1234.50",
    "Rs. 500": "500",
    "12,345": "12345",
    "1.234.567": "1234567",
    "$.50": "0.50",
    49.99: "49.99",
    -3: "-3",
    0: "0",
    "(5.00)": None,
    "5.00-": None,
    "1e3": None,
    "2 for 10": None,
    "free": None,
    "": None,
}


def rows(account: Witness, table: str) -> Rows:
    """Id -> the row of that table, without the columns that Fivetran's loader writes."""
    return _TABLES[table](account)


def _campaign(account: Witness) -> Rows:
    first: dict[str, Json] = {}
    for campaign_id, message in account.campaign_messages():
        held = first.setdefault(campaign_id, message)
        first[campaign_id] = min(held, message, key=lambda it: (it["attributes"]["created_at"], it["id"]))
    rows_by_id: Rows = {}
    for campaign_id, (channel, row) in account.campaigns().items():
        attributes = row["attributes"]
        message = first[campaign_id]
        content = definition(message).get("content") or {}
        template = account.one(f"campaign-messages/{message['id']}/relationships/template")
        rows_by_id[campaign_id] = {
            "name": attributes["name"],
            "campaign_type": channel,
            "status": attributes["status"],
            "status_id": None,
            "status_label": attributes["status"],
            "archived": attributes["archived"],
            "created": _time(attributes["created_at"]),
            "updated": _time(attributes["updated_at"]),
            "scheduled": _time(attributes["scheduled_at"]),
            "send_time": _time(attributes["send_time"]),
            "sent_at": _time(attributes["send_time"]) if attributes["status"] == "Sent" else None,
            "subject": content.get("subject"),
            "from_email": content.get("from_email"),
            "from_name": content.get("from_label"),
            "email_template_id": None if template is None else template["id"],
        }
    return rows_by_id


def _event(account: Witness) -> Rows:
    names = {row["id"]: row["attributes"]["name"] for row in account.rows("metrics")}
    rows_by_id: Rows = {}
    for event_id, row in account.events().items():
        attributes = row["attributes"]
        legacy = properties(row).get("$attribution")
        relations = _attribution(event_id, account.attributions()[event_id], legacy)
        metric = related(row["relationships"], "metric")
        rows_by_id[event_id] = {
            "uuid": attributes["uuid"],
            "person_id": related(row["relationships"], "profile"),
            "metric_id": metric,
            "type": names.get(metric),
            "timestamp": datetime.fromtimestamp(attributes["timestamp"], UTC).replace(tzinfo=None),
            "datetime": _time(attributes["datetime"]),
            **_message_ids(properties(row), relations or {}),
            "property_value": _amount(properties(row).get("$value")),
            "property_attribution": None if relations is None else {"type": "attribution", "relationships": relations},
        }
    return rows_by_id


def _message_ids(values: Json, relations: Json) -> Json:
    """Ids of the message that the event is about; if it is about none, of the message that it is attributed to."""
    if values.get("$message") is not None or values.get("$flow") is not None:
        message, flow, variation = values.get("$message"), values.get("$flow"), values.get("$variation")
    else:
        flow, variation = related(relations, "flow"), related(relations, "flow-message-variation")
        message = related(relations, "flow-message") or related(relations, "campaign")
    return {
        "campaign_id": message if flow is None else None,
        "flow_id": flow,
        "flow_message_id": None if flow is None else message,
        "_variation": variation,
    }


def _attribution(event_id: str, attributions: list[Json], legacy: Json | None) -> Json | None:
    """The relationships of the first attribution that the contract has; made of the object that old events hold."""
    if attributions:
        return {name: {"data": it["data"]} for name, it in attributions[0].items() if name != "campaign-message"}
    if legacy is None:
        return None
    flow, message = legacy.get("$flow"), legacy.get("$message")
    named = {
        "event": ("event", event_id),
        "attributed-event": ("event", legacy.get("$attributed_event_id")),
        "campaign": ("campaign", message if flow is None else None),
        "flow": ("flow", flow),
        "flow-message": ("flow-message", None if flow is None else message),
        "flow-message-variation": ("flow-message", legacy.get("$variation")),
    }
    return {name: {"data": {"type": kind, "id": it}} for name, (kind, it) in named.items() if it is not None}


def _flow(account: Witness) -> Rows:
    kept = ("name", "status", "trigger_type", "archived")
    return {row["id"]: {**_attributes(row, *kept), **_times(row, "created", "updated")} for row in account.flows()}


def _metric(account: Witness) -> Rows:
    rows_by_id: Rows = {}
    for row in account.rows("metrics"):
        integration = row["attributes"]["integration"] or {}
        category = integration.get("category")
        rows_by_id[row["id"]] = {
            **_attributes(row, "name"),
            **_times(row, "created", "updated"),
            "integration_id": integration.get("id"),
            "integration_name": integration.get("name"),
            "integration_category": category["name"] if isinstance(category, dict) else category,
        }
    return rows_by_id


def _person(account: Witness) -> Rows:
    kept = ("email", "phone_number", "first_name", "last_name", "organization", "title")
    places = {"address_1": "address1", "address_2": "address2"}
    places |= {name: name for name in ("city", "region", "country", "zip", "timezone")}
    rows_by_id: Rows = {}
    for row in account.profiles():
        location = row["attributes"]["location"] or {}
        rows_by_id[row["id"]] = {
            **_attributes(row, *kept),
            **_times(row, "created", "updated", "last_event_date"),
            **{column: location.get(name) for column, name in places.items()},
            **{name: _degrees(location.get(name)) for name in ("latitude", "longitude")},
        }
    return rows_by_id


def _attributes(row: Json, *names: str) -> Json:
    return {name: row["attributes"].get(name) for name in names}


def _times(row: Json, *names: str) -> Json:
    return {name: _time(row["attributes"].get(name)) for name in names}


def _time(text: str | None) -> datetime | None:
    """As a column has it: in UTC, which it does not say."""
    aware = utc(text)
    return None if aware is None else datetime.fromisoformat(aware).replace(tzinfo=None)


def _degrees(value: Any) -> float | None:
    return None if value is None else float(value)


def _amount(value: Any) -> Decimal | None:
    if isinstance(value, bool | dict | list):
        return None
    amount = AMOUNTS.get(value, value)
    return None if amount is None else Decimal(str(amount))


_TABLES: dict[str, Callable[[Witness], Rows]] = {
    "campaign": _campaign,
    "event": _event,
    "flow": _flow,
    "metric": _metric,
    "person": _person,
}
