"""A model of consent, independent of the code: the last word about each address and number counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Word = dict[tuple[str, str], str]
_GIVES = {"sub": "SUBSCRIBED", "off": "UNSUBSCRIBED"}
_BY = {"email": "email", "sms": "phone_number"}


@dataclass
class Consent:
    """What some records come to.

    Attributes:
        last_word: identifier and channel -> the last word about it.
        on_list: addresses of those who are on the list.
        empty: how many records say nothing that could be sent.
    """

    last_word: Word = field(default_factory=dict)
    on_list: set[str] = field(default_factory=set)
    empty: int = 0


def expected_consent(records: Iterable[tuple[str, Mapping[str, Any]]], good: Iterable[str]) -> Consent:
    """The consent after some records, one after the other.

    Args:
        records: "sub" or "off", and the record. One that names a list is about e-mail only, and whoever leaves a list
            keeps all other consent.
        good: identifiers in the form in which the account has them; all others are none.
    """
    known = set(good)
    consent = Consent()
    for kind, record in records:
        value = record.get("channels", ["email"])
        channels = value.lower().replace(";", ",").replace(" ", "").split(",") if isinstance(value, str) else value
        named = {channel: str(record.get(_BY[channel]) or "").strip().lower() for channel in channels}
        words = {(name, channel): _GIVES[kind] for channel, name in named.items() if name in known}
        consent.empty += not words
        addresses = {name for name, _ in words} if "list_name" in record else set()
        if kind == "off":
            consent.on_list -= addresses
        else:
            consent.on_list |= addresses
        if kind == "sub" or not addresses:
            consent.last_word.update(words)
    return consent
