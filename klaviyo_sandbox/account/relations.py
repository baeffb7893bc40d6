"""Relationships between resources, and how rows are found by type. A deleted resource is in no relationship.

Attributions are the exception: they are records of the past, and keep the ids that they were made with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from klaviyo_sandbox.account import jobs
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.omni_campaigns import shown_in_october
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.documents import Identity

_TABLES: Mapping[str, Callable[[Store], Table]] = {
    "account": lambda store: store.accounts,
    "profile": lambda store: store.profiles,
    "list": lambda store: store.lists,
    "segment": lambda store: store.segments,
    "metric": lambda store: store.metrics,
    "event": lambda store: store.events,
    "tag": lambda store: store.tags,
    "tag-group": lambda store: store.tag_groups,
    "template": lambda store: store.templates,
    "campaign": lambda store: store.campaigns,
    "campaign-message": lambda store: store.campaign_messages,
    # Klaviyo counts whom a campaign will reach when it is scheduled.
    "campaign-recipient-estimation": lambda store: Table(
        row for row in store.campaigns.rows.values() if row["scheduled_at"]
    ),
    # Revision 2026-10-15 shows the campaigns of July in another shape, and others beside them.
    "omni-campaign": lambda store: Table(
        [*map(shown_in_october, store.campaigns.rows.values()), *store.resources["campaign-of-october"].rows.values()]
    ),
    "flow": lambda store: store.flows,
    "flow-action": lambda store: store.flow_actions,
    "flow-message": lambda store: store.flow_messages,
    jobs.IMPORT: lambda store: store.jobs,
    jobs.SUPPRESS: lambda store: store.suppress_jobs,
    jobs.UNSUPPRESS: lambda store: store.unsuppress_jobs,
}
# Resources that are deleted with their owner: type -> (type of the owner, member that holds its id).
_OWNERS = {
    "campaign-message": ("campaign", "campaign_id"),
    "campaign-audience": ("omni-campaign", "campaign_id"),
    "campaign-variation": ("omni-campaign-message", "message_id"),
    "flow-action": ("flow", "flow_id"),
    "flow-message": ("flow-action", "action_id"),
    "omni-campaign-message": ("omni-campaign", "campaign_id"),
}


def table_of(store: Store, kind: str) -> Table:
    """All rows of a type, also those whose owner was deleted."""
    return _TABLES[kind](store) if kind in _TABLES else store.resources[kind]


def find_row(store: Store, kind: str, row_id: str) -> Row | None:
    """The row of a resource; None when it or its owner was deleted."""
    if kind == "attribution":
        event_id = row_id.partition(":")[0]
        return next((row for row in store.attributions.get(event_id, ()) if row["id"] == row_id), None)
    if kind == "omni-campaign":
        # All of them in October's shape, to find one, would take most of a page's time.
        of_july = store.campaigns.get(row_id)
        return shown_in_october(of_july) if of_july else store.resources["campaign-of-october"].get(row_id)
    if kind not in _TABLES and kind not in store.resources:
        return None
    row = table_of(store, kind).get(row_id)
    if row is None or kind not in _OWNERS:
        return row
    owner, member = _OWNERS[kind]
    return None if find_row(store, owner, row[member]) is None else row


def related_identities(store: Store, kind: str, row: Row, name: str) -> Sequence[Identity]:
    """Identities on the other side of a relationship; none when the account does not know the relationship."""
    if kind == "attribution":
        return [row[name]] if name in row else []
    relation = _OWN_RELATIONS.get((kind, name)) or store.relations.get((kind, name))
    return () if relation is None else relation(store, row)


def _ids(row: Row, member: str) -> Iterable[str]:
    value = row.get(member) or ()
    return (value,) if isinstance(value, str) else value


def references(kind: str, member: str) -> Relation:
    """To the resources whose ids the row holds in ``member``: one id or several."""

    def relation(store: Store, row: Row) -> Sequence[Identity]:
        return [(kind, row_id) for row_id in _ids(row, member) if find_row(store, kind, row_id) is not None]

    return relation


def referenced_by(kind: str, member: str) -> Relation:
    """To the resources of another type that hold this row's id in ``member``, alone or among others."""

    def relation(store: Store, row: Row) -> Sequence[Identity]:
        rows = table_of(store, kind).rows.values()
        return [(kind, other["id"]) for other in rows if row["id"] in _ids(other, member)]

    return relation


def _groups_of_profile(kind: str) -> Relation:
    """To the lists or segments (``kind``) that a profile is in."""

    def relation(store: Store, row: Row) -> Sequence[Identity]:
        return [(kind, group_id) for group_id in store.groups_of(kind, row["id"]) if group_id in table_of(store, kind)]

    return relation


def _flows_triggered_by(kind: str) -> Relation:
    """To the flows that a list, segment or metric (``kind``) triggers."""

    def relation(store: Store, row: Row) -> Sequence[Identity]:
        return [
            ("flow", flow["id"])
            for flow in store.flows.rows.values()
            if any(trigger["type"] == kind and trigger["id"] == row["id"] for trigger in flow["triggers"])
        ]

    return relation


_OWN_RELATIONS: Mapping[tuple[str, str], Relation] = {
    ("event", "profile"): lambda _, row: (("profile", row["profile_id"]),),
    ("event", "metric"): lambda _, row: (("metric", row["metric_id"]),),
    ("event", "attributions"): lambda store, row: [
        ("attribution", attribution["id"]) for attribution in store.attributions.get(row["id"], ())
    ],
    ("profile", "lists"): _groups_of_profile("list"),
    ("profile", "segments"): _groups_of_profile("segment"),
    (jobs.IMPORT, "lists"): references("list", "list_ids"),
    (jobs.IMPORT, "profiles"): references("profile", "profile_ids"),
    **{(kind, "lists"): references("list", "list_id") for kind in (jobs.SUPPRESS, jobs.UNSUPPRESS)},
    **{(kind, "segments"): references("segment", "segment_id") for kind in (jobs.SUPPRESS, jobs.UNSUPPRESS)},
    ("list", "flow-triggers"): _flows_triggered_by("list"),
    ("segment", "flow-triggers"): _flows_triggered_by("segment"),
    ("metric", "flow-triggers"): _flows_triggered_by("metric"),
    **{(kind, "tags"): references("tag", "tag_ids") for kind in ("list", "segment", "campaign", "flow")},
    **{("tag", f"{kind}s"): referenced_by(kind, "tag_ids") for kind in ("list", "segment", "campaign", "flow")},
    ("tag", "tag-group"): references("tag-group", "tag_group_id"),
    ("tag-group", "tags"): referenced_by("tag", "tag_group_id"),
    ("campaign", "campaign-messages"): references("campaign-message", "message_ids"),
    ("campaign-message", "campaign"): references("campaign", "campaign_id"),
    ("campaign-message", "template"): references("template", "template_id"),
    ("flow", "flow-actions"): references("flow-action", "action_ids"),
    ("flow-action", "flow"): references("flow", "flow_id"),
    ("flow-action", "flow-messages"): references("flow-message", "message_ids"),
    ("flow-message", "flow-action"): references("flow-action", "action_id"),
    ("flow-message", "template"): references("template", "template_id"),
}
