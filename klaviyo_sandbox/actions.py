"""Which function carries out each write operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from klaviyo_sandbox import writes_consents, writes_events, writes_lists, writes_profiles, writes_suppressions
from klaviyo_sandbox.bodies import Answer
from klaviyo_sandbox.collections import Request
from klaviyo_sandbox.store import Store


def write(store: Store, request: Request) -> Answer:
    """Do what a write asks for, whose body has the declared shape.

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
}
