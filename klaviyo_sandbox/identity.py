"""Who is meant by a profile that is written: which identifiers are sound, and whose they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from klaviyo_sandbox.store import IDENTIFIERS, Store

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
    return bool(profile.get("id") or attributes.get("_kx") or any(attributes.get(name) for name in IDENTIFIERS))


def holders(store: Store, attributes: Mapping[str, Any]) -> list[str]:
    """Ids of the profiles that the identifiers belong to now, each once, in the order of ``IDENTIFIERS``."""
    found = (store.identified_by(name, attributes[name]) for name in IDENTIFIERS if attributes.get(name))
    return list(dict.fromkeys(profile_id for profile_id in found if profile_id is not None))
