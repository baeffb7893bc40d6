"""Who a record is about: e-mail, phone number, external id, Klaviyo id, and one verdict. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from typing import Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from klaviyo_client.errors import SettingsError
from target_klaviyo.model import Record, Unfit

# The strongest first: two rows that differ in it are about two people, whatever weaker ones they share.
IDENTIFIERS = ("id", "email", "phone_number", "external_id")


def email(text: str) -> str:
    """The address without surrounding space; its case stays as it came.

    Raises:
        Unfit: it is no e-mail address.
    """
    address = text.strip()
    name, at, domain = address.rpartition("@")
    # Nearly all names are this plain, and people share domains: then there is nothing to ask the library again.
    fault = _fault(f"a@{domain}") if at and len(address) <= _SHORT and _PLAIN.fullmatch(name) else _fault(address)
    if fault is not None:
        raise Unfit("invalid_email", f"email {fault}", pointer="/email")
    return address


# What RFC 5321 lets a name and an address have, with some to spare; RFC 5322's dot-atom.
_SHORT = 64
_PLAIN = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")


@functools.lru_cache(maxsize=4096)
def _fault(address: str) -> str | None:
    """What is wrong with an address."""
    try:
        # The test environment allows the reserved domain `.test`, which is where rehearsals happen.
        found = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return "is not an e-mail address"
    return None if "." in found.domain else "has no top-level domain"


def phone_number(text: str, region: str | None = None) -> str:
    """The number in E.164 form.

    ``region`` (ISO 3166 alpha-2) is for a number without a country code.

    Raises:
        Unfit: it is no phone number, or the country is missing.
    """
    text = text.strip()
    # Whether a number in E.164 form is a possible one depends on its country and its length alone.
    if _E164.fullmatch(text) and _is_form(text[:6], len(text)):
        return text
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        lost = error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE
        advice = ": it has no country code, and default_region is not set" if lost and not region else ""
        raise Unfit("invalid_phone", f"phone_number is not a phone number{advice}", pointer="/phone_number") from error
    # Possible, not valid: the tables of given-out numbers age, and Klaviyo points at what it refuses.
    if number.extension or not phonenumbers.is_possible_number(number):
        raise Unfit("invalid_phone", "phone_number is not a possible phone number", pointer="/phone_number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@functools.lru_cache(maxsize=65536)
def _is_form(start: str, length: int) -> bool:
    """Whether numbers of this length that start like this are possible, and stay as they are in E.164 form."""
    sample = start.ljust(length, "2")
    try:
        number = phonenumbers.parse(sample)
    except phonenumbers.NumberParseException:
        return False
    same = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) == sample
    return same and bool(phonenumbers.is_possible_number(number))


def checked_region(text: str | None) -> str | None:
    """An ISO 3166 alpha-2 code in capitals, or None.

    Raises:
        SettingsError: there is no such region.
    """
    region = (text or "").strip().upper() or None
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        raise SettingsError("default_region must be a country's ISO 3166 code of two letters, such as US or DE")
    return region


def identified(fields: Record, region: str | None = None, takes: Collection[str] = IDENTIFIERS) -> dict[str, Any]:
    """The fields with their identifiers in the form that Klaviyo takes; blank ones and nulls are left out.

    Args:
        fields: as the mapping made them.
        region: ISO 3166 alpha-2 of phone numbers without a country code.
        takes: the identifiers that would do, for the reason.

    Raises:
        Unfit: an identifier is wrong, or there is none.
    """
    made = dict(fields)
    for name in IDENTIFIERS:
        value = made.get(name, "")
        if value is None or (isinstance(value, str) and not value.strip()):
            made.pop(name, None)
    if not any(name in made for name in IDENTIFIERS):
        raise Unfit("no_identifier", f"the record has no {_listed(takes)}")
    for name in ("id", "external_id"):
        if isinstance(made.get(name), str):
            made[name] = made[name].strip()
    if isinstance(made.get("email"), str):
        made["email"] = email(made["email"])
    if isinstance(made.get("phone_number"), str):
        made["phone_number"] = phone_number(made["phone_number"], region)
    return made


def _listed(names: Collection[str]) -> str:
    ordered = [name for name in (*IDENTIFIERS[1:], "id") if name in names]
    *most, last = ["(mapped) id" if name == "id" else name for name in ordered]
    return f"{', '.join(most)} or {last}" if most else last


# A dict is recognised at once where it is named, and not by asking what a Mapping is.
_MAPPINGS = (dict, Mapping)


def handles(resource: Record) -> dict[str, str]:
    """The identifiers of a profile resource in a form that can be compared, the strongest first.

    Takes Klaviyo's resource, or bare attributes: import errors repeat either.
    """
    attributes = resource.get("attributes")
    source: Mapping[str, Any] = attributes if isinstance(attributes, _MAPPINGS) else resource
    found = {name: resource.get("id") if name == "id" else source.get(name) for name in IDENTIFIERS}
    return {name: _comparable(name, str(value)) for name, value in found.items() if value}


def _comparable(name: str, value: str) -> str:
    return value.strip().casefold() if name == "email" else value.strip()


def same_person(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two sets of handles agree in the strongest identifier that both have."""
    for name in IDENTIFIERS:
        if name in one and name in other:
            return one[name] == other[name]
    return False
