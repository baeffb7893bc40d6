"""Identifiers of people in records: e-mail, phone number, external id, Klaviyo id, and how two are compared. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from typing import Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from klaviyo_client.api.json_text import LOST_TEXT
from klaviyo_client.errors import SettingsError
from target_klaviyo.model.records import IDENTIFIER_LEFT_OUT, Context, Note, Record, RejectedRecord
from target_klaviyo.model.texts import is_blank, parse_id, to_text

# The identifiers that are attributes of a profile, and with Klaviyo's id all; the strongest first.
ATTRIBUTE_IDENTIFIERS = ("email", "phone_number", "external_id")
IDENTIFIERS = ("id", *ATTRIBUTE_IDENTIFIERS)
# Those of a visitor whom nobody may know yet: only events have them.
VISITOR_IDENTIFIERS = ("anonymous_id", "_kx")
_ALL = (*IDENTIFIERS, *VISITOR_IDENTIFIERS)
# One identifier of a profile in a form that can be compared: its name, and its value.
Identifier = tuple[str, str]


def parse_email(text: str) -> str:
    """The address without surrounding space; its case stays as it came.

    Raises:
        RejectedRecord: it is no e-mail address.
    """
    address = text.strip()
    name, at_sign, domain = address.rpartition("@")
    # Nearly all names are this plain, and people share domains: then there is nothing to ask the library again.
    is_plain = at_sign and len(address) <= _SHORT and _PLAIN.fullmatch(name)
    fault = _email_fault(f"a@{domain}") if is_plain else _email_fault(address)
    if fault is not None:
        raise RejectedRecord("invalid_email", f"email {fault}", pointer="/email")
    return address


# What RFC 5321 lets a name and an address have, with some to spare; RFC 5322's dot-atom.
_SHORT = 64
_PLAIN = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")


@functools.lru_cache(maxsize=4096)
def _email_fault(address: str) -> str | None:
    """What is wrong with an address."""
    try:
        # The test environment allows the reserved domain `.test`, which is where rehearsals happen.
        validated = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return "is not an e-mail address"
    return None if "." in validated.domain else "has no top-level domain"


def parse_phone_number(text: str, region: str | None = None) -> str:
    """The number in E.164 form.

    ``region`` (ISO 3166 alpha-2) is for a number without a country code.

    Raises:
        RejectedRecord: it is no phone number, or a local one, or the country is missing.
    """
    text = text.strip()
    # Whether a number in E.164 form is a possible one depends on its country and its length alone.
    if _E164.fullmatch(text) and _is_possible_e164(text[:6], len(text)):
        return text
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        no_country = error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE
        reason = f"phone_number is not a phone number{_MISSING_COUNTRY.get(region, '') if no_country else ''}"
        raise RejectedRecord("invalid_phone", reason, pointer="/phone_number") from error
    # Possible, not valid: the tables of given-out numbers age, and Klaviyo points at what it refuses.
    if number.extension or not _is_possible(number):
        raise RejectedRecord("invalid_phone", "phone_number is not a possible phone number", pointer="/phone_number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


# A country is named that nobody knows: a region that no number is of.
UNKNOWN_REGION = "ZZ"
# Region -> what is missing where a number has no country code.
_MISSING_COUNTRY = {
    None: ": it has no country code, and neither country_code nor default_region names a country",
    UNKNOWN_REGION: ": it has no country code, and country_code must be an ISO 3166 code of two letters, such as DE, "
    "or a calling code",
}


def _is_possible(number: phonenumbers.PhoneNumber, *, is_whole: bool = True) -> bool:
    """Whether a number can be dialled from everywhere. ``is_whole``: all its digits are known."""
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return False
    if not number.italian_leading_zero:
        return True
    # A zero that is dialled before the number at home is no part of it. The library leaves it where the rest would be
    # too short, which then is a number of a town without its area.
    region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    trunk_prefix = phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True)
    return trunk_prefix != "0" or (is_whole and phonenumbers.is_valid_number(number))


_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@functools.lru_cache(maxsize=65536)
def _is_possible_e164(start: str, length: int) -> bool:
    """Whether numbers of this length that start like this are possible, and stay as they are in E.164 form."""
    sample = start.ljust(length, "2")
    try:
        number = phonenumbers.parse(sample)
    except phonenumbers.NumberParseException:
        return False
    same = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) == sample
    return same and _is_possible(number, is_whole=False)


def checked_region(text: str | None) -> str | None:
    """An ISO 3166 alpha-2 code in capitals, or None.

    Raises:
        SettingsError: there is no such region.
    """
    region = (text or "").strip().upper() or None
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        raise SettingsError("default_region must be a country's ISO 3166 code of two letters, such as US or DE")
    return region


def parse_region(value: object) -> str | None:
    """The ISO 3166 alpha-2 code of a country that a record names so, or by its calling code; None where it names none.

    Raises:
        ValueError: there is no such country.
    """
    if is_blank(value):
        return None
    text = str(to_text(value)).strip().upper()
    region = _REGION_NAMES.get(text, text)
    if re.fullmatch(r"\+?[0-9]{1,3}", text):
        region = phonenumbers.region_code_for_country_code(int(text))
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("it is not a country's code")
    return region


# What is written for a code of ISO 3166 everywhere.
_REGION_NAMES = {"UK": "GB"}


def normalize_identifiers(
    fields: Record, region: str | None = None, accepted: Collection[str] = IDENTIFIERS
) -> tuple[dict[str, Any], dict[str, RejectedRecord]]:
    """(the fields with their identifiers in the form that Klaviyo takes, identifier -> what is wrong with it).

    Identifiers that are blank, null or wrong are not among the fields; whether a wrong one matters, its action says.

    Args:
        fields: as the mapping made them.
        region: ISO 3166 alpha-2 of phone numbers without a country code.
        accepted: the identifiers that would do, for the reason.

    Raises:
        RejectedRecord: there is no identifier, not even a wrong one.
    """
    normalized = dict(fields)
    faults: dict[str, RejectedRecord] = {}
    for name in _ALL:
        value = normalized.pop(name, None)
        if value is None or (value := parse_id(value)) is None:
            continue
        try:
            normalized[name] = _parse_identifier(name, value, region)
        except RejectedRecord as fault:
            faults[name] = fault
    if not faults and not any(name in normalized for name in _ALL):
        raise RejectedRecord("no_identifier", f"the record has no {_in_words(accepted)}")
    return normalized, faults


# Klaviyo's bound of an external id.
_MAX_EXTERNAL_ID = 255


def _parse_identifier(name: str, value: Any, region: str | None) -> str:
    if not isinstance(value, str):
        raise RejectedRecord("invalid_field", f"{name} must be a text", pointer=f"/{name}")
    refuse_lost_text(name, value)
    if name == "email":
        return parse_email(value)
    if name == "phone_number":
        return parse_phone_number(value, region)
    text = value.strip()
    if name == "external_id" and len(text) > _MAX_EXTERNAL_ID:
        reason = f"{name} must have {_MAX_EXTERNAL_ID} characters at most"
        raise RejectedRecord("invalid_field", reason, pointer=f"/{name}")
    return text


def refuse_lost_text(name: str, value: Any) -> None:
    """Refuse a field that tells one person, event or list from others where a part of its text is lost.

    Raises:
        RejectedRecord: it would be taken for that of another.
    """
    texts = value if isinstance(value, list) else [value]
    if any(isinstance(text, str) and LOST_TEXT in text for text in texts):
        reason = f"{name} has half a surrogate pair, bytes that are not UTF-8, or U+FFFD, the mark of lost text"
        raise RejectedRecord("lost_text", reason, pointer=f"/{name}")


def _in_words(names: Collection[str]) -> str:
    ordered = [name for name in (*ATTRIBUTE_IDENTIFIERS, *VISITOR_IDENTIFIERS, "id") if name in names]
    *most, last = ["(mapped) id" if name == "id" else name for name in ordered]
    return f"{', '.join(most)} or {last}" if most else last


def require_valid_identifiers(
    fields: Record, faults: Mapping[str, RejectedRecord], context: Context
) -> tuple[Record, Note | None]:
    """The fields as they are, for actions that send all identifiers: one that is wrong is left out beside a good one.

    Raises:
        RejectedRecord: one is wrong, and there is no good one, or a bad value is to reject the record.
    """
    can_do_without = context.drops_bad_values and any(name in fields for name in _ALL)
    for fault in faults.values():
        # What is lost of a text may be all that tells two people's records apart.
        if not can_do_without or fault.code == "lost_text":
            raise fault
    return fields, note_left_out(faults)


def note_left_out(faults: Mapping[str, RejectedRecord]) -> Note | None:
    """The note on identifiers that are wrong and were not needed."""
    if not faults:
        return None
    first, *others = faults
    reason = f"{', '.join(faults)} cannot be used and was left out ({faults[first].reason})"
    return Note(IDENTIFIER_LEFT_OUT, f"/{first}", reason, tuple(f"/{name}" for name in others))


# A dict is recognised at once where it is named, and not by asking what a Mapping is.
_MAPPINGS = (dict, Mapping)


def identifiers_of(resource: Record) -> dict[str, str]:
    """The identifiers of a profile resource in a form that can be compared, the strongest first.

    Takes Klaviyo's resource, or bare attributes: import errors repeat either.
    """
    attributes = resource.get("attributes")
    source: Mapping[str, Any] = attributes if isinstance(attributes, _MAPPINGS) else resource
    values = {name: resource.get("id") if name == "id" else source.get(name) for name in _ALL}
    return {name: _comparable(name, str(value)) for name, value in values.items() if value}


def _comparable(name: str, value: str) -> str:
    # Not folded: `strauß@` and `strauss@` are two people's, and Klaviyo writes addresses in small letters only.
    return value.strip().lower() if name == "email" else value.strip()
