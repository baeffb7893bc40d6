"""Translations of what people read: templates, universal content, messages of flows, variations of campaigns."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from klaviyo_sandbox.account.relations import referenced_by, table_of
from klaviyo_sandbox.account.resources.read_operation import ReadOperation, all_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import random_time
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

TRANSLATION, VARIATION = "translation", "campaign-variation"
# Type of what is translated -> how many of its kind are.
_TRANSLATED = {VARIATION: 12, "flow-message": 12, "template": 6, "template-universal-content": 3}
_LOCALES = ("de-DE", "fr-FR", "pt-BR", "ja-JP")
# As flow messages name their channel -> as translations do.
_CHANNELS = {"SMS": "sms", "Push": "mobile_push", "WhatsApp": "whatsapp"}


def _names(kind: str) -> Relation:
    """To what is translated, also when it was deleted meanwhile."""
    return lambda _, row: [(kind, row[kind])] if kind in row else []


READS: Mapping[str, ReadOperation] = {
    "get_translations": ReadOperation(
        TRANSLATION, all_rows(TRANSLATION), stored_paths={"related_resource_id": "resource_id"}
    ),
    "get_translation": ReadOperation(TRANSLATION),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    **{(TRANSLATION, kind): _names(kind) for kind in _TRANSLATED},
    (VARIATION, TRANSLATION): referenced_by(TRANSLATION, VARIATION),
}


def rows(store: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """Some of each type; with all that is translated, which comes before."""
    rng = rng_for("translations")
    found = itertools.chain.from_iterable(_translated(store, kind, count) for kind, count in _TRANSLATED.items())
    return {TRANSLATION: Table(_translation(rng, kind, channel, row, start, end) for kind, channel, row in found)}


def _translated(store: Store, kind: str, count: int) -> Iterator[tuple[str, str, Row]]:
    """(type, channel, row) of what is translated."""
    # A webhook has no words.
    found = (row for row in table_of(store, kind).rows.values() if kind != "flow-message" or row["content"])
    for row in itertools.islice(found, count):
        details = (row.get("definition") or {}).get("details") or {} if kind == VARIATION else {}
        channel = details.get("channel") or _CHANNELS.get(str(row.get("channel")), "email")
        yield kind, {"push": "mobile_push"}.get(channel, channel), row


def _translation(rng: random.Random, kind: str, channel: str, row: Row, start: datetime, end: datetime) -> Row:
    """What is translated into no language yet is there, too."""
    created = random_time(rng, start, end)
    locales = rng.sample(_LOCALES, rng.randrange(len(_LOCALES)))
    text: dict[str, Any] = {"id": "subject", "text": "Welcome!", "translations": dict.fromkeys(locales, "Größer! 🎉")}
    return {
        "id": f"{kind}::{channel}::{row['id']}",
        "resource_type": kind,
        "resource_id": row["id"],
        kind: row["id"],
        "source_locale": "en-US",
        "target_locales": locales,
        "fallback_locale": rng.choice((None, "en-US")),
        "channel": channel,
        "metadata": rng.choice((None, {"tone": "familiär"})),
        "created": format_datetime(created),
        "updated": format_datetime(random_time(rng, created, end)),
        "values": [text],
    }
