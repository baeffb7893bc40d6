"""Lists: who is on them. Neither adding nor removing touches consent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from target_klaviyo.actions.profiles import LIST_OPTIONS, ONLY_CHANGED, resource
from target_klaviyo.audience.completeness import Rules
from target_klaviyo.delivery import lists
from target_klaviyo.delivery.action import Action, BatchKey, Row, UnitOutcome
from target_klaviyo.delivery.resending import CONFLICT_OPTION, UPDATE_STRONGEST
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import list_members, people, profile_imports
from target_klaviyo.model.identifiers import IDENTIFIERS, note_left_out, require_valid_identifiers
from target_klaviyo.model.records import Call, Context, Note, Options, Record, RejectedRecord

_REMOVE, MIRROR = "remove", "mirror"
_LIST_FIELDS = ("list_id", "list_name")
MIRROR_OPTIONS = ("owns_list", "size_field", "assume_complete", "allow_empty", "max_removals", "max_unidentified")


def _removes(context: Context) -> bool:
    return context.is_deleted or context.options["mode"] == _REMOVE


def _select_fields(
    fields: Record, faults: Mapping[str, RejectedRecord], context: Context
) -> tuple[Record, Note | None]:
    """All fields of a person who is added; of one who is removed only those to find them by, and the list."""
    if not _removes(context) or not any(name in fields for name in IDENTIFIERS):
        return require_valid_identifiers(fields, faults, context)
    return {name: value for name, value in fields.items() if name in (*IDENTIFIERS, *_LIST_FIELDS)}, note_left_out(
        faults
    )


def _batch_key(_fields: Record, context: Context) -> BatchKey:
    if _removes(context):
        return (_REMOVE,)
    return (UPDATE_STRONGEST,) if context.options["on_conflict"] == UPDATE_STRONGEST else ()


def _deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    if removed := [row for row in rows if _REMOVE in row.batch_key]:
        yield from list_members.remove(session, removed)
    if added := [row for row in rows if _REMOVE not in row.batch_key]:
        yield from profile_imports.deliver(session, added)


def _check(options: Options) -> None:
    if options["mode"] == _REMOVE and options["create_list"]:
        raise ValueError("create_list is not for mode: remove; nobody can be removed from a list that is just made")
    if options["mode"] == _REMOVE and options["only_changed"]:
        raise ValueError(
            "only_changed does not work with mode: remove: people who joined the list again would stay on it"
        )
    if options["mode"] != MIRROR:
        misplaced = [name for name in MIRROR_OPTIONS if options.get(name) not in (None, False)]
        if misplaced:
            raise ValueError(f"{misplaced[0]} is for mode: mirror only")
        return
    Rules.parse(options)


LIST_MEMBERS = Action(
    name="list_members",
    summary="Add people to a list, creating those who do not exist; remove them; or make the list equal the stream.",
    streams=("list_members", "list_profiles"),
    self_copy_guard=("list_profiles", "get_list", "list_id"),
    operation=profile_imports.IMPORT,
    other_operations=(
        *profile_imports.CALLS,
        *lists.find_calls(),
        lists.CREATE_LIST,
        people.find_call("to find whom to remove", option="mode", values=(_REMOVE,)),
        people.find_call("to know who is on the list", on_list=True, option="mode", values=(MIRROR,)),
        Call(list_members.REMOVE, "to take people off the list", option="mode", values=(_REMOVE, MIRROR)),
    ),
    resource=resource,
    select_fields=_select_fields,
    batch_key=_batch_key,
    deliver=_deliver,
    adds=frozenset({"profile", "list"}),
    removes=lambda batch_key: frozenset({"list"} if _REMOVE in batch_key else ()),
    check=_check,
    options={
        **LIST_OPTIONS,
        "list": {**LIST_OPTIONS["list"], "description": "The list, by its name or Klaviyo's id."},
        "mode": {
            "type": "string",
            "enum": ["add", _REMOVE, MIRROR],
            "default": "add",
            "description": (
                "add: put the people on the list. remove: take them off it; they stay subscribed. mirror: put them on "
                "it, and when input has ended take off who was on it before and did not come."
            ),
        },
        "on_conflict": CONFLICT_OPTION,
        "only_changed": {
            **ONLY_CHANGED,
            "description": (f"{ONLY_CHANGED['description']} A mirror adds people again who are no longer on its list."),
        },
        "owns_list": {
            "type": "boolean",
            "default": False,
            "description": "Must be true to mirror, because a mirror also removes people added by a form or by hand.",
        },
        "size_field": {
            "type": "string",
            "pattern": "\\S",
            "description": (
                "For a mirror: the column that holds the audience's size on every record, such as count(*) over (). "
                "Nobody is removed unless as many different people came: it counts people, so that each needs one row."
            ),
        },
        "assume_complete": {
            "type": "boolean",
            "default": False,
            "description": "For a mirror: take whatever comes for the whole audience. For sources that cannot say.",
        },
        "max_removals": {
            "type": ["integer", "string"],
            "description": (
                "For a mirror: a number such as 500, a percentage of the list such as 5%, or both (500, 5%), of which "
                "the smaller counts; by default 1000, 10%. Above it nobody is removed, and the exit code is 3."
            ),
        },
        "max_unidentified": {
            "type": ["integer", "string"],
            "description": (
                "For a mirror: how many records may name nobody, as max_removals says it, of those that came; by "
                "default 1% or 5, whichever is more. Above it nobody is removed; below it at most so many people may "
                "be removed who would have stayed."
            ),
        },
        "allow_empty": {
            "type": "boolean",
            "default": False,
            "description": "For a mirror: let audience_manifest empty the list by saying 0, within max_removals.",
        },
    },
    accepts_deleted=True,
    needs_list=True,
)
