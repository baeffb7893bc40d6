"""Headers that say by sight which field a column is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from klaviyo_audience.entry import Wishes, find_column, sort_columns
from klaviyo_audience.headers import HEADERS, Recognised, fold_header, split_name
from klaviyo_audience.words import describe_doubts
from klaviyo_client.errors import SettingsError
from target_klaviyo.intake import contracts
from target_klaviyo.intake.mapping_compiler import compile_mapper


def recognised(*columns: str, action: str = "list_members", **wishes: object) -> Recognised:
    return sort_columns(columns, Wishes(action, **wishes)).recognised  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("E-Mail", "email"),
        ("Email Address", "email"),
        ("EMAIL_ADDRESS", "email"),
        ("Phone", "phone_number"),
        ("Mobile", "phone_number"),
        ("Phone Number", "phone_number"),
        ("First Name", "first_name"),
        ("firstName", "first_name"),
        ("Given name", "first_name"),
        ("Surname", "last_name"),
        ("City", "location.city"),
        ("Town", "location.city"),
        ("Postcode", "location.zip"),
        ("ZIP / Postal Code", "location.zip"),
        ("State", "location.region"),
        ("Country", "location.country"),
        ("Company", "organization"),
        ("Job title", "title"),
    ],
)
def test_usual_headers_are_recognised(header: str, field: str) -> None:
    """In any case, and with or without spaces and punctuation."""
    assert recognised(header).mapping == {field: header}


@pytest.mark.parametrize("header", ["Birthday", "Email opt-in", "Phone model", "City of birth", "Emails sent", "Name"])
def test_nothing_like_them_is(header: str) -> None:
    """Never fuzzy: a header that only resembles one is a custom property, and keeps its spelling."""
    columns = sort_columns([header], Wishes("list_members"))
    assert (columns.recognised.mapping, columns.properties) == ({}, [header])


def test_every_header_of_the_list_means_one_field_of_a_person() -> None:
    """The written list has no header twice, and no field that there is not."""
    known = compile_mapper(contracts.load("list_members").schema, {}, keeps_unknown=True)
    folded = [fold_header(header) for headers in HEADERS.values() for header in headers]
    assert sorted(folded) == sorted(set(folded))
    assert [field for field in HEADERS if tuple(field.split(".")) not in known.types] == []


def test_of_two_columns_of_one_field_the_first_has_it_and_the_other_is_told() -> None:
    """A column that carries the field's own name goes first; the other is a custom property, never dropped."""
    columns = sort_columns(["Phone", "Mobile", "E-Mail", "email"], Wishes("list_members"))
    assert columns.recognised.mapping == {"email": "email", "phone_number": "Phone"}
    assert columns.recognised.seconds == [("Mobile", "phone_number", "Phone"), ("E-Mail", "email", "email")]
    assert columns.properties == ["Mobile", "E-Mail"]
    other = recognised("Phone", "Mobile", chosen={"phone_number": "Mobile"})
    assert other.mapping == {"phone_number": "Mobile"}
    assert other.seconds == [("Phone", "phone_number", "Mobile")]


def test_it_can_be_switched_off() -> None:
    """Then only the fields' own names count, which the target knows, and what the user says."""
    columns = sort_columns(["Mobile", "email"], Wishes("list_members", by_sight=False))
    assert (columns.recognised.mapping, columns.properties) == ({}, ["Mobile"])
    spelled = sort_columns(["E-Mail", "Surname"], Wishes("list_members", by_sight=False))
    assert (spelled.recognised.fields, spelled.properties) == ({"email": "E-Mail"}, ["Surname"])


def test_fields_that_the_action_does_not_have_are_left_to_it() -> None:
    """Whoever is unsubscribed needs no city."""
    columns = sort_columns(["E-Mail", "City"], Wishes("unsubscribe"))
    assert columns.recognised.mapping == {"email": "E-Mail"}
    assert (columns.properties, columns.left_out) == ([], ["City"])


def test_what_is_never_sent_is_told() -> None:
    """Columns of an export from Klaviyo that only Klaviyo sets."""
    columns = sort_columns(["E-Mail", "created", "Code"], Wishes("list_members"))
    assert (columns.properties, columns.left_out) == (["Code"], ["created"])
    assert "Never sent: created" in describe_doubts(columns, {}, {})


def test_a_column_is_found_in_whatever_spelling() -> None:
    """Somebody who types a column need not hit its case; one that there is not is told with the nearest."""
    assert find_column("last order", ["Last Order"], "--types") == "Last Order"
    with pytest.raises(SettingsError, match="did you mean Mobile"):
        find_column("Mobil", ["Mobile", "E-Mail"], "--map")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Ada Moss", ("Ada", "Moss")),
        ("Ludwig van Beethoven", ("Ludwig", "van Beethoven")),
        ("Moss, Ada", ("Ada", "Moss")),
        ("Ada", ("Ada", None)),
        (" ", (None, None)),
    ],
)
def test_a_full_name_is_split(name: str, parts: Sequence[str | None]) -> None:
    """Behind the first word, or at the comma."""
    assert split_name(name) == parts


def test_a_column_of_full_names_is_told() -> None:
    """It stays a custom property until somebody asks for it to be split."""
    assert recognised("Name", "E-Mail").names == ["Name"]
    assert recognised("Name", "First Name").names == []
    mapping: Mapping[str, str] = recognised("first_name", "last_name").mapping
    assert mapping == {"first_name": "first_name", "last_name": "last_name"}
