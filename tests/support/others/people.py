"""Push tokens, conversations and predictions: what costs a call for each person, beside the profiles."""

from __future__ import annotations

from collections.abc import Iterable

from support.second_path import Key, Witness


def _of_people(account: Witness, name: str) -> Iterable[Key]:
    return [
        (row["id"],)
        for person in account.rows("profiles")
        for row in account.rows(f"profiles/{person['id']}/relationships/{name}")
    ]


TRUTHS = {
    "push_tokens": (("push_token_id",), lambda account: _of_people(account, "push-tokens")),
    "conversations": (("conversation_id",), lambda account: _of_people(account, "conversations")),
    "profile_predictive_analytics": (
        ("profile_id",),
        lambda account: [(row["id"],) for row in account.rows("profiles", sort="-created")],
    ),
}
