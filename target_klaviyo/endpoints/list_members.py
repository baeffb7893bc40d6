"""Members of lists: puts people on a list, or takes them off it, by their Klaviyo ids. Never a matter of consent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from klaviyo_client.api.operations import operation
from klaviyo_client.api.reply import Reply
from klaviyo_client.errors import Refused
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import encode_json, split_by_size, unit_size
from target_klaviyo.delivery.requests import group_by_list, send_chunks, single
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import people
from target_klaviyo.model.records import Outcome, OutcomeKind

ADD = "add_profiles_to_list"
REMOVE = "remove_profiles_from_list"
_QUOTED = re.compile(r"""(['"])(.+?)\1""")
_NOBODY = "no profile has these identifiers, so nobody was removed"
_NO_PROFILE = "Klaviyo has no profile with this id"


def remove(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Take the rows' people off their lists. They stay subscribed.

    Raises:
        SettingsError: a list that the settings name cannot be found.
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    groups, unresolved = group_by_list(session, rows)
    yield from unresolved
    resolved = [row for _, group in groups for row in group]
    ids = {row: row.payload["id"] for row in resolved if "id" in row.payload}
    matches = people.find_profiles(session, [row for row in resolved if row not in ids])
    ids.update(matches.ids)
    for list_id, group in groups:
        for row in group:
            if row not in ids:
                nobody = Outcome(OutcomeKind.DELIVERED, 200, "not_found", None, _NOBODY)
                yield single(row), matches.refused.get(row, nobody)
        if list_id is not None:
            yield from change_members(session, REMOVE, list_id, {row: ids[row] for row in group if row in ids})


def change_members(session: Session, name: str, list_id: str, ids: Mapping[Row, str]) -> Iterator[UnitOutcome]:
    """Put the people on the list, or take them off: each once, whatever rows there are about them.

    Args:
        session: what the actions share.
        name: ``ADD`` or ``REMOVE``.
        list_id: Klaviyo's id of the list.
        ids: row -> Klaviyo's id of its person.
    """

    def send(part: Sequence[Unit]) -> Reply:
        body = encode_json({"data": [msgspec.Raw(unit.body) for unit in part]})
        # Done twice it is done once.
        return session.client.call(name, path={"id": list_id}, body=body, idempotent=True)

    def outcomes_of(part: Sequence[Unit], reply: Reply) -> Iterator[UnitOutcome]:
        yield from ((unit, Outcome(OutcomeKind.DELIVERED, reply.status)) for unit in part)

    rows_by_id: dict[str, list[Row]] = {}
    for row, profile_id in ids.items():
        rows_by_id.setdefault(profile_id, []).append(row)
    units = [_unit(profile_id, rows) for profile_id, rows in rows_by_id.items()]
    chunks = split_by_size(units, unit_size, max_count=operation(name).max_items or 1)
    find_rejected = _unknown_ids_are_done if name == REMOVE else _unknown_ids_are_rejected
    yield from send_chunks(chunks, send, outcomes_of, find_rejected=find_rejected)


def _unit(profile_id: str, rows: Sequence[Row]) -> Unit:
    payload = {"type": "profile", "id": profile_id}
    return Unit(tuple(rows), payload, encode_json(payload))


def _unknown_ids_are_done(refused: Refused, part: Sequence[Unit]) -> Mapping[int, Outcome]:
    """For those who are to leave: whoever the account does not have is on no list."""
    reason = f"{_NO_PROFILE}, so nobody was removed"
    outcome = Outcome(OutcomeKind.DELIVERED, refused.status, "not_found", None, reason)
    return dict.fromkeys(_quoted_units(refused, part), outcome) or responses.rejected_by_pointer(refused, part)


def _unknown_ids_are_rejected(refused: Refused, part: Sequence[Unit]) -> Mapping[int, Outcome]:
    """For those who are to join."""
    code = refused.errors[0].code if refused.errors else None
    outcome = Outcome(OutcomeKind.REJECTED, refused.status, code or str(refused.status), "/data", _NO_PROFILE)
    return dict.fromkeys(_quoted_units(refused, part), outcome) or responses.rejected_by_pointer(refused, part)


def _quoted_units(refused: Refused, part: Sequence[Unit]) -> list[int]:
    """Positions of the units whose ids the refusal quotes: "Invalid profile IDs: {'x'}" points at no row."""
    quoted = {match[2] for error in refused.errors for match in _QUOTED.finditer(error.detail)}
    return [index for index, unit in enumerate(part) if unit.payload["id"] in quoted]
