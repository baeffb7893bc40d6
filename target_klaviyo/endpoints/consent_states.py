"""Consent as a table has it: of each row some channels are subscribed and others unsubscribed, in requests of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import BatchKey, Row, UnitOutcome
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.delivery.consent_order import Subject, Verdict
from target_klaviyo.delivery.requests import rejoin, single
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import consent
from target_klaviyo.endpoints.consent import IDENTIFIER_OF_CHANNEL
from target_klaviyo.model.identifiers import identifiers_of
from target_klaviyo.model.records import Note, Outcome, OutcomeKind

SUBSCRIBED, UNSUBSCRIBED = "SUBSCRIBED", "UNSUBSCRIBED"
# Left out and not rejected: a replay of rejects, which knows nothing of the withdrawal, would subscribe the person.
_OUTCOMES = {
    Verdict.IS_OLDER: Outcome(
        OutcomeKind.LEFT_OUT,
        None,
        "superseded",
        None,
        "a later record of this run decides this consent",
    ),
    Verdict.IS_UNCLEAR: Outcome(
        OutcomeKind.LEFT_OUT,
        None,
        "consent_disagrees",
        None,
        "another record of this run withdraws this consent, and without consented_at their order is unknown",
    ),
}


class ConsentKey(NamedTuple):
    """The batch key of a row: what rows have in common that may go together, whoever they are about.

    Attributes:
        said_at: seconds since 1970; None where the record has no time.
        states: the channels and what is asked for them, so that rows of one person that differ keep their order.
    """

    custom_source: str | None
    is_historical: bool
    is_global: bool
    said_at: float | None
    states: tuple[tuple[str, str], ...]

    @property
    def withdraws(self) -> bool:
        """Whether any consent is withdrawn."""
        return any(state == UNSUBSCRIBED for _, state in self.states)


def deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Unsubscribe, then subscribe, the rows' people, as far as no other row of the run says something later.

    Raises:
        SettingsError: a list that the settings name cannot be found.
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    settled: list[UnitOutcome] = []
    withdrawn: list[Row] = []
    given: dict[Row, Row] = {}
    pieces: dict[Row, list[Row]] = {}
    for row in rows:
        pieces[row] = []
        for (state, verdict), kinds in _judge(session, row).items():
            piece = _piece(row, state, kinds)
            pieces[row].append(piece)
            if verdict is not Verdict.COUNTS:
                settled.append((single(piece), _OUTCOMES[verdict]))
            elif state == UNSUBSCRIBED:
                withdrawn.append(piece)
            else:
                given[piece] = row
    sent = chain(consent.unsubscribe(session, withdrawn), _subscribe(session, given))
    yield from rejoin(pieces, chain(settled, sent), lambda _row, outcomes: _join(outcomes))


def _judge(session: Session, row: Row) -> dict[tuple[str, Verdict], list[tuple[str, str]]]:
    """(state, whether it counts) -> the channels and kinds of consent that it is of."""
    said_at = _key(row).said_at
    judges = {SUBSCRIBED: session.consent_order.judge_given, UNSUBSCRIBED: session.consent_order.judge_withdrawn}
    judged: dict[tuple[str, Verdict], list[tuple[str, str]]] = {}
    for channel, kinds in row.payload["attributes"]["subscriptions"].items():
        for kind, subscription in kinds.items():
            state = subscription["consent"]
            verdict = judges[state](_subject(row, channel, kind), said_at)
            judged.setdefault((state, verdict), []).append((channel, kind))
    return judged


def _subject(row: Row, channel: str, kind: str) -> Subject:
    identifier = identifiers_of(row.payload)[IDENTIFIER_OF_CHANNEL[channel]]
    return identifier, f"{channel}.{kind}", row.list


def _piece(row: Row, state: str, kinds: Sequence[tuple[str, str]]) -> Row:
    """The part of a row that one request takes, with the identifiers that it needs, for the action that sends it."""
    attributes, key = row.payload["attributes"], _key(row)
    subscriptions: dict[str, dict[str, Any]] = {}
    for channel, kind in kinds:
        subscriptions.setdefault(channel, {})[kind] = attributes["subscriptions"][channel][kind]
    needed = {IDENTIFIER_OF_CHANNEL[channel] for channel in subscriptions}
    left_out = {*IDENTIFIER_OF_CHANNEL.values()} - needed
    if state == UNSUBSCRIBED:
        left_out |= attributes.keys() - needed
    kept = {name: value for name, value in attributes.items() if name not in left_out}
    payload = {**row.payload, "attributes": {**kept, "subscriptions": subscriptions}}
    withdrawing: BatchKey = (consent.GLOBAL,) if key.is_global else ()
    batch_key = withdrawing if state == UNSUBSCRIBED else (key.custom_source, key.is_historical)
    return replace(row, payload=payload, body=encode_json(payload), batch_key=batch_key)


def _subscribe(session: Session, given: Mapping[Row, Row]) -> Iterator[UnitOutcome]:
    """Subscribe the pieces; those that Klaviyo takes are remembered. ``given``: piece -> its row."""
    for unit, outcome in consent.subscribe(session, list(given)):
        for piece in unit.rows if outcome.kind is not OutcomeKind.REJECTED else ():
            for channel, kinds in piece.payload["attributes"]["subscriptions"].items():
                for kind in kinds:
                    session.consent_order.add_given(_subject(piece, channel, kind), _key(given[piece]).said_at)
        yield unit, outcome


def _join(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a row: the worst of what was sent of it, with notes on what was not."""
    sent = [outcome for outcome in outcomes if outcome.kind is not OutcomeKind.LEFT_OUT]
    not_sent = [outcome for outcome in _OUTCOMES.values() if outcome in outcomes]
    if not sent:
        return not_sent[-1]
    notes = tuple(Note(outcome.code or "", "/status", outcome.reason or "") for outcome in not_sent)
    return responses.with_notes(responses.worst_outcome(sent), notes)


def _key(row: Row) -> ConsentKey:
    key = row.batch_key
    if not isinstance(key, ConsentKey):
        raise TypeError("a row of the action consent has a batch key of its own")
    return key
