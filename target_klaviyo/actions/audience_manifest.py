"""The control stream of audiences: how many people an audience has, so that a mirror knows when its feed is whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from target_klaviyo.delivery.action import Action, Row, UnitOutcome
from target_klaviyo.delivery.requests import single
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.records import Context, Outcome, OutcomeKind, Record, RejectedRecord
from target_klaviyo.model.texts import is_blank


def _resource(fields: Record, context: Context) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    """The list and its size.

    Raises:
        RejectedRecord: the list's name is blank.
    """
    if is_blank(fields["list"]):
        raise RejectedRecord("no_list", "the record names no list", pointer="/list")
    return {"attributes": dict(fields)}


def _deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Remember the sizes; nothing is sent."""
    for row in rows:
        manifest = row.payload["attributes"]
        session.audience_sizes.add(manifest["list"], manifest["expected_count"])
        yield single(row), Outcome(OutcomeKind.DELIVERED)


AUDIENCE_MANIFEST = Action(
    name="audience_manifest",
    summary="Say how many people an audience has: a mirror of its list removes nobody unless as many came.",
    streams=("audience_manifest",),
    operation="get_lists",
    resource=_resource,
    deliver=_deliver,
    is_about_people=False,
    max_rows=1000,
)
