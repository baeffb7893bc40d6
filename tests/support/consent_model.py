"""Whom consent reaches after some records: the last word about each address and number counts. Not the code's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Word = dict[tuple[str, str], str]
_GIVES = {"sub": "SUBSCRIBED", "off": "UNSUBSCRIBED"}
_BY = {"email": "email", "sms": "phone_number"}


@dataclass
class Told:
    """What was said.

    Attributes:
        word: identifier and channel -> the last word about it.
        on_list: addresses of those who are on the list.
        empty: how many records say nothing that could be sent.
    """

    word: Word = field(default_factory=dict)
    on_list: set[str] = field(default_factory=set)
    empty: int = 0


def told(records: Iterable[tuple[str, Mapping[str, Any]]], good: Iterable[str]) -> Told:
    """What some records come to, one after the other.

    Args:
        records: "sub" or "off", and the record. One that names a list is about e-mail only, and whoever leaves a list
            keeps all other consent.
        good: identifiers in the form in which the account has them; all others are none.
    """
    known = set(good)
    made = Told()
    for kind, record in records:
        asked = record.get("channels", ["email"])
        channels = asked.lower().replace(";", ",").replace(" ", "").split(",") if isinstance(asked, str) else asked
        named = {channel: str(record.get(_BY[channel]) or "").strip().lower() for channel in channels}
        said = {(name, channel): _GIVES[kind] for channel, name in named.items() if name in known}
        made.empty += not said
        addresses = {name for name, _ in said} if "list_name" in record else set()
        if kind == "off":
            made.on_list -= addresses
        else:
            made.on_list |= addresses
        if kind == "sub" or not addresses:
            made.word.update(said)
    return made
