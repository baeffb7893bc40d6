"""The paths at which every operation that is served finds something in an account."""

from __future__ import annotations

from klaviyo_sandbox import RunningSandbox
from klaviyo_sandbox.relations import find, related, table
from support.declared import OPERATIONS


def furnished(sandbox: RunningSandbox) -> dict[str, str]:
    """operation -> its path, without ``/api/``, with an id that the account knows and that has what is asked for."""
    return {name: _path(sandbox, operation["path"].removeprefix("/api/")) for name, operation in OPERATIONS.items()}


def _path(sandbox: RunningSandbox, template: str) -> str:
    if "{" not in template:
        return template
    plural, name = template.partition("/")[0], template.rpartition("/")[2]
    kind = plural.removesuffix("ies") + "y" if plural.endswith("ies") else plural.removesuffix("s")
    store = sandbox.store
    rows = [row for row in table(store, kind).rows.values() if find(store, kind, row["id"]) is not None]
    # Not every message has a template, and not every flow a tag; members are in no relationship.
    row_id = next((row["id"] for row in rows if related(store, kind, row, name)), rows[0]["id"])
    return template.replace("{id}", row_id).replace("{job_id}", row_id)
