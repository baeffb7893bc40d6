"""What each read operation serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from klaviyo_sandbox.account import jobs
from klaviyo_sandbox.account.relations import related_identities, table_of
from klaviyo_sandbox.account.resources.families import FAMILIES
from klaviyo_sandbox.account.resources.read_operation import Read, Rows, every, of
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.errors import not_found
from klaviyo_sandbox.spec.exchange import Params


def _members(kind: str, members: Callable[[Store], Mapping[str, Table]]) -> Rows:
    def rows(store: Store, params: Params) -> Table:
        found = members(store).get(params["id"])
        if found is None or params["id"] not in table_of(store, kind):
            raise not_found(f"{kind.capitalize()} {params['id']} does not exist.")
        return found

    return rows


def _member(store: Store, row: Row) -> Row:
    profile = store.profiles.rows[row["id"]]
    return {**profile, "profile_id": row["id"], "joined_group_at": row["joined_group_at"]}


def _counted_list(store: Store, row: Row) -> Row:
    return {**row, "profile_count": len(store.list_members[row["id"]])}


def _counted_segment(store: Store, row: Row) -> Row:
    return {**row, "profile_count": len(store.segment_members[row["id"]])}


def _defined_flow(store: Store, row: Row) -> Row:
    ids = [action_id for _, action_id in related_identities(store, "flow", row, "flow-actions")]
    definition = {
        "triggers": row["triggers"],
        "profile_filter": None,
        "actions": [store.flow_actions.rows[action_id]["definition"] for action_id in ids],
        "entry_action_id": ids[0] if ids else None,
        "reentry_criteria": None,
    }
    return {**row, "definition": definition}


def _jobs(kind: str) -> Read:
    return Read(kind, every(kind), view=jobs.view, same_as={"created": "created_at"})


_list_members = _members("list", lambda store: store.list_members)
_segment_members = _members("segment", lambda store: store.segment_members)
_list_profiles = Read("profile", _list_members, view=_member)
_segment_profiles = Read("profile", _segment_members, view=_member)

READS: Mapping[str, Read] = {
    "get_accounts": Read("account", every("account")),
    "get_profiles": Read("profile", every("profile")),
    "get_profile": Read("profile"),
    "get_lists": Read("list", every("list")),
    "get_list": Read("list", view=_counted_list),
    "get_profiles_for_list": _list_profiles,
    "get_profile_ids_for_list": _list_profiles,
    "get_tags_for_list": Read("tag", of("list", "tags")),
    "get_tag_ids_for_list": Read("tag", of("list", "tags")),
    "get_segments": Read("segment", every("segment")),
    "get_segment": Read("segment", view=_counted_segment),
    "get_profiles_for_segment": _segment_profiles,
    "get_profile_ids_for_segment": _segment_profiles,
    "get_tags_for_segment": Read("tag", of("segment", "tags")),
    "get_tag_ids_for_segment": Read("tag", of("segment", "tags")),
    "get_metrics": Read("metric", every("metric")),
    "get_metric": Read("metric"),
    "get_events": Read(
        "event",
        every("event"),
        same_as={"timestamp": "datetime"},
        # ``has(profile)`` asks for the resource itself.
        stored_as={"profile": "profile_id", "metric": "metric_id"},
    ),
    "get_event": Read("event"),
    "get_campaigns": Read(
        "campaign", every("campaign"), demanded=("messages.channel",), unless_asked={"archived": False}
    ),
    "get_campaign": Read("campaign"),
    "get_tags_for_campaign": Read("tag", of("campaign", "tags")),
    "get_tag_ids_for_campaign": Read("tag", of("campaign", "tags")),
    "get_messages_for_campaign": Read("campaign-message", of("campaign", "campaign-messages")),
    "get_message_ids_for_campaign": Read("campaign-message", of("campaign", "campaign-messages")),
    "get_campaign_message": Read("campaign-message"),
    "get_template_for_campaign_message": Read("template", of("campaign-message", "template"), to_one=True),
    "get_template_id_for_campaign_message": Read("template", of("campaign-message", "template"), to_one=True),
    "get_flows": Read("flow", every("flow")),
    "get_flow": Read("flow", view=_defined_flow),
    "get_tags_for_flow": Read("tag", of("flow", "tags")),
    "get_tag_ids_for_flow": Read("tag", of("flow", "tags")),
    "get_actions_for_flow": Read("flow-action", of("flow", "flow-actions")),
    "get_action_ids_for_flow": Read("flow-action", of("flow", "flow-actions")),
    "get_flow_action": Read("flow-action"),
    "get_flow_action_messages": Read("flow-message", of("flow-action", "flow-messages")),
    "get_message_ids_for_flow_action": Read("flow-message", of("flow-action", "flow-messages")),
    "get_flow_message": Read("flow-message"),
    "get_template_for_flow_message": Read("template", of("flow-message", "template"), to_one=True),
    "get_tags": Read("tag", every("tag")),
    "get_tag": Read("tag"),
    "get_list_ids_for_tag": Read("list", of("tag", "lists")),
    "get_segment_ids_for_tag": Read("segment", of("tag", "segments")),
    "get_campaign_ids_for_tag": Read("campaign", of("tag", "campaigns")),
    "get_flow_ids_for_tag": Read("flow", of("tag", "flows")),
    "get_tag_groups": Read("tag-group", every("tag-group")),
    "get_tag_group": Read("tag-group"),
    "get_tags_for_tag_group": Read("tag", of("tag-group", "tags")),
    "get_templates": Read("template", every("template")),
    "get_template": Read("template"),
    "get_bulk_import_profiles_jobs": Read(jobs.IMPORT, every(jobs.IMPORT), view=jobs.view),
    "get_bulk_import_profiles_job": Read(jobs.IMPORT, id_parameter="job_id", view=jobs.view),
    "get_bulk_suppress_profiles_jobs": _jobs(jobs.SUPPRESS),
    "get_bulk_suppress_profiles_job": Read(jobs.SUPPRESS, id_parameter="job_id", view=jobs.view),
    "get_bulk_unsuppress_profiles_jobs": _jobs(jobs.UNSUPPRESS),
    "get_bulk_unsuppress_profiles_job": Read(jobs.UNSUPPRESS, id_parameter="job_id", view=jobs.view),
    "get_errors_for_bulk_import_profiles_job": Read("import-error", jobs.errors_of),
    "get_list_for_bulk_import_profiles_job": Read("list", of(jobs.IMPORT, "lists")),
    "get_list_ids_for_bulk_import_profiles_job": Read("list", of(jobs.IMPORT, "lists")),
    "get_profiles_for_bulk_import_profiles_job": Read("profile", of(jobs.IMPORT, "profiles")),
    "get_profile_ids_for_bulk_import_profiles_job": Read("profile", of(jobs.IMPORT, "profiles")),
    **{name: read for family in FAMILIES for name, read in family.READS.items()},
}
