"""The target's settings as JSON Schema."""

from __future__ import annotations

from typing import Any

from klaviyo_client.plugin import settings

_STREAMS = """\
What to do with each incoming stream: its name -> {"action": ..., ...}. docs/reference/actions has the actions, their \
options and their fields. The streams profiles, events, orders, list_members and list_profiles take their action by \
name; any other must be named here. \
"mapping": Klaviyo's field -> column, path into one, or {"value": constant}; fields that it leaves out are taken from \
columns of their name. \
"unknown_columns": "properties" (they become custom properties) or "drop". \
"types": column or property -> string, number, integer, boolean, date, datetime or list, or {"type": "date", "format": \
"%d.%m.%Y"}, {"type": "number", "format": "1.234,50"}. \
"on_bad_value": "drop" (a value that does not fit is left out, where the record can do without it) or "reject". \
All other keys are options of the action, such as "list" and "create_list"."""

SETTINGS: dict[str, Any] = {
    "type": "object",
    "properties": {
        **settings.CONNECTION,
        "streams": {
            "type": "object",
            "additionalProperties": {"type": "object"},
            "title": "Streams",
            "description": _STREAMS,
        },
        "default_region": {
            "type": "string",
            "pattern": "^[A-Za-z]{2}$",
            "title": "Region of phone numbers",
            "description": (
                "Country (ISO 3166, two letters) of phone numbers without a country code, unless the record "
                "(country_code) or its stream (default_region) names one."
            ),
        },
        "dry_run": {
            "type": "boolean",
            "default": False,
            "title": "Rehearse only",
            "description": (
                "Read what is needed, send nothing, and say what would be sent: on one screen, and whole in "
                "plan_path. No STATE is written, and the rejects file is not touched."
            ),
        },
        "plan_path": {
            "type": "string",
            "minLength": 1,
            "default": "target-klaviyo-plan.json",
            "title": "Plan",
            "description": "Where a rehearsal (dry_run) writes what would be sent. It names people: keep it private.",
        },
        "rejects_path": {
            "type": "string",
            "minLength": 1,
            "default": "target-klaviyo-rejects.jsonl",
            "title": "Rejects file",
            "description": (
                "Where rejected records go, with the reason, as Singer messages that can be piped in again after a "
                "fix. A file that is there stays as it is, and a run that finds one puts its time and an id into its "
                "own file's name. The default goes elsewhere, with a warning, where the working directory cannot be "
                "written."
            ),
        },
        "retry_rejects": {
            "type": "boolean",
            "default": False,
            "title": "Send rejected records again",
            "description": (
                "Before the input, send what earlier runs have left at rejects_path, or beside it under their time, "
                "and give each such file a name that ends in .sent. What is rejected again goes to a new file, and "
                "counts for neither on_reject nor max_rejects. Streams that mirror a list come whole in every run, "
                "and are left out of it."
            ),
        },
        "report_path": {
            "type": "string",
            "pattern": r"\.json$",
            "title": "Run report",
            "description": (
                "Where a report on the run goes when it ends, however it ends: a JSON document, with a readable page "
                "of the same name in .html beside it. It repeats rejected records, and only its owner may read it. "
                "By default none is written."
            ),
        },
        "outcomes_path": {
            "type": "string",
            "minLength": 1,
            "title": "Outcomes",
            "description": (
                "Where one line for each record goes, as soon as it is known what became of it: Singer messages of "
                "the stream klaviyo_outcomes (run, stream, key, action, outcome, code, reason, time), to be piped "
                "into any target. key is what key_properties of the record's stream name; nothing else is personal, "
                "and only its owner may read the file. Every run replaces it. By default none is written."
            ),
        },
        "fingerprints_path": {
            "type": "string",
            "minLength": 1,
            "default": "target-klaviyo-fingerprints",
            "title": "Fingerprints",
            "description": (
                "Folder of the files by which streams with only_changed know what was delivered before: one for each "
                "stream, and the key of their hashes. Keep it between runs; delete a file, and its stream is sent "
                "whole again."
            ),
        },
        "on_reject": {
            "type": "string",
            "enum": ["skip", "fail"],
            "default": "skip",
            "title": "When a record is rejected",
            "description": (
                "skip: write it to the rejects file and continue. fail: stop at the first, finish what is under "
                "way, exit with 1."
            ),
        },
        "max_rejects": {
            "type": ["integer", "string"],
            "title": "Most rejected records",
            "description": (
                "A number such as 100: the run stops when more are rejected. A percentage such as 5%: checked at "
                "the end. The exit code is 1 then. By default there is no limit."
            ),
        },
        "concurrency": {
            "type": "integer",
            "minimum": 1,
            "maximum": 64,
            "default": 8,
            "title": "Batches at once",
            "description": (
                "Batches of one stream that may be under way at once; several times as many for actions with small "
                "batches. Each stays in memory until its outcomes are known."
            ),
        },
        "job_timeout": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 3600,
            "title": "Job time-out",
            "description": "Seconds to wait for one import job of Klaviyo before the run fails.",
        },
        "batch_size_rows": {
            "type": "integer",
            "minimum": 1,
            "title": "Rows in a batch",
            "description": "Rows to send at once. By default, and at most, as many as one request to Klaviyo may hold.",
        },
        "validate_records": {
            "type": "boolean",
            "default": True,
            "title": "Check records against their SCHEMA",
            "description": "Whether a record that does not fit the SCHEMA that the tap sent is rejected.",
        },
        "strict_protocol": {
            "type": "boolean",
            "default": False,
            "title": "Strict about the Singer protocol",
            "description": (
                "Stop at a record that comes before its SCHEMA or lacks a key property, as other targets do. By "
                "default only that record is rejected."
            ),
        },
    },
    "oneOf": settings.CREDENTIALS,
}
