"""Upserts of one profile, as profile-import and bulk import jobs both make them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from klaviyo_sandbox.account.identifiers import owners_of
from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.rows import ANONYMOUS, IDENTIFIERS, Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.errors import Refusal, duplicate_profile, not_found

# Attributes whose members are merged one by one; every other attribute is replaced.
_MERGED_MEMBERS = ("location", "properties")
_PREDICTIONS = (
    *("historic_clv", "predicted_clv", "total_clv", "historic_number_of_orders", "predicted_number_of_orders"),
    *("average_days_between_orders", "average_order_value", "churn_probability", "expected_date_of_next_order"),
    "ranked_channel_affinity",
)


@dataclass(frozen=True)
class UpsertResult:
    """The profile after an upsert, and before it; None when the upsert created it."""

    row: Row
    before: Row | None

    @property
    def created(self) -> bool:
        return self.before is None


def upsert(store: Store, profile: Mapping[str, Any], *, keep_on_null: bool) -> UpsertResult:
    """Write a profile resource ({"id"?, "attributes", "meta"?}) whose identifiers are valid.

    With ``keep_on_null`` a null leaves the field as it is (bulk import); without, it clears the field.

    Raises:
        Refusal: 404 for an unknown ``id``; 409 when the identifiers belong to different profiles.
    """
    attributes = {name: value for name, value in profile["attributes"].items() if name != "_kx"}
    if keep_on_null:
        attributes = without_nulls(attributes)
    if attributes.get("email"):
        attributes["email"] = attributes["email"].lower()
    existing = _find_existing(store, profile.get("id"), attributes)
    base = existing or _new_row(store)
    changed, meta = {**base, **_merge_members(base, attributes)}, profile.get("meta") or {}
    row = _apply_patch(changed, meta, twice=store.append == "list")
    for address in row["other_emails"]:
        if store.find_profile_id("email", address) not in (None, row["id"]):
            raise Refusal([duplicate_profile(str(store.find_profile_id("email", address)))])
    row["updated"] = store.now_text()
    store.put_profile(row)
    return UpsertResult(row, existing)


def without_conflicts(store: Store, profile: Mapping[str, Any]) -> dict[str, Any]:
    """The profile without identifiers that belong to another profile than the first one they name.

    An upsert of it meets no conflict. Endpoints that accept first and work later have nobody to tell of a conflict.
    """
    attributes = profile["attributes"]
    owner = profile.get("id") or next(iter(owners_of(store, attributes)), None)
    conflicting = {
        name
        for name in (*IDENTIFIERS, ANONYMOUS)
        if attributes.get(name) and store.find_profile_id(name, attributes[name]) not in (None, owner)
    }
    others = {name: value for name, value in attributes.items() if name not in conflicting}
    meta = dict(profile.get("meta") or {})
    appended = _as_list(((meta.get("patch_identifiers") or {}).get("append") or {}).get("email"))
    if any(store.find_profile_id("email", address) not in (None, owner) for address in appended):
        meta["patch_identifiers"] = None
    return {**profile, "attributes": others, "meta": meta}


def without_nulls(value: Any) -> Any:
    """The same mapping without null members, at any depth."""
    if not isinstance(value, Mapping):
        return value
    return {name: without_nulls(member) for name, member in value.items() if member is not None}


def _find_existing(store: Store, profile_id: str | None, attributes: Mapping[str, Any]) -> Row | None:
    owners = owners_of(store, attributes)
    if profile_id is not None:
        if profile_id not in store.profiles:
            raise not_found(f"A profile with id {profile_id} does not exist.")
        owners = [profile_id, *(owner for owner in owners if owner != profile_id)]
    if len(owners) > 1:
        raise Refusal([duplicate_profile(owners[1])])
    return store.profiles.get(owners[0]) if owners else None


def _new_row(store: Store) -> Row:
    now = store.now()
    return {
        "id": ulid(int(now.timestamp() * 1000), random.SystemRandom()),
        "created": store.now_text(),
        "properties": {},
        "subscriptions": no_subscriptions(),
        "predictive_analytics": no_predictions(),
    }


def no_subscriptions() -> dict[str, Any]:
    """The ``subscriptions`` of a profile that never gave or withdrew consent: whole objects, as live Klaviyo shows."""
    email = {
        **_never("can_receive_email_marketing"),
        # Who never subscribed may get e-mail, unlike text messages.
        "can_receive_email_marketing": True,
        "custom_method_detail": None,
        "double_optin": None,
        "suppression": [],
        "list_suppressions": [],
    }
    push = {"can_receive_push_marketing": False, "consent": "NEVER_SUBSCRIBED", "consent_timestamp": None}
    sms = {kind: _never(f"can_receive_sms_{kind}") for kind in ("marketing", "transactional")}
    tracking = {f"{kind}_tracking": _never_tracked() for kind in ("open", "click")}
    return {
        "email": {"marketing": email, **tracking},
        "sms": sms,
        "mobile_push": {"marketing": push},
        "whatsapp": None,
    }


def _never(flag: str) -> dict[str, Any]:
    nulls = dict.fromkeys(("consent_timestamp", "last_updated", "method", "method_detail"))
    return {flag: False, "consent": "NEVER_SUBSCRIBED", **nulls}


def _never_tracked() -> dict[str, Any]:
    times = dict.fromkeys(("consent_timestamp", "last_updated", "created_timestamp", "valid_until"))
    return {"can_receive": False, "consent": "NEVER_SUBSCRIBED", **times, "metadata": {}}


def no_predictions() -> dict[str, None]:
    """The ``predictive_analytics`` of a profile of which nothing is predicted."""
    return dict.fromkeys(_PREDICTIONS)


def _merge_members(base: Row, attributes: Mapping[str, Any]) -> dict[str, Any]:
    changes = dict(attributes)
    for name in _MERGED_MEMBERS:
        if isinstance(changes.get(name), Mapping):
            changes[name] = {**(base.get(name) or {}), **changes[name]}
    if "properties" in changes and changes["properties"] is None:
        changes["properties"] = {}
    return changes


def _apply_patch(row: dict[str, Any], meta: Mapping[str, Any], *, twice: bool) -> dict[str, Any]:
    """The row, changed as ``meta`` says; with ``twice`` what is appended again is there once more."""
    patch = meta.get("patch_properties") or {}
    properties = dict(row.get("properties") or {})
    for name, value in (patch.get("append") or {}).items():
        items = _as_list(properties.get(name))
        for item in _as_list(value):
            if twice or item not in items:
                items.append(item)
        properties[name] = items
    for name, value in (patch.get("unappend") or {}).items():
        if name in properties:
            removed = _as_list(value)
            properties[name] = [item for item in _as_list(properties[name]) if item not in removed]
    for name in _as_list(patch.get("unset")):
        properties.pop(name, None)
    email_patch = meta.get("patch_identifiers") or {}
    removed = _as_list((email_patch.get("unappend") or {}).get("email"))
    others = [*row.get("other_emails", ()), *_as_list((email_patch.get("append") or {}).get("email"))]
    others = [address for address in dict.fromkeys(others) if address not in removed]
    return {**row, "properties": properties, "other_emails": others}


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
