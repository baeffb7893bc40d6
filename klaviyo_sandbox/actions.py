"""Which function carries out each operation that takes a body: writes, and queries, which only read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from klaviyo_sandbox import writes_consents, writes_events, writes_lists, writes_profiles, writes_suppressions
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.bodies import Answer
from klaviyo_sandbox.reads.collections import Request
from klaviyo_sandbox.reports import aggregates, reports


def write(store: Store, request: Request) -> Answer:
    """Do what a body asks for that has the declared shape.

    Raises:
        Refusal: nothing was changed.
    """
    return WRITES[request.operation.id](store, request)


WRITES: Mapping[str, Callable[[Store, Request], Answer]] = {
    "create_or_update_profile": writes_profiles.upsert,
    "create_profile": writes_profiles.create,
    "update_profile": writes_profiles.update,
    "bulk_import_profiles": writes_profiles.import_many,
    "request_profile_deletion": writes_profiles.delete,
    "create_list": writes_lists.create,
    "add_profiles_to_list": writes_lists.add_members,
    "remove_profiles_from_list": writes_lists.remove_members,
    "create_event": writes_events.create,
    "bulk_create_events": writes_events.create_many,
    "bulk_subscribe_profiles": writes_consents.subscribe,
    "bulk_unsubscribe_profiles": writes_consents.unsubscribe,
    "bulk_suppress_profiles": writes_suppressions.suppress,
    "bulk_unsuppress_profiles": writes_suppressions.unsuppress,
    "query_campaign_values": reports.answer,
    "query_flow_values": reports.answer,
    "query_flow_series": reports.answer,
    "query_form_values": reports.answer,
    "query_form_series": reports.answer,
    "query_segment_values": reports.answer,
    "query_segment_series": reports.answer,
    "query_metric_aggregates": aggregates.answer,
}
