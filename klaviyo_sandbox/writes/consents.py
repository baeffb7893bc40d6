"""Subscribing and unsubscribing. What a 202 accepts is done at once; nobody can ask what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account import profiles
from klaviyo_sandbox.account.consent import Consent, with_consent, with_list_suppression
from klaviyo_sandbox.account.rows import ANONYMOUS, Row, pending_id
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.errors import Problem, Refusal, not_found
from klaviyo_sandbox.spec.exchange import Answer, Request
from klaviyo_sandbox.spec.times import format_datetime, parse_datetime
from klaviyo_sandbox.writes.bodies import check_rows, without_bad_phone
from klaviyo_sandbox.writes.consent_rules import NEEDS, Wanted, row_problem, wanted

_ROWS = "/data/attributes/profiles/data"
_EMAIL = ("email", "marketing")


def subscribe(store: Store, request: Request) -> Answer:
    """Consent to e-mail waits for its confirmation where the opt-in is double, unless it was given long ago."""
    data = request.body["data"]
    attributes = data["attributes"]
    historical = bool(attributes.get("historical_import"))
    rows, headers = _checked_rows(store, request, historical=historical)
    list_id = _list_id(store, data)
    process = store.lists.rows[list_id]["opt_in_process"] if list_id else store.default_opt_in
    for resource in rows:
        given = wanted(resource)
        if process == "double_opt_in" and not historical and any(_is_email(consent) for consent in given):
            _hold(store, resource, list_id)
            given = [consent for consent in given if not _is_email(consent)]
            if not given:
                continue
        _give(store, resource, given, list_id, attributes.get("custom_source"))
    return Answer(202, headers=headers)


def unsubscribe(store: Store, request: Request) -> Answer:
    """From the list only, for e-mail to who is on it; from everything otherwise, list or not."""
    rows, headers = _checked_rows(store, request, historical=None)
    list_id = _list_id(store, request.body["data"])
    for resource in rows:
        row, withdrawn = _written(store, resource, wanted(resource))
        subscriptions = row["subscriptions"]
        now = store.now_text()
        for consent in withdrawn:
            if list_id and _is_email(consent) and row["id"] in store.list_members[list_id]:
                store.list_members[list_id].drop(row["id"])
                subscriptions = with_list_suppression(subscriptions, list_id, now)
            else:
                said = Consent(consent.channel, consent.kind, given=False, consented_at=now, recorded_at=now)
                subscriptions = with_consent(subscriptions, said)
        store.put_profile({**row, "subscriptions": subscriptions})
    return Answer(202, headers=headers)


def confirm(store: Store, list_id: str, email: str) -> None:
    """For tests: somebody follows the link in the message of a double opt-in."""
    held = store.pending_consents.rows[pending_id(list_id, email)]
    store.pending_consents.drop(held["id"])
    _give(store, held["resource"], [Wanted(*_EMAIL)], list_id or None, None)


def _is_email(consent: Wanted) -> bool:
    return (consent.channel, consent.kind) == _EMAIL


def _list_id(store: Store, data: Mapping[str, Any]) -> str | None:
    reference = data.get("relationships", {}).get("list", {}).get("data")
    if reference is None:
        return None
    list_id: str = reference["id"]
    if list_id not in store.lists:
        raise not_found(f"List {list_id} does not exist.")
    return list_id


def _checked_rows(
    store: Store, request: Request, *, historical: bool | None
) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, str]]:
    """The rows without phone numbers that are none, and the header that says that there were some.

    Raises:
        Refusal: 400, with a problem for each bad row.
    """
    given = request.body["data"]["attributes"]["profiles"]["data"]
    check_rows(request, given, _ROWS)
    rows: list[Mapping[str, Any]] = []
    headers: dict[str, str] = {}
    problems: list[Problem] = []
    for position, resource in enumerate(given):
        pointer = f"{_ROWS}/{position}"
        try:
            row, dropped = without_bad_phone(_named(resource), f"{pointer}/attributes")
        except Refusal as refusal:
            problems += refusal.problems
            continue
        # What needed the phone number goes with it.
        row = _without_phone_channels(row) if dropped else row
        problem = None if dropped and not wanted(row) else row_problem(store, row, pointer, historical=historical)
        problems += [problem] if problem else []
        rows.append(row)
        headers.update(dropped)
    if problems:
        raise Refusal(problems)
    return rows, headers


def _named(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """Who only has a device is known by the anonymous id that comes with the consent to push messages."""
    push = resource["attributes"]["subscriptions"].get("push") or {}
    return {**resource, "attributes": {**resource["attributes"], ANONYMOUS: push.get("anonymous_id")}}


def _without_phone_channels(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    held = resource["attributes"]["subscriptions"]
    kept = {channel: kinds for channel, kinds in held.items() if NEEDS.get(channel) != "phone_number"}
    return {**resource, "attributes": {**resource["attributes"], "subscriptions": kept}}


def _hold(store: Store, resource: Mapping[str, Any], list_id: str | None) -> None:
    email = resource["attributes"].get("email") or store.profiles.rows[resource["id"]]["email"]
    held = {"list_id": list_id, "email": email.lower(), "since": store.now_text(), "resource": resource}
    store.pending_consents.put({"id": pending_id(list_id, email), **held})


def _written(store: Store, resource: Mapping[str, Any], asked: Sequence[Wanted]) -> tuple[Row, Sequence[Wanted]]:
    """The profile, made when there is none, and the consents that its identifiers allow."""
    names = ("email", "phone_number", ANONYMOUS)
    attributes = {name: resource["attributes"].get(name) for name in names}
    settled = profiles.without_conflicts(store, {"id": resource.get("id"), "attributes": attributes})
    lost = attributes.keys() - settled["attributes"].keys()
    row = profiles.upsert(store, settled, keep_on_null=True).row
    return row, [consent for consent in asked if NEEDS.get(consent.channel) not in lost]


def _give(
    store: Store, resource: Mapping[str, Any], asked: Sequence[Wanted], list_id: str | None, source: str | None
) -> None:
    row, given = _written(store, resource, asked)
    subscriptions = row["subscriptions"]
    for consent in given:
        said = Consent(
            consent.channel,
            consent.kind,
            given=True,
            consented_at=format_datetime(parse_datetime(consent.since)) if consent.since else store.now_text(),
            recorded_at=store.now_text(),
            list_id=list_id,
            source=source,
            phone_number=row.get("phone_number"),
        )
        subscriptions = with_consent(subscriptions, said)
    store.put_profile({**row, "subscriptions": subscriptions})
    if list_id and any(consent.kind == "marketing" for consent in given):
        store.add_to_list(list_id, row["id"])
