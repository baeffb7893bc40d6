"""Who is meant by a profile that is written: which identifiers are sound, and whose they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from klaviyo_sandbox.account.rows import ANONYMOUS, IDENTIFIERS
from klaviyo_sandbox.account.store import Store

_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}"
)
_E164 = re.compile(r"\+[2-9]\d{6,14}|\+1[2-9]\d{2}[2-9]\d{6}")

BAD_EMAIL = "Invalid email address"
BAD_PHONE = "Invalid phone number format (Example of a valid format: +12345678901)"
NOBODY = f"One or more of the identifiers id, {', '.join(IDENTIFIERS)} must be given"


def is_email(text: str) -> bool:
    return _EMAIL.fullmatch(text) is not None


def is_phone(text: str) -> bool:
    """Is it an E.164 number? Numbers of the North American plan are held to its ten digits."""
    return _E164.fullmatch(text) is not None


def names_someone(profile: Mapping[str, Any]) -> bool:
    """Does a profile resource ({"id"?, "attributes"}) carry any identifier?"""
    attributes = profile["attributes"]
    return bool(profile.get("id") or any(attributes.get(name) for name in (*IDENTIFIERS, ANONYMOUS, "_kx")))


def holders(store: Store, attributes: Mapping[str, Any]) -> list[str]:
    """Ids of the profiles that the identifiers belong to now, each once, in the order of ``IDENTIFIERS``.

    An anonymous id only counts when nothing else says who it is.
    """
    for names in (IDENTIFIERS, (ANONYMOUS,)):
        found = (store.find_profile_id(name, attributes[name]) for name in names if attributes.get(name))
        known = list(dict.fromkeys(profile_id for profile_id in found if profile_id is not None))
        if known:
            return known
    return []


class People:
    """Who in one request is the same person, whether the account knows them yet or not."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tokens: dict[tuple[str, str], str] = {}

    def token(self, profile: Mapping[str, Any]) -> str:
        """The id of a profile that is known, otherwise something of its own that the same identifiers lead to again."""
        attributes = profile["attributes"]
        names = [
            (name, attributes[name].lower() if name == "email" else attributes[name])
            for name in (*IDENTIFIERS, ANONYMOUS)
            if attributes.get(name)
        ]
        known = [profile["id"]] if profile.get("id") else holders(self._store, attributes)
        found = next(iter(known), None) or next((self._tokens[name] for name in names if name in self._tokens), None)
        token = found or repr(names)
        for name in names:
            self._tokens.setdefault(name, token)
        return token
