"""Removing people from a list, updating only, and clearing, in an account; with the command in its own process."""

from __future__ import annotations

from target_support import Command, records, schema_of

from klaviyo_sandbox import RunningSandbox

PEOPLE = [{"email": f"p{i}@example.com", "first_name": "Ada"} for i in range(130)]


def names(account: RunningSandbox) -> dict[str, str | None]:
    return {row["email"]: row["first_name"] for row in account.store.profiles.rows.values() if row.get("email")}


def test_whoever_joined_a_list_can_leave_it(target: Command, account: RunningSandbox) -> None:
    """More people than Klaviyo shows on a page, in other letters than it keeps; one of them it has never seen."""
    joining = {"action": "list_members", "list": "VIP", "create_list": True}
    messages = [schema_of("vips"), *records("vips", PEOPLE)]
    assert target(messages, streams={"vips": joining}).code == 0
    [list_id] = [row["id"] for row in account.store.lists.rows.values() if row["name"] == "VIP"]
    assert len(account.store.list_members[list_id].rows) == 130
    leaving = [{"email": person["email"].upper()} for person in PEOPLE[:125]] + [{"email": "nobody@example.com"}]
    run = target(
        [schema_of("vips"), *records("vips", leaving)],
        streams={"vips": {"action": "list_members", "list": "VIP", "mode": "remove"}},
    )
    assert run.code == 0
    assert len(account.store.list_members[list_id].rows) == 5
    [line] = run.said("WARNING")
    assert "delivered (not_found): no profile has these identifiers" in line


def test_update_only_and_clearing_nulls(target: Command, account: RunningSandbox) -> None:
    """A null empties the field of the one person who exists, and nobody is created."""
    assert target([schema_of("profiles"), *records("profiles", PEOPLE[:1])]).code == 0
    emptied = [{"email": name, "first_name": None} for name in ("p0@example.com", "new@example.com")]
    run = target(
        [schema_of("profiles"), *records("profiles", emptied)],
        streams={"profiles": {"update_only": True, "nulls": "clear"}},
    )
    assert [line["code"] for line in run.rejected] == ["not_found"]
    found = names(account)
    assert found["p0@example.com"] is None
    assert "new@example.com" not in found
