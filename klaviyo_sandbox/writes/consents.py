"""Subscribes and unsubscribes profiles. It is done at once; as in Klaviyo, the answer is 202 and there is no job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account import profiles
from klaviyo_sandbox.account.consent import Consent, with_consent, with_list_suppression
from klaviyo_sandbox.account.rows import ANONYMOUS, pending_id
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.errors import Problem, Refusal, invalid
from klaviyo_sandbox.spec.exchange import Answer, Request
from klaviyo_sandbox.spec.times import format_datetime, parse_datetime
from klaviyo_sandbox.writes.bodies import check_rows, without_bad_phone
from klaviyo_sandbox.writes.consent_rules import (
    IDENTIFIER_OF_CHANNEL,
    RequestedConsent,
    requested_consents,
    row_problem,
)

_ROWS = "/data/attributes/profiles/data"
_EMAIL_MARKETING = ("email", "marketing")


def subscribe(store: Store, request: Request) -> Answer:
    """Record consents; with double opt-in, e-mail consent is kept pending until confirmed, unless it is historical."""
    data = request.body["data"]
    attributes = data["attributes"]
    historical = bool(attributes.get("historical_import"))
    rows, headers = _check_rows(store, request, historical=historical)
    list_id = _list_id(store, data)
    opt_in = store.lists.rows[list_id]["opt_in_process"] if list_id else store.default_opt_in
    for resource in rows:
        consents = requested_consents(resource)
        if opt_in == "double_opt_in" and not historical and any(_is_email(consent) for consent in consents):
            _keep_pending(store, resource, list_id, attributes.get("custom_source"))
            consents = [consent for consent in consents if not _is_email(consent)]
            if not consents:
                continue
        _give(store, resource, consents, list_id, attributes.get("custom_source"))
    return Answer(202, headers=headers)


def unsubscribe(store: Store, request: Request) -> Answer:
    """Withdraw consents: e-mail consent from the list only, when the profile is on it; all others from everything."""
    rows, headers = _check_rows(store, request, historical=None)
    list_id = _list_id(store, request.body["data"])
    for resource in rows:
        result, consents = _upsert(store, resource, requested_consents(resource))
        row, now = result.row, store.moment_text()
        subscriptions = row["subscriptions"]
        for consent in consents:
            if list_id and _is_email(consent) and row["id"] in store.list_members[list_id]:
                store.list_members[list_id].drop(row["id"])
                subscriptions = with_list_suppression(subscriptions, list_id, now)
            else:
                withdrawal = Consent(consent.channel, consent.kind, given=False, consented_at=now, recorded_at=now)
                subscriptions = with_consent(subscriptions, withdrawal)
        is_suppression = all(map(_is_email, consents))
        updated = store.updated_by_suppression(result.before) if is_suppression else store.now_text()
        store.put_profile({**row, "subscriptions": subscriptions, "updated": updated})
    return Answer(202, headers=headers)


def waiting(store: Store, email: str, list_id: str | None = None) -> Sequence[Mapping[str, Any]]:
    """The consents of an address, to one list or to all, that wait for their double opt-in."""
    rows = store.pending_consents.rows.values()
    return [row for row in rows if row["email"] == email.lower() and list_id in (None, row["list_id"])]


def confirm(store: Store, pending: Mapping[str, Any]) -> None:
    """Confirm a double opt-in, as by the link in its message."""
    store.pending_consents.drop(pending["id"])
    resource = pending["resource"]
    # The profile may have been deleted or merged meanwhile; the message went to the address.
    known = {"id": resource["id"]} if resource.get("id") in store.profiles else {}
    resource = {**known, "attributes": {**resource["attributes"], "email": pending["email"]}}
    consents = [RequestedConsent(*_EMAIL_MARKETING)]
    _give(store, resource, consents, pending["list_id"], pending.get("source"), confirmed=True)


def _is_email(consent: RequestedConsent) -> bool:
    return (consent.channel, consent.kind) == _EMAIL_MARKETING


def _list_id(store: Store, data: Mapping[str, Any]) -> str | None:
    reference = data.get("relationships", {}).get("list", {}).get("data")
    if reference is None:
        return None
    list_id: str = reference["id"]
    if list_id not in store.lists:
        raise Refusal([invalid(f"List {list_id} does not exist.", "/data/relationships/list/data/id")])
    return list_id


def _check_rows(
    store: Store, request: Request, *, historical: bool | None
) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, str]]:
    """The rows without invalid phone numbers, and the header that says that some were dropped.

    Raises:
        Refusal: 400, with a problem for each bad row.
    """
    resources = request.body["data"]["attributes"]["profiles"]["data"]
    check_rows(request, resources, _ROWS)
    rows: list[Mapping[str, Any]] = []
    headers: dict[str, str] = {}
    problems: list[Problem] = []
    for position, resource in enumerate(resources):
        pointer = f"{_ROWS}/{position}"
        try:
            row, phone_dropped = without_bad_phone(_with_anonymous_id(resource), f"{pointer}/attributes")
        except Refusal as refusal:
            problems += refusal.problems
            continue
        # The consents that need the phone number are dropped with it, and no consent may be left.
        row = _without_phone_channels(row) if phone_dropped else row
        if not phone_dropped or requested_consents(row):
            problem = row_problem(store, row, pointer, historical=historical)
            problems += [problem] if problem else []
        rows.append(row)
        headers.update(phone_dropped)
    if problems:
        raise Refusal(problems)
    return rows, headers


def _with_anonymous_id(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with the anonymous id of its push consent as an identifier, for a profile may have no other."""
    push = resource["attributes"]["subscriptions"].get("push") or {}
    return {**resource, "attributes": {**resource["attributes"], ANONYMOUS: push.get("anonymous_id")}}


def _without_phone_channels(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    subscriptions = {
        channel: kinds
        for channel, kinds in resource["attributes"]["subscriptions"].items()
        if IDENTIFIER_OF_CHANNEL.get(channel) != "phone_number"
    }
    return {**resource, "attributes": {**resource["attributes"], "subscriptions": subscriptions}}


def _keep_pending(store: Store, resource: Mapping[str, Any], list_id: str | None, source: str | None) -> None:
    email = resource["attributes"].get("email") or store.profiles.rows[resource["id"]]["email"]
    asked = {"since": store.now_text(), "resource": resource, "source": source}
    store.pending_consents.put({"id": pending_id(list_id, email), "list_id": list_id, "email": email.lower(), **asked})


def _upsert(
    store: Store, resource: Mapping[str, Any], consents: Sequence[RequestedConsent]
) -> tuple[profiles.UpsertResult, Sequence[RequestedConsent]]:
    """Upsert the profile of a row. Returns what came of it, and the consents whose identifiers it got."""
    names = ("email", "phone_number", ANONYMOUS)
    attributes = {name: resource["attributes"].get(name) for name in names}
    profile = profiles.without_conflicts(store, {"id": resource.get("id"), "attributes": attributes})
    conflicting = attributes.keys() - profile["attributes"].keys()
    result = profiles.upsert(store, profile, keep_on_null=True)
    return result, [consent for consent in consents if IDENTIFIER_OF_CHANNEL.get(consent.channel) not in conflicting]


def _give(
    store: Store,
    resource: Mapping[str, Any],
    consents: Sequence[RequestedConsent],
    list_id: str | None,
    source: str | None,
    *,
    confirmed: bool = False,
) -> None:
    """Upsert the profile of a row, record its consents, and put it on the list when one is for marketing."""
    result, consents = _upsert(store, resource, consents)
    row = result.row
    subscriptions = row["subscriptions"]
    for consent in consents:
        given = Consent(
            consent.channel,
            consent.kind,
            given=True,
            consented_at=format_datetime(parse_datetime(consent.since)) if consent.since else store.moment_text(),
            recorded_at=store.moment_text(),
            list_id=list_id,
            source=source,
            phone_number=row.get("phone_number"),
            confirmed=confirmed,
        )
        subscriptions = with_consent(subscriptions, given)
    store.put_profile({**row, "subscriptions": subscriptions})
    if list_id and any(consent.kind == "marketing" for consent in consents):
        store.add_to_list(list_id, row["id"])
