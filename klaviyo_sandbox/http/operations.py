"""The table of functions that carry out operations with a body: writes, and reports, which only read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.reports import aggregates, reports
from klaviyo_sandbox.spec.exchange import Answer, Request
from klaviyo_sandbox.writes import consents, events, lists, merging, objects, profiles, shop, suppressions


def write(store: Store, request: Request) -> Answer:
    """Carry out an operation with a body; the body's shape has been checked.

    Raises:
        Refusal: the request cannot be carried out, and nothing was changed.
    """
    carry_out = WRITES.get(request.operation.id) or WRITES[request.operation.endpoint]
    return carry_out(store, request)


WRITES: Mapping[str, Callable[[Store, Request], Answer]] = {
    "create_or_update_profile": profiles.upsert,
    "create_profile": profiles.create,
    "update_profile": profiles.update,
    "bulk_import_profiles": profiles.import_many,
    "request_profile_deletion": profiles.delete,
    "merge_profiles": merging.merge,
    "create_list": lists.create,
    "add_profiles_to_list": lists.add_members,
    "remove_profiles_from_list": lists.remove_members,
    "create_event": events.create,
    "bulk_create_events": events.create_many,
    "bulk_subscribe_profiles": consents.subscribe,
    "bulk_unsubscribe_profiles": consents.unsubscribe,
    "bulk_subscribe_profiles@2026-10-15": consents.subscribe,
    "bulk_unsubscribe_profiles@2026-10-15": consents.unsubscribe,
    "bulk_suppress_profiles": suppressions.suppress,
    "bulk_unsuppress_profiles": suppressions.unsuppress,
    "create_coupon": shop.create_coupon,
    "update_coupon": shop.update_coupon,
    "update_coupon_code": shop.update_coupon_code,
    "bulk_create_coupon_codes": shop.accept_job,
    "bulk_create_data_source_records": objects.ingest,
    "bulk_delete_object_records": objects.delete,
    **{
        f"bulk_{verb}_catalog_{plural}": shop.accept_job
        for verb in ("create", "update", "delete")
        for plural in ("items", "variants", "categories")
    },
    "query_campaign_values": reports.answer,
    "query_flow_values": reports.answer,
    "query_flow_series": reports.answer,
    "query_form_values": reports.answer,
    "query_form_series": reports.answer,
    "query_segment_values": reports.answer,
    "query_segment_series": reports.answer,
    "query_metric_aggregates": aggregates.answer,
}
