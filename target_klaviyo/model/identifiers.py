"""Who a record is about: e-mail, phone number, external id, Klaviyo id, and one verdict. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from typing import Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from klaviyo_client.errors import SettingsError
from target_klaviyo.model.records import Record, Unfit

# The strongest first.
IDENTIFIERS = ("id", "email", "phone_number", "external_id")
# One identifier of a profile in a form that can be compared: its name, and its value.
Identifier = tuple[str, str]


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


def identified(
    fields: Record, region: str | None = None, takes: Collection[str] = IDENTIFIERS
) -> tuple[dict[str, Any], dict[str, Unfit]]:
    """(the fields with their identifiers in the form that Klaviyo takes, identifier -> what is wrong with it).

    Identifiers that are blank, null or wrong are not among the fields; whether a wrong one matters, its action says.

    Args:
        fields: as the mapping made them.
        region: ISO 3166 alpha-2 of phone numbers without a country code.
        takes: the identifiers that would do, for the reason.

    Raises:
        Unfit: there is no identifier, not even a wrong one.
    """
    made = dict(fields)
    faults: dict[str, Unfit] = {}
    for name in IDENTIFIERS:
        value = made.pop(name, "")
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        try:
            made[name] = _identifier(name, value, region)
        except Unfit as unfit:
            faults[name] = unfit
    if not faults and not any(name in made for name in IDENTIFIERS):
        raise Unfit("no_identifier", f"the record has no {_listed(takes)}")
    return made, faults


# Klaviyo's bound of an external id.
_LONGEST = 255


def _identifier(name: str, value: Any, region: str | None) -> str:
    if not isinstance(value, str):
        raise Unfit("invalid_field", f"{name} must be a text", pointer=f"/{name}")
    if name == "email":
        return email(value)
    if name == "phone_number":
        return phone_number(value, region)
    text = value.strip()
    if name == "external_id" and len(text) > _LONGEST:
        raise Unfit("invalid_field", f"{name} must have {_LONGEST} characters at most", pointer=f"/{name}")
    return text


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
    # Not folded: `strauß@` and `strauss@` are two people's, and Klaviyo writes addresses in small letters only.
    return value.strip().lower() if name == "email" else value.strip()
