"""What an account holds, by a path that imports nothing of the tap or its client: plain HTTP, links followed."""

from __future__ import annotations

import contextlib
from typing import Any

from klaviyo_sandbox import RunningSandbox
from support.calls import Caller

KEYS = {
    "profiles": ("profile_id",),
    "lists": ("list_id",),
    "list_profiles": ("list_id", "profile_id"),
    "segments": ("segment_id",),
    "segment_profiles": ("segment_id", "profile_id"),
    "metrics": ("metric_id",),
    "events": ("id",),
}
_LARGEST_PAGE = {"profiles": {"page__size": 100}, "events": {"page__size": 1000}}


def collection(account: RunningSandbox, path: str, **query: Any) -> list[dict[str, Any]]:
    """Every resource of ``/api/{path}``; parameters are named as ``Caller.get`` takes them."""
    with contextlib.closing(Caller(account.url)) as caller:
        return caller.rows(path, **query)


def truth(account: RunningSandbox, table: str) -> list[tuple[str, ...]]:
    """The keys that a table must hold, each once."""
    parent = table.removesuffix("_profiles")
    if parent == table:
        return [(entry["id"],) for entry in collection(account, table, **_LARGEST_PAGE.get(table, {}))]
    return [
        (group["id"], member["id"])
        for group in collection(account, f"{parent}s")
        for member in collection(account, f"{parent}s/{group['id']}/profiles", page__size=100)
    ]
