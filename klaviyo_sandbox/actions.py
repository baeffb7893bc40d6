"""What each write operation does to the account."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from klaviyo_sandbox import identity, jobs, profiles
from klaviyo_sandbox.collections import Request, documents
from klaviyo_sandbox.errors import Problem, Refusal, invalid, not_found
from klaviyo_sandbox.facts import Schema
from klaviyo_sandbox.ids import short_id
from klaviyo_sandbox.shapes import faults
from klaviyo_sandbox.store import Store, Table

_ROWS = "/data/attributes/profiles/data"


@dataclass(frozen=True)
class Answer:
    """What a request is answered with; ``document`` may be JSON already, and is None where the answer has no body."""

    status: int
    document: dict[str, Any] | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def check_body(request: Request, schemas: Mapping[str, Schema]) -> None:
    """Refuse a body that is too large or not of the declared shape.

    Raises:
        Refusal: 400; in a bulk request one problem for each bad row, and nothing else when the request is at fault.
    """
    operation = request.operation
    if operation.max_bytes is not None and request.body_bytes > operation.max_bytes:
        raise Refusal([invalid(f"The payload must not be larger than {operation.max_bytes} bytes.", "/data")])
    found = list(faults(operation.body or {}, request.body, schemas))
    if found:
        raise Refusal(_first_of_each_row(invalid(detail, pointer or "/data") for pointer, detail in found))


def write(store: Store, request: Request) -> Answer:
    """Do what a write asks for, whose body has the declared shape.

    Raises:
        Refusal: nothing was changed.
    """
    return WRITES[request.operation.id](store, request)


def _first_of_each_row(problems: Iterator[Problem]) -> list[Problem]:
    kept: dict[str, Problem] = {}
    for problem in problems:
        pointer = problem.source["pointer"]
        row = pointer.removeprefix(_ROWS + "/").partition("/")[0] if pointer.startswith(_ROWS + "/") else pointer
        kept.setdefault(row, problem)
    return list(kept.values())


def _upsert_profile(store: Store, request: Request) -> Answer:
    resource = request.body["data"]
    attributes = resource["attributes"]
    problem = _profile_problem(resource, "/data/attributes")
    headers = {}
    if problem is not None:
        attributes = {name: value for name, value in attributes.items() if name != "phone_number"}
        rest = {**resource, "attributes": attributes}
        # Klaviyo drops a bad phone number, and says so, when another identifier can stand for the profile.
        if not problem.source["pointer"].endswith("/phone_number") or not identity.names_someone(rest):
            raise Refusal([problem])
        resource = rest
        headers = {"X-Klaviyo-Partial-Failure": "phone_number"}
    written = profiles.upsert(store, resource, keep_on_null=False)
    path = f"/api/profiles/{written.row['id']}/"
    document = documents(store, request).one("profile", written.row, path)
    return Answer(201 if written.created else 200, document, headers)


def _profile_problem(resource: Mapping[str, Any], pointer: str) -> Problem | None:
    """The first thing wrong with what identifies a profile."""
    attributes = resource["attributes"]
    if not identity.names_someone(resource):
        return invalid(identity.NOBODY, pointer)
    if attributes.get("email") and not identity.is_email(attributes["email"]):
        return invalid(identity.BAD_EMAIL, f"{pointer}/email")
    if attributes.get("phone_number") and not identity.is_phone(attributes["phone_number"]):
        return invalid(identity.BAD_PHONE, f"{pointer}/phone_number")
    return None


def _import_profiles(store: Store, request: Request) -> Answer:
    data = request.body["data"]
    resources = data["attributes"]["profiles"]["data"]
    _check_count(request, resources, _ROWS)
    if not resources:
        raise Refusal([invalid("At least one profile is required.", _ROWS)])
    references = data.get("relationships", {}).get("lists", {}).get("data", [])
    problems = [
        invalid(f"List {reference['id']} does not exist.", f"/data/relationships/lists/data/{position}/id")
        for position, reference in enumerate(references)
        if reference["id"] not in store.lists
    ]
    problems = problems or list(_row_problems(request, resources))
    if problems:
        raise Refusal(problems)
    job = jobs.accept(store, resources, [reference["id"] for reference in references])
    return Answer(202, documents(store, request).one(jobs.KIND, job, f"{request.path.rstrip('/')}/{job['id']}/"))


def _row_problems(request: Request, resources: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    limit = request.operation.max_item_bytes
    for position, resource in enumerate(resources):
        pointer = f"{_ROWS}/{position}"
        problem = _profile_problem(resource, f"{pointer}/attributes")
        if problem is not None:
            yield problem
        elif limit is not None and len(json.dumps(resource).encode()) > limit:
            yield invalid(f"A profile must not be larger than {limit} bytes.", pointer)


def _check_count(request: Request, items: Sequence[Any], pointer: str) -> None:
    limit = request.operation.max_items
    if limit is not None and len(items) > limit:
        raise Refusal([invalid(f"At most {limit} items are accepted, {len(items)} were given.", pointer)])


def _create_list(store: Store, request: Request) -> Answer:
    attributes = request.body["data"]["attributes"]
    if not attributes["name"].strip():
        raise Refusal([invalid("This field may not be blank.", "/data/attributes/name")])
    list_id = short_id(random.SystemRandom())
    while list_id in store.lists:
        list_id = short_id(random.SystemRandom())
    row = {
        "id": list_id,
        "name": attributes["name"],
        "created": store.second(),
        "updated": store.second(),
        "opt_in_process": attributes.get("opt_in_process") or "single_opt_in",
    }
    store.lists.put(row)
    store.list_members[list_id] = Table()
    return Answer(201, documents(store, request).one("list", row, f"/api/lists/{list_id}/"))


def _listed_ids(store: Store, request: Request) -> list[str]:
    """The profiles that a change of members names.

    Raises:
        Refusal: 404 for an unknown list; 400 for too many or unknown profiles, of which none is then changed.
    """
    list_id = request.params["id"]
    if list_id not in store.lists:
        raise not_found(f"List {list_id} does not exist.")
    _check_count(request, request.body["data"], "/data/")
    ids = [reference["id"] for reference in request.body["data"]]
    unknown = dict.fromkeys(profile_id for profile_id in ids if profile_id not in store.profiles)
    if unknown:
        named = "{" + ", ".join(map(repr, unknown)) + "}"
        raise Refusal([invalid(f"Invalid profile IDs: {named}", "/data/")])
    return ids


def _add_to_list(store: Store, request: Request) -> Answer:
    for profile_id in _listed_ids(store, request):
        jobs.join(store, request.params["id"], profile_id)
    return Answer(204)


def _remove_from_list(store: Store, request: Request) -> Answer:
    for profile_id in _listed_ids(store, request):
        store.list_members[request.params["id"]].drop(profile_id)
    return Answer(204)


WRITES: Mapping[str, Callable[[Store, Request], Answer]] = {
    "create_or_update_profile": _upsert_profile,
    "bulk_import_profiles": _import_profiles,
    "create_list": _create_list,
    "add_profiles_to_list": _add_to_list,
    "remove_profiles_from_list": _remove_from_list,
}
