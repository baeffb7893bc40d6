"""Lists: who is on them. Adding is neither subscribing nor consent."""

from __future__ import annotations

from target_klaviyo.actions.profiles import LIST_OPTIONS, resource
from target_klaviyo.jobs import IMPORT, deliver
from target_klaviyo.model import Action

LIST_MEMBERS = Action(
    name="list_members",
    summary="Add people to a list; those who do not exist are created.",
    streams=("list_members", "list_profiles"),
    copied_from=("list_profiles", "get_list", "list_id"),
    operation=IMPORT,
    resource=resource,
    deliver=deliver,
    options=LIST_OPTIONS,
    needs_list=True,
)
