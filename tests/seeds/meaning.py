"""What some tables of the two specifications must say, worked out of the account by what the specifications mean.

It knows nothing of our columns' code: rows are made of what the sandbox holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

from klaviyo_sandbox.account.store import Store

Row = dict[str, Any]
Key = tuple[Any, ...]
Expected = dict[Key, Row]

# The metrics that V1 counts as an end of e-mail, and the integration whose they are.
_UNSUBSCRIBES = ("Unsubscribed", "Unsubscribed from List", "Unsubscribed from Email Marketing")
_CHANNELS = ("email", "sms", "whatsapp", "mobile_push")


def moment(text: Any) -> datetime | None:
    """A point in time of the account, or of a table, in UTC."""
    if text is None:
        return None
    when = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def says_something(value: Any) -> bool:
    return value is not None and any(character.isprintable() and not character.isspace() for character in str(value))


def hashed(value: Any) -> str | None:
    """The MD5 that a foreign key of V1 is; of nothing, or of blanks, there is none."""
    return md5(str(value).encode(), usedforsecurity=False).hexdigest() if says_something(value) else None


def subscription(profile: Mapping[str, Any], list_id: str) -> Row:
    """Whether mail of a list may go to somebody, and if not, when that ended."""
    marketing = profile["subscriptions"]["email"]["marketing"]
    here = [entry for entry in marketing["list_suppressions"] if entry["list_id"] == list_id]
    subscribed = bool(
        marketing["consent"] == "SUBSCRIBED"
        and marketing["can_receive_email_marketing"]
        and profile["email"]
        and not here
    )
    everywhere = [entry for entry in marketing["suppression"] if entry["reason"] == "UNSUBSCRIBE"]
    ends = [moment(entry["timestamp"]) for entry in (*here, *everywhere)]
    return {
        "subscribed": subscribed,
        "unsubscribed_at": None if subscribed else max((end for end in ends if end), default=None),
    }


def _memberships(store: Store) -> Iterator[tuple[str, Mapping[str, Any], str | None]]:
    """(list, profile, when it joined), and without a time those who have left a list on which they are suppressed.

    A list that is gone has nobody.
    """
    for list_id in store.lists.rows:
        for profile_id, member in store.list_members[list_id].rows.items():
            yield list_id, store.profiles.rows[profile_id], member["joined_group_at"]
    for profile in store.profiles.rows.values():
        for entry in profile["subscriptions"]["email"]["marketing"]["list_suppressions"]:
            list_id = entry["list_id"]
            if list_id in store.lists and profile["id"] not in store.list_members[list_id]:
                yield list_id, profile, None


def member_lists(store: Store) -> Expected:
    return {
        (list_id, profile["id"]): {"subscribed_at": moment(joined), **subscription(profile, list_id)}
        for list_id, profile, joined in _memberships(store)
    }


def suppressions(store: Store) -> Expected:
    return {
        (profile["id"], entry["reason"], moment(entry["timestamp"])): {}
        for profile in store.profiles.rows.values()
        for entry in profile["subscriptions"]["email"]["marketing"]["suppression"]
    }


def exclusions(store: Store) -> Expected:
    return {key: {"email": store.profiles.rows[key[0]]["email"]} for key in suppressions(store)}


def list_suppressions(store: Store) -> Expected:
    """The newest of each list and reason."""
    found: Expected = {}
    for profile in store.profiles.rows.values():
        for entry in profile["subscriptions"]["email"]["marketing"]["list_suppressions"]:
            key, when = (profile["id"], entry["list_id"], entry["reason"]), moment(entry["timestamp"])
            if key not in found or when > found[key]["timestamp"]:
                found[key] = {"timestamp": when}
    return found


def unsubscribes(store: Store) -> Expected:
    """The events of Klaviyo's own metrics; another integration may call its own the same."""
    metrics = {
        row["id"]
        for row in store.metrics.rows.values()
        if row["name"] in _UNSUBSCRIBES and row["integration"]["name"] == "Klaviyo"
    }
    rows: Expected = {}
    for event in store.events.rows.values():
        if event["metric_id"] in metrics:
            properties = event["event_properties"] or {}
            rows[event["id"],] = {
                "event_at": moment(event["datetime"]),
                "campaign_key": hashed(properties.get("$message")),
                "automation_key": hashed(properties.get("$flow")),
            }
    return rows


def campaigns(store: Store) -> Expected:
    """Campaigns, messages of flows, and what events say of those that are gone."""
    rows: Expected = {}
    for event in sorted(store.events.rows.values(), key=lambda row: row["timestamp"]):
        properties = event["event_properties"] or {}
        if says_something(properties.get("$message")):
            rows[properties["$message"],] = {"automation_key": hashed(properties.get("$flow")), "status": None}
    for message in store.flow_messages.rows.values():
        if message["flow_id"] in store.flows:
            rows[message["id"],] = {"automation_key": hashed(message["flow_id"]), "name": message["name"]}
    for row in store.campaigns.rows.values():
        sent = {"name": row["name"], "status": row["status"], "sent_at": moment(row["send_time"])}
        rows[row["id"],] = {**sent, "automation_key": None, "updated_at": moment(row["updated_at"])}
    return rows


def members(store: Store) -> Expected:
    """The channels: what the property says, then those that consent was given for."""
    rows: Expected = {}
    for profile in store.profiles.rows.values():
        said = profile["properties"].get("$consent")
        channels = said.replace(",", " ").split() if isinstance(said, str) else list(said or ())
        given = [
            channel
            for channel in _CHANNELS
            if ((profile["subscriptions"].get(channel) or {}).get("marketing") or {}).get("consent") == "SUBSCRIBED"
        ]
        rows[profile["id"],] = {"consent": list(dict.fromkeys(channel.lower() for channel in (*channels, *given)))}
    return rows


# Table -> (what it must hold, the columns that are the key of that).
MEANING: Mapping[str, tuple[Callable[[Store], Expected], tuple[str, ...]]] = {
    "member_lists": (member_lists, ("list_id", "member_id")),
    "esp_member_lists": (member_lists, ("list_id", "member_id")),
    "profile_email_suppressions": (suppressions, ("profile_id", "reason", "timestamp")),
    "profile_email_list_suppressions": (list_suppressions, ("profile_id", "list_id", "reason")),
    "esp_member_exclusions": (exclusions, ("member_id", "reason", "created_at")),
    "esp_unsubscribes": (unsubscribes, ("id",)),
    "esp_campaigns": (campaigns, ("id",)),
    "esp_members": (members, ("id",)),
}


def as_account_has_it(column: str, value: Any) -> Any:
    """A value of a table, of whatever database, as the functions above write it."""
    if column in ("timestamp", "created_at", "event_at", "sent_at", "updated_at", "subscribed_at", "unsubscribed_at"):
        return moment(value)
    if column == "subscribed" and isinstance(value, int):
        return bool(value)
    if column == "consent":
        is_list = isinstance(value, str) and value.startswith("[")
        return json.loads(value) if is_list else [value] if isinstance(value, str) else list(value or ())
    return value
