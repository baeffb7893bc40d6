"""The client and the local account."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from klaviyo_client import errors
from klaviyo_client.client import KlaviyoClient
from klaviyo_sandbox.server import RunningSandbox


def client(sandbox: RunningSandbox, **options: Any) -> KlaviyoClient:
    return KlaviyoClient(api_key=options.pop("api_key", "pk_test"), api_url=sandbox.url, **options)


def test_pages_visit_every_profile_once(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """Following the links from page to page gives the whole account."""
    sandbox = make_sandbox(profiles=45, events=0)
    pages = list(client(sandbox).pages("get_profiles", query={"page[size]": "20"}))
    ids = [row["id"] for page in pages for row in page.data]
    assert [len(page.data) for page in pages] == [20, 20, 5]
    assert sorted(ids) == sorted(sandbox.store.profiles.rows)


def test_what_the_account_refuses_has_its_error(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """Wrong key, missing scope, unknown list, retired revision, forbidden filter."""
    sandbox = make_sandbox(profiles=5, events=0, key="pk_right", scopes="lists:read")
    with pytest.raises(errors.InvalidKey, match="private key"):
        client(sandbox).page("get_lists")
    right = client(sandbox, api_key="pk_right")
    with pytest.raises(errors.NotAllowed, match="profiles:read"):
        right.page("get_profiles")
    with pytest.raises(errors.NotFound):
        right.call("get_list", path={"id": "NOLIST"})
    with pytest.raises(errors.BadRequest, match=r"\[filter\]"):
        right.page("get_lists", query={"filter": "less-than(updated,2026-01-01T00:00:00Z)"})
    with pytest.raises(errors.RevisionRetired, match="revision"):
        client(sandbox, api_key="pk_right", revision="2023-09-15").page("get_lists")


def test_threads_within_the_budget_meet_no_429(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """Eight threads ask as fast as they may; the account, which counts, refuses none of them."""
    sandbox = make_sandbox(profiles=5, events=0)
    shared = client(sandbox, rate_limit_share=1.0)
    threads = [threading.Thread(target=lambda: [shared.page("get_metrics") for _ in range(3)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [entry.status for entry in sandbox.requests] == [200] * 24
