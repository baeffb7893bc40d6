"""An account in which every operation that is served finds something, and the paths at which it does."""

from __future__ import annotations

from klaviyo_sandbox import RunningSandbox
from klaviyo_sandbox.account.relations import find_row, related_identities, table_of
from support.calls import Caller, import_job
from support.declared import OPERATIONS

IMPORT = "profile-bulk-import-job"
SUPPRESS = "profile-suppression-bulk-create-job"
UNSUPPRESS = "profile-suppression-bulk-delete-job"


def furnish(sandbox: RunningSandbox) -> dict[str, str]:
    """Add what no seed makes: a job of each kind, and a row that one of them failed to import.

    Returns:
        operation -> its path, without ``/api/``, with an id that the account knows and that has what is asked for.
    """
    caller = Caller(sandbox.url)
    known = [{"email": "one@example.com"}, {"external_id": "two"}]
    torn = {"email": "one@example.com", "external_id": "two"}
    # Whoever the last row names is two people by then.
    for attributes in known:
        made = caller.post("profile-import", {"data": {"type": "profile", "attributes": attributes}})
        assert made.status_code == 201, made.text
    into = [next(iter(sandbox.store.lists.rows))]
    assert caller.post(f"{IMPORT}s", import_job([*known, torn], into)).status_code == 202
    for kind in (SUPPRESS, UNSUPPRESS):
        profiles = [{"type": "profile", "attributes": known[0]}]
        body = {"data": {"type": kind, "attributes": {"profiles": {"data": profiles}}}}
        assert caller.post(f"{kind}s", body).status_code == 202
    caller.close()
    return {name: _path(sandbox, operation["path"].removeprefix("/api/")) for name, operation in OPERATIONS.items()}


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
