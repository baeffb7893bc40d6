"""Fills an account so that every operation that is served finds something, and gives the paths at which it does."""

from __future__ import annotations

from collections.abc import Mapping

from klaviyo_sandbox import RunningSandbox
from klaviyo_sandbox.account.relations import find_row, related_identities, table_of
from support.calls import Caller, import_job
from support.declared import OPERATIONS

IMPORT = "profile-bulk-import-job"
SUPPRESS = "profile-suppression-bulk-create-job"
UNSUPPRESS = "profile-suppression-bulk-delete-job"


def fill_account(sandbox: RunningSandbox) -> dict[str, str]:
    """Add what no seed makes: a job of each kind, and a row that one of them failed to import.

    Returns:
        operation -> its path, without ``/api/``, with an id that the account knows and that has what is asked for.
    """
    caller = Caller(sandbox.url)
    known = [{"email": "one@example.com"}, {"external_id": "two"}]
    two_people = {"email": "one@example.com", "external_id": "two"}
    # By then the last row names two people.
    for attributes in known:
        answer = caller.post("profile-import", {"data": {"type": "profile", "attributes": attributes}})
        assert answer.status_code == 201, answer.text
    into = [next(iter(sandbox.store.lists.rows))]
    assert caller.post(f"{IMPORT}s", import_job([*known, two_people], into)).status_code == 202
    for kind in (SUPPRESS, UNSUPPRESS):
        profiles = [{"type": "profile", "attributes": known[0]}]
        body = {"data": {"type": kind, "attributes": {"profiles": {"data": profiles}}}}
        assert caller.post(f"{kind}s", body).status_code == 202
    caller.close()
    return {name: _path(sandbox, operation["path"].removeprefix("/api/")) for name, operation in OPERATIONS.items()}


# Types of resources that bodies name.
_NAMED = (
    *("profile", "list", "segment", "metric", "coupon", "coupon-code"),
    *("catalog-item", "catalog-variant", "catalog-category", "data-source", "object-record"),
)


def ids_by_type(sandbox: RunningSandbox, paths: Mapping[str, str]) -> dict[str, str]:
    """Resource type -> an id that the account knows, for bodies that name one; a merge is into another profile."""
    ids = {kind: paths[f"get_{kind.replace('-', '_')}"].split("/")[1] for kind in _NAMED}
    others = [profile_id for profile_id in sandbox.store.profiles.rows if profile_id != ids["profile"]]
    return {**ids, "profile-merge": others[-1]}


def _path(sandbox: RunningSandbox, template: str) -> str:
    if "{" not in template:
        return template
    plural, name = template.partition("/")[0], template.rpartition("/")[2]
    kind = plural.removesuffix("ies") + "y" if plural.endswith("ies") else plural.removesuffix("s")
    store = sandbox.store
    rows = [row for row in table_of(store, kind).rows.values() if find_row(store, kind, row["id"]) is not None]
    # Not every message has a template, and not every flow a tag; members are in no relationship.
    row_id = next((row["id"] for row in rows if related_identities(store, kind, row, name)), rows[0]["id"])
    return template.replace("{id}", row_id).replace("{job_id}", row_id)
