"""Lists: who is on them. Neither adding nor removing touches consent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from target_klaviyo import jobs, membership
from target_klaviyo.actions.profiles import LIST_OPTIONS, resource
from target_klaviyo.delivery import Session
from target_klaviyo.identity import IDENTIFIERS
from target_klaviyo.model import Action, Context, Options, Record, Row, Settled, Terms

_REMOVE = "remove"


def _resource(fields: Record, context: Context) -> dict[str, Any]:
    if context.options["mode"] == _REMOVE:
        fields = {name: fields[name] for name in IDENTIFIERS if name in fields}
    return resource(fields, context)


def _terms(_fields: Record, context: Context) -> Terms:
    return (_REMOVE,) if context.options["mode"] == _REMOVE else ()


def _deliver(session: Session, rows: Sequence[Row]) -> Iterator[Settled]:
    if removed := [row for row in rows if _REMOVE in row.terms]:
        yield from membership.remove(session, removed)
    if added := [row for row in rows if _REMOVE not in row.terms]:
        yield from jobs.deliver(session, added)


def _check(options: Options) -> None:
    if options["mode"] == _REMOVE and options["create_list"]:
        raise ValueError("create_list is for mode: add; nobody can be removed from a list that is just made")


LIST_MEMBERS = Action(
    name="list_members",
    summary="Add people to a list, and create those who do not exist; or remove people from it.",
    streams=("list_members", "list_profiles"),
    copied_from=("list_profiles", "get_list", "list_id"),
    operation=jobs.IMPORT,
    resource=_resource,
    terms=_terms,
    deliver=_deliver,
    check=_check,
    options={
        **LIST_OPTIONS,
        "list": {**LIST_OPTIONS["list"], "description": "The list, by its name or Klaviyo's id."},
        "mode": {
            "type": "string",
            "enum": ["add", _REMOVE],
            "default": "add",
            "description": "add: put the people on the list. remove: take them off it; they stay subscribed.",
        },
    },
    needs_list=True,
)
