"""The catalogue: everything that the target can do.

A new action is one declaration in a module of this folder, one entry here, and its contract in ``schemas/target/``.
"""

from __future__ import annotations

from target_klaviyo.actions.audience_manifest import AUDIENCE_MANIFEST
from target_klaviyo.actions.catalog import CATALOG_CATEGORIES, CATALOG_ITEMS, CATALOG_VARIANTS
from target_klaviyo.actions.consent_table import CONSENT
from target_klaviyo.actions.consents import SUBSCRIBE, UNSUBSCRIBE
from target_klaviyo.actions.coupons import COUPON, COUPON_CODES
from target_klaviyo.actions.deletion import DELETE_PROFILE
from target_klaviyo.actions.events import TRACK_EVENT
from target_klaviyo.actions.legacy import IDENTIFY, TRACK, UPDATE_PROFILE
from target_klaviyo.actions.lists import LIST_MEMBERS
from target_klaviyo.actions.merging import MERGE_PROFILES
from target_klaviyo.actions.objects import OBJECT_RECORDS
from target_klaviyo.actions.orders import ORDER_COMPLETED
from target_klaviyo.actions.profiles import UPSERT_PROFILE
from target_klaviyo.actions.suppressions import SUPPRESS, UNSUPPRESS
from target_klaviyo.delivery.action import Action

ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        UPSERT_PROFILE,
        TRACK_EVENT,
        ORDER_COMPLETED,
        LIST_MEMBERS,
        SUBSCRIBE,
        UNSUBSCRIBE,
        CONSENT,
        SUPPRESS,
        UNSUPPRESS,
        DELETE_PROFILE,
        MERGE_PROFILES,
        IDENTIFY,
        TRACK,
        UPDATE_PROFILE,
        AUDIENCE_MANIFEST,
        COUPON,
        COUPON_CODES,
        CATALOG_ITEMS,
        CATALOG_VARIANTS,
        CATALOG_CATEGORIES,
        OBJECT_RECORDS,
    )
}
