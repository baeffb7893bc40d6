"""Suppresses profiles and lifts suppressions, by jobs that report counts and no single profile."""

from __future__ import annotations

from collections.abc import Sequence

from klaviyo_sandbox.account import jobs
from klaviyo_sandbox.account.identifiers import BAD_EMAIL, is_email
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.reads.collections import documents
from klaviyo_sandbox.spec.errors import Refusal, invalid, not_found
from klaviyo_sandbox.spec.exchange import Answer, Request
from klaviyo_sandbox.writes.bodies import check_rows

_ROWS = "/data/attributes/profiles/data"


def suppress(store: Store, request: Request) -> Answer:
    return _accept(store, request, jobs.SUPPRESS)


def unsuppress(store: Store, request: Request) -> Answer:
    return _accept(store, request, jobs.UNSUPPRESS)


def _accept(store: Store, request: Request, kind: str) -> Answer:
    data = request.body["data"]
    relationships = data.get("relationships", {})
    groups = {
        name: relationships[name]["data"]["id"] for name in ("list", "segment") if "data" in relationships.get(name, {})
    }
    profiles = data["attributes"].get("profiles")
    if len(groups) + (profiles is not None) != 1:
        raise Refusal([invalid("Exactly one of profiles, a list and a segment must be given.", "/data")])
    if profiles is None:
        ((group, group_id),) = groups.items()
        identifiers = [("id", profile_id) for profile_id in _member_ids(store, group, group_id)]
        job = jobs.accept_suppression(store, kind, identifiers, {f"{group}_id": group_id})
    else:
        job = jobs.accept_suppression(store, kind, [("email", email) for email in _emails(request)], {})
    return Answer(202, documents(store, request).one(kind, job, f"{request.path.rstrip('/')}/{job['id']}/"))


def _emails(request: Request) -> Sequence[str]:
    rows = request.body["data"]["attributes"]["profiles"]["data"]
    check_rows(request, rows, _ROWS)
    emails = [row["attributes"]["email"] for row in rows]
    problems = [
        invalid(BAD_EMAIL, f"{_ROWS}/{position}/attributes/email")
        for position, email in enumerate(emails)
        if not is_email(email)
    ]
    if problems:
        raise Refusal(problems)
    return emails


def _member_ids(store: Store, group: str, group_id: str) -> Sequence[str]:
    members = (store.list_members if group == "list" else store.segment_members).get(group_id)
    if members is None:
        raise not_found(f"{group.capitalize()} {group_id} does not exist.")
    members.check_walk()
    return list(members.rows)
