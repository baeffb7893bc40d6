"""Pushing into an account of a million profiles that nobody has made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from target_support import KEY, SPEED, Command, records, schema_of

from klaviyo_sandbox import RunningSandbox


def test_a_push_changes_the_people_whom_a_large_account_has(
    tmp_path: Path, make_sandbox: Callable[..., RunningSandbox]
) -> None:
    """People of a procedural account are updated, put on a list and taken off it by their addresses, and none twice."""
    account = make_sandbox(profiles=1_000_000, events=0, limits=False, job_seconds=0.05, speed=SPEED)
    target = Command(tmp_path, {"api_key": KEY, "api_url": account.url})
    keys = account.store.profiles.sorted_keys("id")
    rows = [account.store.profiles.rows[keys[place][1]] for place in range(0, 1_000_000, 20_000)]
    known = {row["email"]: row["id"] for row in rows if row["email"]}
    people = [{"email": email, "first_name": "Changed"} for email in (*known, "new@example.com")]
    joining = {"action": "list_members", "list": "VIP", "create_list": True}
    assert target([schema_of("vips"), *records("vips", people)], streams={"vips": joining}).code == 0
    assert len(account.store.profiles) == 1_000_001
    assert {account.store.profiles.rows[row_id]["first_name"] for row_id in known.values()} == {"Changed"}
    [list_id] = [row["id"] for row in account.store.lists.rows.values() if row["name"] == "VIP"]
    new = account.store.find_profile_id("email", "new@example.com")
    assert set(account.store.list_members[list_id].rows) == {*known.values(), new}
    leaving = {"action": "list_members", "list": "VIP", "mode": "remove"}
    people = [{"email": email} for email in known]
    assert target([schema_of("vips"), *records("vips", people)], streams={"vips": leaving}).code == 0
    assert set(account.store.list_members[list_id].rows) == {new}
