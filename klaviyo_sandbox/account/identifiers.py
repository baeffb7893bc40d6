"""Identifiers of profiles that are written: which are valid, and which profiles they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import phonenumbers

from klaviyo_sandbox.account.rows import ANONYMOUS, IDENTIFIERS, normalize_identifier
from klaviyo_sandbox.account.store import Store

_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}"
)
_E164 = re.compile(r"\+[2-9][0-9]{2,14}")
_NORTH_AMERICAN = re.compile(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}")

BAD_EMAIL = "Invalid email address"
BAD_PHONE = "Invalid phone number format (Example of a valid format: +12345678901)"
NO_IDENTIFIER = f"One or more of the identifiers id, {', '.join(IDENTIFIERS)} must be given"


def is_email(text: str) -> bool:
    return _EMAIL.fullmatch(text) is not None


def is_phone(text: str) -> bool:
    """Is it an E.164 number that has a length of its country's numbering plan, as it is dialled from abroad?"""
    if _NORTH_AMERICAN.fullmatch(text):
        return True
    return _E164.fullmatch(text) is not None and _is_possible(text)


def _is_possible(text: str) -> bool:
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return False
    region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    # A zero that is dialled at home only, and that the library keeps where too few digits follow, does not count.
    if phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) == "0" and not phonenumbers.is_valid_number(
        number
    ):
        number.italian_leading_zero = False
    return phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE


def has_identifier(profile: Mapping[str, Any]) -> bool:
    """Does a profile resource ({"id"?, "attributes"}) carry any identifier?"""
    attributes = profile["attributes"]
    return bool(profile.get("id") or any(attributes.get(name) for name in (*IDENTIFIERS, ANONYMOUS, "_kx")))


def owners_of(store: Store, attributes: Mapping[str, Any]) -> list[str]:
    """Ids of the profiles that the identifiers belong to now, each once, in the order of ``IDENTIFIERS``.

    An anonymous id only counts when nothing else says who it is.
    """
    for names in (IDENTIFIERS, (ANONYMOUS,)):
        owners = (store.find_profile_id(name, attributes[name]) for name in names if attributes.get(name))
        known_owners = list(dict.fromkeys(profile_id for profile_id in owners if profile_id is not None))
        if known_owners:
            return known_owners
    return []


class PersonKeys:
    """Keys of the people in one request: the same person has the same key, in the account already or not."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # (name, value) of an identifier -> key of the person who has it.
        self._keys: dict[tuple[str, str], str] = {}

    def key_of(self, profile: Mapping[str, Any]) -> str:
        """The profile's id when the account has it, otherwise a key that any of its identifiers leads to again."""
        attributes = profile["attributes"]
        identifiers = [
            (name, normalize_identifier(name, attributes[name]))
            for name in (*IDENTIFIERS, ANONYMOUS)
            if attributes.get(name)
        ]
        owners = [profile["id"]] if profile.get("id") else owners_of(self._store, attributes)
        key = next(iter(owners), None)
        key = key or next((self._keys[identifier] for identifier in identifiers if identifier in self._keys), None)
        key = key or repr(identifiers)
        for identifier in identifiers:
            self._keys.setdefault(identifier, key)
        return key
