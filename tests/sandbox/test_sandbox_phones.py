"""Which phone numbers the account takes: those that the numbering plan of their country has room for."""

from __future__ import annotations

import phonenumbers
import pytest
from support.calls import problem

from klaviyo_sandbox.account.identifiers import is_phone
from target_klaviyo.model.identifiers import parse_phone_number
from target_klaviyo.model.records import RejectedRecord

POSSIBLE = (
    *("+442071234567", "+447700900123", "+919123456789", "+393312345678", "+390612345678", "+4915112345678"),
    *("+49301234", "+493012", "+33612345678", "+61412345678", "+2250123456789", "+80012345678", "+12025550142"),
)
IMPOSSIBLE = {
    "+91701271": "a number of a town, without its area",
    "+44030123456": "a zero that is dialled at home, and too few digits after it",
    "+33061234567": "the same in France",
    "+44123456": "a number of a town",
    "+3361234567": "too short for France",
    "+336123456789": "too long for France",
    "+999123456789": "no country",
    "+210123456789": "no country",
    "+1415555010": "too short for North America",
    "+14155550": "too short for North America",
    "+11234567890": "no area of North America begins with 1",
    "442071234567": "no plus sign",
    "+44 20 7123 4567": "spaces",
    "+0612345678": "a zero in place of a country",
}


@pytest.mark.parametrize("number", POSSIBLE)
def test_a_possible_number_is_taken(call, number):
    """Whether it is given out to anybody does not matter."""
    created = call.post("profiles", {"data": {"type": "profile", "attributes": {"phone_number": number}}})
    assert created.status_code == 201
    assert created.json()["data"]["attributes"]["phone_number"] == number


@pytest.mark.parametrize("number", IMPOSSIBLE)
def test_an_impossible_number_is_refused(call, number):
    """Lengths are those that can be dialled from abroad."""
    refused = call.post("profiles", {"data": {"type": "profile", "attributes": {"phone_number": number}}})
    assert problem(refused) == (400, "invalid", {"pointer": "/data/attributes/phone_number"})


def test_every_country_has_numbers_that_are_taken():
    """The example of every region and kind, in E.164 form."""
    kinds = (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
    examples = {
        phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        for region in phonenumbers.SUPPORTED_REGIONS
        for kind in kinds
        if (example := phonenumbers.example_number_for_type(region, kind))
    }
    assert len(examples) > 300
    assert [number for number in examples if not is_phone(number)] == []


def test_what_the_target_sends_is_taken():
    """Cut or lengthened, a number outside +1 that the target finds possible is possible to the account."""
    tried = 0
    for number in (*POSSIBLE, *IMPOSSIBLE):
        for text in (number, number[:-1], number[:-2], number + "1", number + "23"):
            try:
                sent = parse_phone_number(text)
            except RejectedRecord:
                continue
            tried += 1
            # North American numbers are held to more than their length.
            assert is_phone(sent) or sent.startswith("+1"), sent
    assert tried > 30
