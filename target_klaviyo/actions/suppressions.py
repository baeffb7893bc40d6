"""Suppression: keep e-mail from people, or let it reach them again. Only ever done by the action's name."""

from __future__ import annotations

from typing import Any

from target_klaviyo.delivery.action import Action
from target_klaviyo.delivery.jobs import SUPPRESSIONS, UNSUPPRESSIONS, followed
from target_klaviyo.endpoints import suppression
from target_klaviyo.model.records import Context, Record

# Requests hold a hundred people, 12.5 may be sent a second, and each job is waited for.
_LANES = 8


def _resource(fields: Record, context: Context) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    return {"type": "profile", "attributes": {"email": fields["email"]}}


SUPPRESS = Action(
    name="suppress",
    summary="Keep all marketing e-mail from people, by their e-mail address, whatever they consented to.",
    operation=suppression.SUPPRESS,
    other_operations=followed(SUPPRESSIONS),
    resource=_resource,
    deliver=suppression.suppress,
    removes=lambda _terms: frozenset({"consent"}),
    accepts_deleted=True,
    concurrency_factor=_LANES,
)

UNSUPPRESS = Action(
    name="unsuppress",
    summary="Lift suppressions that somebody made, by e-mail address; unsubscriptions and bounces stay.",
    operation=suppression.UNSUPPRESS,
    other_operations=followed(UNSUPPRESSIONS),
    resource=_resource,
    deliver=suppression.unsuppress,
    adds=frozenset({"consent"}),
    concurrency_factor=_LANES,
)
