"""Writes of lists and of their members."""

from __future__ import annotations

import random

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.reads.collections import documents
from klaviyo_sandbox.spec.errors import Refusal, invalid, not_found
from klaviyo_sandbox.spec.exchange import Answer, Request
from klaviyo_sandbox.writes.bodies import check_count


def create(store: Store, request: Request) -> Answer:
    attributes = request.body["data"]["attributes"]
    if not attributes["name"].strip():
        raise Refusal([invalid("This field may not be blank.", "/data/attributes/name")])
    list_id = short_id(random.SystemRandom())
    while list_id in store.lists:
        list_id = short_id(random.SystemRandom())
    row = {
        "id": list_id,
        "name": attributes["name"],
        "created": store.now_text(),
        "updated": store.now_text(),
        "opt_in_process": attributes.get("opt_in_process") or store.default_opt_in,
    }
    store.lists.put(row)
    store.list_members[list_id] = Table()
    return Answer(201, documents(store, request).one("list", row, f"/api/lists/{list_id}/"))


def add_members(store: Store, request: Request) -> Answer:
    for profile_id in _profile_ids(store, request):
        store.add_to_list(request.params["id"], profile_id)
    return Answer(204)


def remove_members(store: Store, request: Request) -> Answer:
    for profile_id in _profile_ids(store, request):
        store.list_members[request.params["id"]].drop(profile_id)
    return Answer(204)


def _profile_ids(store: Store, request: Request) -> list[str]:
    """Ids of the profiles that a change of members names.

    Raises:
        Refusal: 404 for an unknown list; 400 for too many or unknown profiles, of which none is then changed.
    """
    list_id = request.params["id"]
    if list_id not in store.lists:
        raise not_found(f"List {list_id} does not exist.")
    check_count(request, len(request.body["data"]), "/data/")
    ids = [reference["id"] for reference in request.body["data"]]
    unknown = dict.fromkeys(profile_id for profile_id in ids if profile_id not in store.profiles)
    if unknown:
        listed = "{" + ", ".join(map(repr, unknown)) + "}"
        raise Refusal([invalid(f"Invalid profile IDs: {listed}", "/data/")])
    return ids
