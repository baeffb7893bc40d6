"""The table of read operations: which rows each one finds, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from klaviyo_sandbox.account import jobs
from klaviyo_sandbox.account.relations import related_identities, table_of
from klaviyo_sandbox.account.resources import omni_campaigns
from klaviyo_sandbox.account.resources.families import FAMILIES
from klaviyo_sandbox.account.resources.read_operation import FindRows, ReadOperation, all_rows, related_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.errors import not_found
from klaviyo_sandbox.spec.exchange import Params
from klaviyo_sandbox.spec.facts import Operation


def _members_of(kind: str, members_by_id: Callable[[Store], Mapping[str, Table]]) -> FindRows:
    """Finds the members of the list or segment (``kind``) that the path names."""

    def find_rows(store: Store, params: Params) -> Table:
        members = members_by_id(store).get(params["id"])
        if members is None or params["id"] not in table_of(store, kind):
            raise not_found(f"{kind.capitalize()} {params['id']} does not exist.")
        return members

    return find_rows


def _member_as_profile(store: Store, row: Row) -> Row:
    profile = store.profiles.rows[row["id"]]
    return {**profile, "profile_id": row["id"], "joined_group_at": row["joined_group_at"]}


def _list_with_count(store: Store, row: Row) -> Row:
    return {**row, "profile_count": len(store.list_members[row["id"]])}


def _segment_with_count(store: Store, row: Row) -> Row:
    return {**row, "profile_count": len(store.segment_members[row["id"]])}


def _with_estimation(store: Store, campaign: Row) -> Row:
    def members(group_ids: Iterable[str]) -> set[str]:
        tables = {**store.list_members, **store.segment_members}
        return {row_id for group_id in group_ids if group_id in tables for row_id in tables[group_id].rows}

    audiences = campaign["audiences"]
    estimated = members(audiences["included"]) - members(audiences.get("excluded") or ())
    return {**campaign, "estimated_recipient_count": len(estimated)}


def _flow_with_definition(store: Store, row: Row) -> Row:
    action_ids = [action_id for _, action_id in related_identities(store, "flow", row, "flow-actions")]
    definition = {
        "triggers": row["triggers"],
        "profile_filter": None,
        "actions": [store.flow_actions.rows[action_id]["definition"] for action_id in action_ids],
        "entry_action_id": action_ids[0] if action_ids else None,
        "reentry_criteria": None,
    }
    return {**row, "definition": definition}


def _suppression_jobs(kind: str) -> ReadOperation:
    return ReadOperation(kind, all_rows(kind), view=jobs.view, aliases={"created": "created_at"})


def read_operation(operation: Operation) -> ReadOperation:
    """How an operation is carried out: in its own way, or as its endpoint is in every revision."""
    return READS.get(operation.id) or READS[operation.endpoint]


_list_members = _members_of("list", lambda store: store.list_members)
_segment_members = _members_of("segment", lambda store: store.segment_members)
_list_profiles = ReadOperation("profile", _list_members, view=_member_as_profile)
_segment_profiles = ReadOperation("profile", _segment_members, view=_member_as_profile)

READS: Mapping[str, ReadOperation] = {
    "get_accounts": ReadOperation("account", all_rows("account")),
    "get_profiles": ReadOperation("profile", all_rows("profile")),
    "get_profile": ReadOperation("profile"),
    "get_lists": ReadOperation("list", all_rows("list")),
    "get_list": ReadOperation("list", view=_list_with_count),
    "get_profiles_for_list": _list_profiles,
    "get_profile_ids_for_list": _list_profiles,
    "get_tags_for_list": ReadOperation("tag", related_rows("list", "tags")),
    "get_tag_ids_for_list": ReadOperation("tag", related_rows("list", "tags")),
    "get_segments": ReadOperation("segment", all_rows("segment")),
    "get_segment": ReadOperation("segment", view=_segment_with_count),
    "get_profiles_for_segment": _segment_profiles,
    "get_profile_ids_for_segment": _segment_profiles,
    "get_tags_for_segment": ReadOperation("tag", related_rows("segment", "tags")),
    "get_tag_ids_for_segment": ReadOperation("tag", related_rows("segment", "tags")),
    "get_metrics": ReadOperation("metric", all_rows("metric")),
    "get_metric": ReadOperation("metric"),
    "get_events": ReadOperation(
        "event",
        all_rows("event"),
        aliases={"timestamp": "datetime"},
        # ``has(profile)`` asks for the resource itself.
        stored_paths={"profile": "profile_id", "metric": "metric_id"},
    ),
    "get_event": ReadOperation("event"),
    "get_campaigns": ReadOperation(
        "campaign", all_rows("campaign"), required_filters=("messages.channel",), default_filters={"archived": False}
    ),
    "get_campaign": ReadOperation("campaign"),
    "get_campaign_recipient_estimation": ReadOperation("campaign-recipient-estimation", view=_with_estimation),
    "get_tags_for_campaign": ReadOperation("tag", related_rows("campaign", "tags")),
    "get_tag_ids_for_campaign": ReadOperation("tag", related_rows("campaign", "tags")),
    "get_messages_for_campaign": ReadOperation("campaign-message", related_rows("campaign", "campaign-messages")),
    "get_message_ids_for_campaign": ReadOperation("campaign-message", related_rows("campaign", "campaign-messages")),
    "get_campaign_message": ReadOperation("campaign-message"),
    "get_template_for_campaign_message": ReadOperation(
        "template", related_rows("campaign-message", "template"), to_one=True
    ),
    "get_template_id_for_campaign_message": ReadOperation(
        "template", related_rows("campaign-message", "template"), to_one=True
    ),
    "get_flows": ReadOperation("flow", all_rows("flow"), default_filters={"archived": False}),
    "get_flow": ReadOperation("flow", view=_flow_with_definition),
    "get_tags_for_flow": ReadOperation("tag", related_rows("flow", "tags")),
    "get_tag_ids_for_flow": ReadOperation("tag", related_rows("flow", "tags")),
    "get_actions_for_flow": ReadOperation("flow-action", related_rows("flow", "flow-actions")),
    "get_action_ids_for_flow": ReadOperation("flow-action", related_rows("flow", "flow-actions")),
    "get_flow_action": ReadOperation("flow-action"),
    "get_flow_action_messages": ReadOperation("flow-message", related_rows("flow-action", "flow-messages")),
    "get_message_ids_for_flow_action": ReadOperation("flow-message", related_rows("flow-action", "flow-messages")),
    "get_flow_message": ReadOperation("flow-message"),
    "get_template_for_flow_message": ReadOperation("template", related_rows("flow-message", "template"), to_one=True),
    "get_tags": ReadOperation("tag", all_rows("tag")),
    "get_tag": ReadOperation("tag"),
    "get_list_ids_for_tag": ReadOperation("list", related_rows("tag", "lists")),
    "get_segment_ids_for_tag": ReadOperation("segment", related_rows("tag", "segments")),
    "get_campaign_ids_for_tag": ReadOperation("campaign", related_rows("tag", "campaigns")),
    "get_flow_ids_for_tag": ReadOperation("flow", related_rows("tag", "flows")),
    "get_tag_groups": ReadOperation("tag-group", all_rows("tag-group")),
    "get_tag_group": ReadOperation("tag-group"),
    "get_tags_for_tag_group": ReadOperation("tag", related_rows("tag-group", "tags")),
    "get_templates": ReadOperation("template", all_rows("template")),
    "get_template": ReadOperation("template"),
    "get_bulk_import_profiles_jobs": ReadOperation(jobs.IMPORT, all_rows(jobs.IMPORT), view=jobs.view),
    "get_bulk_import_profiles_job": ReadOperation(jobs.IMPORT, id_parameter="job_id", view=jobs.view),
    "get_bulk_suppress_profiles_jobs": _suppression_jobs(jobs.SUPPRESS),
    "get_bulk_suppress_profiles_job": ReadOperation(jobs.SUPPRESS, id_parameter="job_id", view=jobs.view),
    "get_bulk_unsuppress_profiles_jobs": _suppression_jobs(jobs.UNSUPPRESS),
    "get_bulk_unsuppress_profiles_job": ReadOperation(jobs.UNSUPPRESS, id_parameter="job_id", view=jobs.view),
    "get_errors_for_bulk_import_profiles_job": ReadOperation("import-error", jobs.errors_of),
    "get_list_for_bulk_import_profiles_job": ReadOperation("list", related_rows(jobs.IMPORT, "lists")),
    "get_list_ids_for_bulk_import_profiles_job": ReadOperation("list", related_rows(jobs.IMPORT, "lists")),
    "get_profiles_for_bulk_import_profiles_job": ReadOperation("profile", related_rows(jobs.IMPORT, "profiles")),
    "get_profile_ids_for_bulk_import_profiles_job": ReadOperation("profile", related_rows(jobs.IMPORT, "profiles")),
    **omni_campaigns.READS,
    **{name: read for family in FAMILIES for name, read in family.READS.items()},
}
