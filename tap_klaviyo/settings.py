"""The tap's settings, as JSON Schema, and what they default to."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from klaviyo_client.plugin import settings
from tap_klaviyo.model import Table
from tap_klaviyo.reports.settings import SETTING as REPORTS
from tap_klaviyo.tables import COLLECTIONS, TABLES
from tap_klaviyo.tables.property_columns import PROPERTIES

_REREAD_TABLES = list(dict.fromkeys(table.name for table in TABLES if table.reread))
REREAD = [*(name for name, collection in COLLECTIONS.items() if collection.reread), *_REREAD_TABLES]
# Days, by collection: Klaviyo writes some events down days later, works segments out late, and lets a merged profile
# keep the time at which the older one joined.
LOOKBACK = {"events": 7, "list_profiles": 1, "segment_profiles": 1}
# When that is read again.
DAILY, ALWAYS = "daily", "always"
# The largest limit, 3,500 requests a minute, at a second for each.
CONCURRENCY = 64
MAX_PROCESSES = 4
# How long, in a long slice, from one STATE to the next.
STATE_SECONDS = 2.0
BATCH_CONFIG: dict[str, Any] = {
    "type": "object",
    "required": ["encoding", "storage"],
    "additionalProperties": False,
    "properties": {
        "encoding": {
            "type": "object",
            "required": ["format"],
            "additionalProperties": False,
            "properties": {
                "format": {
                    "type": "string",
                    "enum": ["parquet", "jsonl"],
                    "title": "Format of batch files",
                    "description": "parquet (typed columns; needs the extra parquet) or jsonl (a line of JSON a row).",
                },
                "compression": {
                    "type": "string",
                    "enum": ["gzip", "none"],
                    "title": "Compression of batch files",
                    "description": (
                        "Of jsonl, gzip by default. A parquet file is compressed inside: with gzip if this says so, "
                        "else with zstd."
                    ),
                },
            },
        },
        "storage": {
            "type": "object",
            "required": ["root"],
            "additionalProperties": False,
            "properties": {
                "root": {
                    "type": "string",
                    "minLength": 1,
                    "title": "Folder of batch files",
                    "description": (
                        "A folder of this machine, such as file:///data/klaviyo; made if it is not there, and then "
                        "only its owner may read it."
                    ),
                },
                "prefix": {
                    "type": "string",
                    "pattern": "^[A-Za-z0-9_.-]{0,60}$",
                    "title": "Prefix of batch files",
                    "description": "What the names of the files begin with.",
                },
            },
        },
        "batch_size": {
            "type": "integer",
            "minimum": 1,
            "title": "Rows of a batch",
            "description": (
                "How many rows of a table are written, in whole pages and by all processes together, before their "
                "files are announced; after a minute fewer are. By default 250000, and 10000 of jsonl."
            ),
        },
    },
    "title": "Batch files",
    "description": (
        "Write rows into files and announce these in BATCH messages, in place of RECORD messages, for a loader that "
        'takes them: {"encoding": {"format": "parquet"}, "storage": {"root": "file:///data/klaviyo"}}. The format is '
        "parquet (needs the extra parquet) or jsonl (compression gzip or none); prefix in storage is what names begin "
        "with, and batch_size how many rows of a table are written before they are announced (250000; 10000 of jsonl), "
        "unless a minute is over. By default there are no files."
    ),
}
SETTINGS: dict[str, Any] = {
    "type": "object",
    "properties": {
        **settings.CONNECTION,
        "start_date": {
            "type": "string",
            "format": "date-time",
            "title": "Start date",
            "description": (
                "The earliest profile change, event or membership to read, such as 2026-01-01T00:00:00Z. By default "
                "everything. Tables without a bookmark, and those in reread, are read whole."
            ),
        },
        "event_metrics": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "title": "Event metrics",
            "description": (
                "The metrics whose events are read: names in any case, ids, or the preset engagement (messages "
                "received, opened, clicked, bounced, marked as spam; subscriptions begun and ended). A name with SMS "
                "stands for those with Text Message and Text Messaging, too. By default all. Without the metrics of "
                "messages, deselect events.attribution_send_ts, events.attribution_attributed_channel and "
                "event_attribution_group_ids: they need a request for each attributed event then, 150 a minute."
            ),
        },
        "members_of": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "title": "Members of",
            "description": (
                "The lists and segments whose members are read: names in any case, or ids; a name that several "
                "share means all of them, and an unknown name is an error. By default all. This lists lists and "
                "segments once more, one call for ten. One that you add later is read from its first member."
            ),
        },
        "profile_properties": {
            **PROPERTIES,
            "title": "Columns of custom properties",
            "description": (
                "Custom properties of profiles that become columns of the table profiles, each with its type: string, "
                'number, integer, boolean, date, date-time, array or object, as in {"Loyalty Tier": "string", '
                '"Birthday": "date"}. The columns are in the SCHEMA from the first row on: small letters, with _ for '
                'what is no letter or digit (loyalty_tier); {"type": "string", "column": "tier"} names another. A '
                "value that does not fit the type is null, and counted in a warning."
            ),
        },
        "event_properties": {
            "type": "object",
            "additionalProperties": PROPERTIES,
            "title": "Columns of event properties",
            "description": (
                "Properties of events that become columns of the table events, by metric (its name in any case, or its "
                'id), as in {"Placed Order": {"ItemCount": "integer"}}; types and names as in profile_properties. Null '
                "in events of other metrics; a property that several metrics have with one type is one column."
            ),
        },
        "exclude_pushed_events": {
            "type": "boolean",
            "default": False,
            "title": "Without pushed events",
            "description": (
                "Leave out the events that target-klaviyo recorded, so that a warehouse does not load what it has "
                "pushed."
            ),
        },
        "reread": {
            "type": "array",
            "items": {
                "type": "string",
                "enum": [*(name for name, collection in COLLECTIONS.items() if collection.bookmark), *_REREAD_TABLES],
            },
            "default": REREAD,
            "title": "Read again",
            "description": (
                "Collections, each with all of its tables, and tables that are read whole in every run although they "
                "have a bookmark, because a tag added, an action edited or a subscription ended moves none."
            ),
        },
        "omit_nulls": {
            "type": "boolean",
            "default": False,
            "title": "Without nulls",
            "description": (
                "Leave null columns out of the lines, which halves the lines of events and is faster to load. Only "
                "for loaders that set missing columns to null: docs/loaders.md names them."
            ),
        },
        "emit_activate_version_messages": {
            "type": "boolean",
            "default": False,
            "title": "Let targets delete",
            "description": (
                "Send ACTIVATE_VERSION after the last row of each table that is read whole in every run (no "
                "bookmark, or named in reread), so that a target removes rows that are gone from Klaviyo. Never if "
                "a part was skipped, and never for flows, which old events refer to."
            ),
        },
        "lookback": {
            "type": "object",
            "properties": {
                name: {"type": "number", "minimum": 0}
                for name, collection in COLLECTIONS.items()
                if collection.bookmark
            },
            "additionalProperties": False,
            "default": LOOKBACK,
            "title": "Lookback",
            "description": (
                "Days before its bookmark from which a collection is read again, once a day (see "
                "lookback_schedule), because Klaviyo records some of it late. Never before start_date. By default 7 "
                "for events, 1 for members of lists and segments, and 0 for the others."
            ),
        },
        "lookback_schedule": {
            "type": "string",
            "enum": [DAILY, ALWAYS],
            "default": DAILY,
            "title": "When to look back",
            "description": (
                "daily: one run a day reads all of lookback, the others only two hours before the bookmark; later "
                "records arrive up to a day after. always: every run reads all of it."
            ),
        },
        "reports": REPORTS,
        "batch_config": BATCH_CONFIG,
        "esp_integration_id": {
            "type": "string",
            "minLength": 1,
            "title": "Integration of the V1 tables",
            "description": (
                "What the tables named esp_ have in esp_integration_id and in their keys, and member_lists in its key, "
                "such as the id that earlier rows of the V1 tables have there. By default Klaviyo's id of the account."
            ),
        },
        "concurrency": {
            "type": "integer",
            "minimum": 1,
            "maximum": 256,
            "default": CONCURRENCY,
            "title": "Concurrency",
            "description": (
                "How many requests may be under way at once. The default uses the whole budget for events if "
                "Klaviyo takes a second to answer."
            ),
        },
        "processes": {
            "type": "integer",
            "minimum": 0,
            "maximum": 32,
            "title": "Processes",
            "description": (
                "Processes that turn pages of events into rows, because one core is slower than Klaviyo's limit; "
                "they start if there is much to read. By default one for each core, at most 4; 0 uses no further "
                "process."
            ),
        },
        "strict": {
            "type": "boolean",
            "default": False,
            "title": "Strict",
            "description": (
                "Stop at the first scope that the key lacks, with exit code 2, and at the first table that cannot "
                "be read. Otherwise the tap skips it, reads the rest, and ends with exit code 1."
            ),
        },
    },
    "oneOf": settings.CREDENTIALS,
}


def is_read_whole(table: Table, reread: Container[str]) -> bool:
    """Whether a table is read whole of its collection in every run.

    Args:
        table: what one collection gives to a stream.
        reread: the setting.
    """
    collection = table.collection
    return collection.bookmark is None or collection.name in reread or (table.reread and table.name in reread)
