"""E-mail, phone, external id: one verdict."""

from __future__ import annotations

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_client.errors import SettingsError
from target_klaviyo.model import identifiers
from target_klaviyo.model.records import RejectedRecord


@pytest.mark.parametrize("text", ["ada@example.com", " Ada.Lovelace+x@Example.COM ", "ada@shop.test"])
def test_email_addresses_are_trimmed_and_otherwise_kept(text: str) -> None:
    """Reserved domains are fine for rehearsals, and the case is the user's."""
    assert identifiers.parse_email(text) == text.strip()


@pytest.mark.parametrize(
    "text", ["ada", "ada@", "@example.com", "a b@example.com", "ada@example", "ada@test", "a@b@c.de"]
)
def test_what_is_no_email_address_is_refused(text: str) -> None:
    """One bad address would sink the request of ten thousand."""
    with pytest.raises(RejectedRecord) as caught:
        identifiers.parse_email(text)
    assert caught.value.code == "invalid_email"
    assert text not in caught.value.reason


@pytest.mark.parametrize(
    ("text", "region"), [("+1 (415) 555-0100", None), ("415 555 0100", "US"), ("0014155550100", "DE")]
)
def test_phone_numbers_become_e164(text: str, region: str | None) -> None:
    """However a number is written, Klaviyo gets E.164."""
    assert identifiers.parse_phone_number(text, region) == "+14155550100"


@pytest.mark.parametrize("text", ["12", "call me", "+1415", "+14155550100 ext 5", ""])
def test_what_is_no_phone_number_is_refused(text: str) -> None:
    """A wrong number is rejected with its own code before anything is sent."""
    with pytest.raises(RejectedRecord) as caught:
        identifiers.parse_phone_number(text, "US")
    assert caught.value.code == "invalid_phone"


def test_a_national_number_without_region_says_which_setting_is_missing() -> None:
    """The reason names default_region."""
    with pytest.raises(RejectedRecord, match="default_region"):
        identifiers.parse_phone_number("415 555 0100")


@pytest.mark.parametrize(
    ("text", "region"),
    [
        *[("701271", "IN"), ("555-0104", "US"), ("030 123456", "GB"), ("0301 234 56", "FR"), ("+44030123456", None)],
        *[("+15550104", None), ("+44 (0)30 123456", None), ("555 0104", "CA")],
    ],
)
def test_a_local_number_is_no_phone_number(text: str, region: str | None) -> None:
    """Without its area it is dialled within a town only; with a country code before it, it is another's."""
    with pytest.raises(RejectedRecord) as caught:
        identifiers.parse_phone_number(text, region)
    assert caught.value.code == "invalid_phone"


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        *[("06 1234 5678", "IT", "+390612345678"), ("030 123456", "DE", "+4930123456")],
        *[("01 23 45 67 89", "CI", None), ("8 800 555-35-35", "RU", "+78005553535")],
    ],
)
def test_a_zero_that_belongs_to_a_number_stays(text: str, region: str, expected: str | None) -> None:
    """Italy's numbers begin with one; elsewhere it is dialled before them."""
    assert identifiers.parse_phone_number(text, region) == (expected or "+2250123456789")


@pytest.mark.parametrize(
    ("text", "region"),
    [("de", "DE"), (" DE ", "DE"), ("UK", "GB"), ("49", "DE"), ("+1", "US"), (44, "GB"), ("", None), (None, None)],
)
def test_countries_are_codes_of_two_letters_or_calling_codes(text: object, region: str | None) -> None:
    """As shops have them."""
    assert identifiers.parse_region(text) == region


@pytest.mark.parametrize("text", ["XX", "Germany", "999", "0", True, [], "D\u00c9"])
def test_what_is_no_country_names_none(text: object) -> None:
    """It is not taken for another."""
    with pytest.raises(ValueError, match="country"):
        identifiers.parse_region(text)


def test_a_region_that_does_not_exist_is_a_wrong_setting() -> None:
    """Lower case is understood; another code is refused when the run starts."""
    assert identifiers.checked_region("us") == "US"
    with pytest.raises(SettingsError, match="default_region"):
        identifiers.checked_region("XX")


def test_blank_identifiers_are_none() -> None:
    """An empty column, as CSV files have, is not a wrong e-mail address."""
    assert identifiers.normalize_identifiers({"email": " ", "external_id": " 7 "}) == ({"external_id": "7"}, {})
    with pytest.raises(RejectedRecord) as caught:
        identifiers.normalize_identifiers({"email": "", "first_name": "Ada"})
    assert caught.value.code == "no_identifier"


@given(st.text())
def test_any_text_is_an_address_or_an_unfit_one(text: str) -> None:
    """No input makes the e-mail check fail in another way, and what passes once passes again."""
    try:
        address = identifiers.parse_email(text)
    except RejectedRecord:
        return
    assert identifiers.parse_email(address) == address


@given(st.text(alphabet="+0123456789 ()-.x", max_size=20), st.sampled_from([None, "US", "DE"]))
def test_a_number_in_e164_stays_itself(text: str, region: str | None) -> None:
    """Normalising twice is normalising once, whatever the region."""
    try:
        number = identifiers.parse_phone_number(text, region)
    except RejectedRecord:
        return
    assert identifiers.parse_phone_number(number) == number


@given(st.from_regex(r"\+[1-9][0-9]{5,15}", fullmatch=True))
def test_remembered_forms_say_what_the_library_says(text: str) -> None:
    """Numbers in E.164 form are judged by country and length; asking the library for each gives the same."""
    try:
        number = phonenumbers.parse(text)
        reason = phonenumbers.is_possible_number_with_reason(number)
        has_trunk_zero = (
            number.italian_leading_zero
            and phonenumbers.ndd_prefix_for_region(
                phonenumbers.region_code_for_country_code(number.country_code), strip_non_digits=True
            )
            == "0"
        )
        possible = reason == phonenumbers.ValidationResult.IS_POSSIBLE and (
            not has_trunk_zero or phonenumbers.is_valid_number(number)
        )
        expected = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if possible else None
    except phonenumbers.NumberParseException:
        expected = None
    try:
        assert identifiers.parse_phone_number(text) == expected
    except RejectedRecord:
        assert expected is None


@given(st.from_regex(r"[A-Za-z0-9._+-]{1,70}@(example\.com|exämple\.de|localhost|a\.b-c\.test)", fullmatch=True))
def test_remembered_domains_say_what_the_library_says(text: str) -> None:
    """An address with a plain name is judged by its domain; asking the library for each gives the same."""
    try:
        validated = validate_email(text, check_deliverability=False, test_environment=True)
        expected = "." in validated.domain
    except EmailNotValidError:
        expected = False
    try:
        assert identifiers.parse_email(text) == text
        assert expected
    except RejectedRecord:
        assert not expected
