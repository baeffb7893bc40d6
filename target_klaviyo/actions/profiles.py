"""Profiles: create or update people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from target_klaviyo.delivery import lists
from target_klaviyo.delivery.action import Action, BatchKey, Row, UnitOutcome
from target_klaviyo.delivery.resending import CONFLICT_OPTION, UPDATE_STRONGEST
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import empty_fields, list_members, new_people, people
from target_klaviyo.endpoints.empty_fields import SET_IF_EMPTY
from target_klaviyo.endpoints.new_people import CREATE_ONLY
from target_klaviyo.endpoints.profile_imports import CALLS, CLEAR, IMPORT, UPDATE_ONLY, deliver
from target_klaviyo.model.identifiers import IDENTIFIERS
from target_klaviyo.model.records import Call, Context, Options, Record, RejectedRecord

PATCHES = ("append", "unappend", "unset")
_NOT_ATTRIBUTES = ("id", "list_id", "list_name", *PATCHES)
# What cannot be set only where it is empty.
NEVER_EMPTY = frozenset((*_NOT_ATTRIBUTES, *IDENTIFIERS, "country_code"))
_OBJECTS = ("location", "properties")

LIST_OPTIONS: dict[str, dict[str, Any]] = {
    "list": {
        "type": "string",
        "pattern": "\\S",
        "description": "The list to add the people to, by its name or Klaviyo's id.",
    },
    "create_list": {
        "type": "boolean",
        "default": False,
        "description": "Whether to make the list when the account has none of that name.",
    },
}


ONLY_CHANGED: dict[str, Any] = {
    "type": "boolean",
    "default": False,
    "description": (
        "Whether to skip records that say what an earlier run has delivered, by keyed hashes on file (the setting "
        "fingerprints_path). Changes that others made in Klaviyo meanwhile are not noticed."
    ),
}


def resource(fields: Record, context: Context | None = None) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    """The profile as Klaviyo's JSON:API resource."""
    profile: dict[str, Any] = {"type": "profile"}
    if "id" in fields:
        profile["id"] = fields["id"]
    # A field can be null, which clears it; a whole object of fields cannot.
    profile["attributes"] = {
        name: value
        for name, value in fields.items()
        if name not in _NOT_ATTRIBUTES and not (value is None and name in _OBJECTS)
    }
    if patch := {name: fields[name] for name in PATCHES if fields.get(name) is not None}:
        profile["meta"] = {"patch_properties": patch}
    return profile


def _resource(fields: Record, context: Context) -> dict[str, Any]:
    """The same of somebody who may have to be created.

    Raises:
        RejectedRecord: it would change what only people have who exist.
    """
    if context.options.get(CREATE_ONLY) and (patches := [name for name in PATCHES if fields.get(name) is not None]):
        raise RejectedRecord(
            "not_new", f"{patches[0]} changes people who exist, and create_only is set", pointer=f"/{patches[0]}"
        )
    return resource(fields)


def _deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    if created := [row for row in rows if CREATE_ONLY in row.batch_key]:
        yield from new_people.deliver(session, created)
    left, done = empty_fields.without_filled(session, [row for row in rows if CREATE_ONLY not in row.batch_key])
    yield from done
    for unit, outcome in deliver(session, list(left)):
        yield replace(unit, rows=tuple(left[row] for row in unit.rows)), outcome


def _check(options: Options) -> None:
    if options[CREATE_ONLY]:
        others = [name for name in (UPDATE_ONLY, SET_IF_EMPTY) if options.get(name)]
        if others:
            raise ValueError(f"create_only does not work with {others[0]}: it changes no profile that exists")


def _batch_key(_fields: Record, context: Context) -> BatchKey:
    flags = {
        CREATE_ONLY: context.options[CREATE_ONLY],
        UPDATE_ONLY: context.options["update_only"],
        CLEAR: context.options["nulls"] == "clear",
        UPDATE_STRONGEST: context.options["on_conflict"] == UPDATE_STRONGEST,
    }
    paths = context.options.get(SET_IF_EMPTY)
    return (*(name for name, is_set in flags.items() if is_set), *([(SET_IF_EMPTY, paths)] if paths else ()))


UPSERT_PROFILE = Action(
    name="upsert_profile",
    summary="Create people, or update them where they exist; optionally add them to a list.",
    streams=("profiles",),
    self_copy_guard=("profiles", "get_profile", "profile_id"),
    operation=IMPORT,
    other_operations=(
        *CALLS,
        *lists.find_calls(option="list"),
        lists.CREATE_LIST,
        people.find_call("to know who exists", option="update_only"),
        *new_people.CALLS,
        *empty_fields.CALLS,
        Call(list_members.ADD, "to put on the list whose fields were cleared", option="nulls", values=("clear",)),
    ),
    resource=_resource,
    batch_key=_batch_key,
    deliver=_deliver,
    check=_check,
    adds=frozenset({"profile", "list"}),
    options={
        **LIST_OPTIONS,
        "on_conflict": CONFLICT_OPTION,
        "update_only": {
            "type": "boolean",
            "default": False,
            "description": "Whether people who do not exist are rejected instead of created.",
        },
        CREATE_ONLY: {
            "type": "boolean",
            "default": False,
            "description": (
                "Whether people who exist are skipped, unchanged and not added to the list: only new people are "
                "created, one request each (750 a minute)."
            ),
        },
        SET_IF_EMPTY: {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "description": (
                "Fields, by Klaviyo's names or those of their columns (first_name, location.city, a custom property), "
                "that are only sent where the person has no value. What people have is read before they are written: "
                "what others set in between is overwritten."
            ),
        },
        "only_changed": ONLY_CHANGED,
        "nulls": {
            "type": "string",
            "enum": ["skip", "clear"],
            "default": "skip",
            "description": (
                "skip: a null leaves the field as it is. clear: a null empties it; such records are sent one by one, "
                "because Klaviyo's bulk import empties nothing. Identifiers are never emptied."
            ),
        },
    },
)
