"""Resources that belong to profiles: push tokens of devices, and conversations."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.relations import referenced_by, references
from klaviyo_sandbox.account.resources.read_operation import ReadOperation, all_rows, related_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import random_time
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

READS: Mapping[str, ReadOperation] = {
    "get_push_tokens": ReadOperation("push-token", all_rows("push-token"), stored_paths={"profile.id": "profile_id"}),
    "get_push_token": ReadOperation("push-token"),
    "get_profile_for_push_token": ReadOperation("profile", related_rows("push-token", "profile"), to_one=True),
    "get_push_tokens_for_profile": ReadOperation("push-token", related_rows("profile", "push-tokens")),
    "get_push_token_ids_for_profile": ReadOperation("push-token", related_rows("profile", "push-tokens")),
    "get_conversations_for_profile": ReadOperation("conversation", related_rows("profile", "conversations")),
    "get_conversation_ids_for_profile": ReadOperation("conversation", related_rows("profile", "conversations")),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    ("profile", "push-tokens"): referenced_by("push-token", "profile_id"),
    ("push-token", "profile"): references("profile", "profile_id"),
    ("profile", "conversations"): referenced_by("conversation", "profile_id"),
    ("conversation", "profile"): references("profile", "profile_id"),
}
# In a very large account only the first people have any.
_MAX_PEOPLE = 600
_CHANNELS = ("sms", "whatsapp", "instagram")


def rows(store: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """One or two devices for a quarter of the people, and one or two conversations with a few; most have none."""
    people = list(itertools.islice(store.profiles.rows.values(), _MAX_PEOPLE))
    return {
        "push-token": Table(_tokens(rng_for("push tokens"), people, end)),
        "conversation": Table(_conversations(rng_for("conversations"), people, start)),
    }


def _tokens(rng: random.Random, people: Iterable[Row], end: datetime) -> list[Row]:
    tokens: list[Row] = []
    for person in people:
        for _ in range(rng.choice((0, 0, 0, 1, 2)) if rng.random() < 0.5 else 0):
            created = random_time(rng, datetime.fromisoformat(person["created"]), end)
            platform = rng.choice(("ios", "android"))
            tokens.append(
                {
                    "id": ulid(int(created.timestamp() * 1000), rng),
                    "profile_id": person["id"],
                    "created": format_datetime(created),
                    "token": f"{rng.getrandbits(128):032x}",
                    "enablement_status": rng.choice(("AUTHORIZED", "AUTHORIZED", "DENIED", "PROVISIONAL")),
                    "platform": platform,
                    "vendor": "APNs" if platform == "ios" else "FCM",
                    "background": rng.choice(("AVAILABLE", "DENIED", "RESTRICTED")),
                    "recorded_date": format_datetime(random_time(rng, created, end)),
                    "metadata": _device(rng, platform) if rng.random() < 0.8 else None,
                }
            )
    return tokens


def _device(rng: random.Random, platform: str) -> dict[str, Any]:
    is_apple = platform == "ios"
    return {
        "device_id": f"{rng.getrandbits(64):016x}",
        "klaviyo_sdk": "swift" if is_apple else rng.choice(("android", "flutter", "react_native")),
        "sdk_version": rng.choice(("4.2.1", "5.0.0", None)),
        "device_model": "iPhone15,2" if is_apple else "Pixel 8",
        "os_name": platform,
        "os_version": "18.1" if is_apple else "15",
        "manufacturer": "Apple" if is_apple else "Google",
        "app_name": rng.choice(("Sandbox Store", "Bücher & Café")),
        "app_version": "2.3",
        "app_build": str(rng.randrange(100, 900)),
        "app_id": "com.example.store",
        "environment": rng.choice(("release", "release", "debug", None)),
    }


def _conversations(rng: random.Random, people: Iterable[Row], start: datetime) -> list[Row]:
    return [
        {"id": ulid(int(start.timestamp() * 1000), rng), "profile_id": person["id"], "channel": channel}
        for person in people
        for channel in rng.sample(_CHANNELS, rng.choice((0, 0, 0, 0, 1, 1, 2)))
    ]
