"""Writes of profiles: one at a time, in bulk, and their deletion."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from klaviyo_sandbox.account import jobs, profiles
from klaviyo_sandbox.account.identifiers import BAD_EMAIL, BAD_PHONE, is_email, is_phone, owners_of
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.reads.collections import documents
from klaviyo_sandbox.spec.errors import Problem, Refusal, duplicate_profile, invalid, not_found
from klaviyo_sandbox.spec.exchange import Answer, Request
from klaviyo_sandbox.spec.times import format_microsecond
from klaviyo_sandbox.writes.bodies import check_rows, profile_problem, without_bad_phone

_ROWS = "/data/attributes/profiles/data"


def upsert(store: Store, request: Request) -> Answer:
    resource, headers = without_bad_phone(request.body["data"], "/data/attributes")
    result = profiles.upsert(store, resource, keep_on_null=False)
    return _profile_answer(store, request, result, 201 if result.created else 200, headers)


def create(store: Store, request: Request) -> Answer:
    """Make a profile; when a profile has one of its identifiers already, the answer is 409."""
    resource, headers = without_bad_phone(request.body["data"], "/data/attributes")
    owner_ids = owners_of(store, resource["attributes"])
    if owner_ids:
        raise Refusal([duplicate_profile(owner_ids[0])])
    return _profile_answer(store, request, profiles.upsert(store, resource, keep_on_null=False), 201, headers)


def update(store: Store, request: Request) -> Answer:
    """Change a profile of the account, whose id is in the path and again in the body."""
    resource = request.body["data"]
    profile_id = request.params["id"]
    if profile_id not in store.profiles:
        raise not_found(f"A Profile with id {profile_id} does not exist.")
    if resource["id"] != profile_id:
        raise Refusal([invalid("The id must be the one in the path.", "/data/id")])
    problem = profile_problem(resource, "/data/attributes")
    if problem is not None:
        raise Refusal([problem])
    return _profile_answer(store, request, profiles.upsert(store, resource, keep_on_null=False), 200, {})


def _profile_answer(
    store: Store, request: Request, result: profiles.UpsertResult, status: int, headers: Mapping[str, str]
) -> Answer:
    path = f"/api/profiles/{result.row['id']}/"
    row = _with_microseconds(result.row, store.now())
    return Answer(status, documents(store, request).one("profile", row, path), headers)


def _with_microseconds(row: Row, now: datetime) -> Row:
    """The profile as the answer to its write shows it: when it is read, Klaviyo shows the same times by the second."""
    times = {name: datetime.fromisoformat(row[name]) for name in ("created", "updated")}
    moments = {name: now if when == now.replace(microsecond=0) else when for name, when in times.items()}
    return {**row, **{name: format_microsecond(when) for name, when in moments.items()}}


def import_many(store: Store, request: Request) -> Answer:
    """Accept a job that upserts every row and puts its profile on the lists."""
    data = request.body["data"]
    resources = data["attributes"]["profiles"]["data"]
    check_rows(request, resources, _ROWS)
    references = data.get("relationships", {}).get("lists", {}).get("data", [])
    problems = [
        invalid(f"List {reference['id']} does not exist.", f"/data/relationships/lists/data/{position}/id")
        for position, reference in enumerate(references)
        if reference["id"] not in store.lists
    ]
    problems = problems or list(_row_problems(request, resources))
    if problems:
        raise Refusal(problems)
    job = jobs.accept_import(store, resources, [reference["id"] for reference in references])
    return Answer(202, documents(store, request).one(jobs.IMPORT, job, f"{request.path.rstrip('/')}/{job['id']}/"))


def _row_problems(request: Request, resources: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    limit = request.operation.max_item_bytes
    for position, resource in enumerate(resources):
        pointer = f"{_ROWS}/{position}"
        problem = profile_problem(resource, f"{pointer}/attributes")
        if problem is not None:
            yield problem
        elif limit is not None and len(json.dumps(resource).encode()) > limit:
            yield invalid(f"A profile must not be larger than {limit} bytes.", pointer)


def delete(store: Store, request: Request) -> Answer:
    """Delete the profiles that have the one identifier, at once; without one the answer is 404, as Klaviyo's.

    Their events stay, and name a profile that does not exist.
    """
    pointer = "/data/attributes/profile/data"
    resource = request.body["data"]["attributes"]["profile"]["data"]
    identifiers = {"id": resource.get("id"), **resource["attributes"]}
    identifiers = {name: value for name, value in identifiers.items() if value}
    if len(identifiers) != 1:
        raise Refusal([invalid("Exactly one of the identifiers id, email, phone_number must be given.", pointer)])
    ((name, value),) = identifiers.items()
    if name == "email" and not is_email(value):
        raise Refusal([invalid(BAD_EMAIL, f"{pointer}/attributes/email")])
    if name == "phone_number" and not is_phone(value):
        raise Refusal([invalid(BAD_PHONE, f"{pointer}/attributes/phone_number")])
    profile_ids = list(store.find_profile_ids(name, value))
    if not profile_ids:
        raise not_found("A profile with this identifier does not exist.")
    for profile_id in profile_ids:
        store.drop_profile(profile_id)
    return Answer(202)
