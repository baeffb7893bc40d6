"""The `streams` setting."""

from __future__ import annotations

from typing import Any

import pytest

from klaviyo_client.api.operations import operation
from klaviyo_client.errors import SettingsError
from target_klaviyo.intake.route_settings import check_columns, parse_routes, unknown_stream
from target_klaviyo.model.records import ListRef, RejectedRecord, SourceRecord


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"action": "upsert"}, r"streams\.vip\.action must be one of upsert_profile, "),
        ({}, r"streams\.vip\.action is missing"),
        ("upsert_profile", r"streams\.vip must be an object"),
        ({"action": "upsert_profile", "maping": {}}, r"streams\.vip\.maping is unknown: did you mean mapping"),
        ({"action": "upsert_profile", "zzz": 1}, r"streams\.vip\.zzz is unknown; there are"),
        ({"action": "upsert_profile", "mapping": {"emial": "e"}}, r"streams\.vip\.mapping\.emial is no field"),
        ({"action": "upsert_profile", "mapping": {"email": 3}}, r"streams\.vip\.mapping\.email must be a path"),
        ({"action": "upsert_profile", "mapping": []}, None),
        ({"action": "upsert_profile", "mapping": ["email"]}, r"streams\.vip\.mapping must be an object"),
        ({"action": "upsert_profile", "unknown_columns": "keep"}, r"streams\.vip\.unknown_columns must be one of"),
        ({"action": "list_members", "list": 3}, r"streams\.vip\.list must be"),
        ({"action": "list_members", "list": "VIP", "create_list": "perhaps"}, r"streams\.vip\.create_list must be"),
    ],
)
def test_a_wrong_entry_is_named_with_its_stream_and_key(entry: Any, said: str | None) -> None:
    """Whoever made the typo sees where it is."""
    if said is None:
        parse_routes({"vip": entry}, None)
        return
    with pytest.raises(SettingsError, match=said):
        parse_routes({"vip": entry}, None)


def test_a_stream_that_nothing_is_said_about_shows_the_line_to_add() -> None:
    """The error for an unmapped stream can be copied into the settings."""
    assert '"streams": {"public-vip": {"action": "upsert_profile"}}' in str(unknown_stream("public-vip"))


def test_a_stream_that_no_copy_takes_is_to_be_deselected() -> None:
    """That comes first: a table of the tap is not made something to push by an action that does not fit it."""
    said = str(unknown_stream("profile_email_suppressions"))
    assert "takes profiles, events, list_profiles only" in said
    assert said.index("deselect it in the tap") < said.index("upsert_profile")


def test_two_streams_take_their_action_by_name() -> None:
    """profiles and list_members need no setting, and an entry for them may add options only."""
    routes = parse_routes({"profiles": {"unknown_columns": "drop"}}, None)
    assert routes["profiles"].action.name == "upsert_profile"
    assert not routes["profiles"].mapper.keeps_unknown
    assert routes["list_members"].action.name == "list_members"


def test_list_members_without_any_list_is_refused_at_the_schema() -> None:
    """Before a single record came it is clear that none could be sent."""
    routes = parse_routes({"vip": {"action": "list_members"}}, None)
    with pytest.raises(SettingsError, match=r"streams\.vip\.list is missing"):
        check_columns("vip", routes["vip"], ["email"])
    assert check_columns("vip", routes["vip"], ["email", "list_name"]) == []


def test_a_mapping_that_reads_a_missing_column_is_a_warning() -> None:
    """The SCHEMA may be looser than the records, so it is said and not refused."""
    routes = parse_routes(
        {"vip": {"action": "upsert_profile", "mapping": {"email": "e_mail", "title": "job.title"}}}, None
    )
    assert check_columns("vip", routes["vip"], ["email", "job"]) == [
        "streams.vip.mapping reads e_mail, and the stream has no such column"
    ]


def test_the_records_own_list_goes_before_the_setting() -> None:
    """A record may carry its list by id or name."""
    route = parse_routes({"vip": {"action": "list_members", "list": "VIP", "create_list": True}}, None)["vip"]
    record = {"email": "ada@example.com"}
    assert route.row(SourceRecord("vip", record), record)[1].list == ListRef("VIP", "VIP", create=True, configured=True)
    record = {"email": "ada@example.com", "list_name": "Own"}
    assert route.row(SourceRecord("vip", record), record)[1].list == ListRef(name="Own", create=True)


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"external_id": "x" * 256}, "invalid_field"),
        ({"email": "ada@example.com", "first_name": ["Ada"]}, "invalid_field"),
        ({"email": 3, "external_id": "1"}, "invalid_email"),
        ({"email": "ada"}, "invalid_email"),
        ({"first_name": "Ada"}, "no_identifier"),
        ({"email": "ada@example.com"}, "no_list"),
    ],
)
def test_a_record_that_cannot_be_sent_has_a_code(record: dict[str, Any], code: str) -> None:
    """Everything that Klaviyo would refuse a whole request for is found before."""
    with pytest.raises(RejectedRecord) as caught:
        parse_routes({"list_members": {"on_bad_value": "reject"}}, None)["list_members"].row(
            SourceRecord("list_members", record), record
        )
    assert caught.value.code == code


def test_a_record_over_the_vendors_limit_is_rejected_with_the_limit() -> None:
    """The number comes from the specification."""
    limit = operation("bulk_import_profiles").max_item_bytes
    assert limit
    record = {"email": "ada@example.com", "bio": "x" * limit}
    with pytest.raises(RejectedRecord, match=f"{limit:,}"):
        parse_routes({}, None)["profiles"].row(SourceRecord("profiles", record), record)


def test_options_take_the_words_that_fields_take() -> None:
    """Orchestrators hand on texts: yes and no by closed lists, channels in one text."""
    off = parse_routes(
        {"s": {"action": "unsubscribe", "channels": "Email, sms", "global_unless_member": " No "}}, None
    )["s"]
    assert (off.options["channels"], off.options["global_unless_member"]) == (["email", "sms"], False)
    for word in ("False", "0", "off", "FALSE"):
        with pytest.raises(SettingsError, match="allow_deletion must be true"):
            parse_routes({"s": {"action": "delete_profile", "allow_deletion": word}}, None)
    for name, value in (("channels", "email,fax"), ("channels", ""), ("global_unless_member", "ja")):
        with pytest.raises(SettingsError, match=rf"streams\.s\.{name} must be"):
            parse_routes({"s": {"action": "unsubscribe", name: value}}, None)


def phone_of(record: dict[str, Any], region: str | None = "US", **entry: Any) -> str:
    """What becomes of a record's phone number."""
    route = parse_routes({"s": {"action": "upsert_profile", **entry}}, region)["s"]
    try:
        return str(route.row(SourceRecord("s", record), record)[1].payload["attributes"]["phone_number"])
    except RejectedRecord as rejection:
        return rejection.code


def test_the_country_of_a_number_comes_from_the_record_then_the_stream_then_the_setting() -> None:
    """The nearest counts; a country that nobody knows is not taken for another, and blank is none."""
    london, new_york = "020 7946 0958", "(212) 555-0104"
    assert phone_of({"phone_number": new_york}) == "+12125550104"
    assert phone_of({"phone_number": london}, default_region="gb") == "+442079460958"
    assert phone_of({"phone_number": london, "country_code": "GB"}) == "+442079460958"
    assert phone_of({"phone_number": london, "COUNTRY_CODE": 44}) == "+442079460958"
    mapping = {"country_code": "shop.country"}
    assert phone_of({"phone_number": london, "shop": {"country": "uk"}}, mapping=mapping) == "+442079460958"
    assert phone_of({"phone_number": new_york, "country_code": "US"}, "GB", default_region="GB") == "+12125550104"
    assert phone_of({"phone_number": new_york, "country_code": " "}) == "+12125550104"
    assert phone_of({"phone_number": new_york, "country_code": None}, nulls="clear") == "+12125550104"
    assert phone_of({"phone_number": new_york, "country_code": "XX"}) == "invalid_phone"
    assert phone_of({"phone_number": "+442079460958", "country_code": "XX"}) == "+442079460958"


def test_the_column_of_the_country_stays_a_custom_property() -> None:
    """It was one before it was read; a mapped one is the mapping's, as ever."""
    route = parse_routes({"s": {"action": "upsert_profile"}}, None)["s"]
    record = {"phone_number": "020 7946 0958", "country_code": "GB"}
    attributes = route.row(SourceRecord("s", record), record)[1].payload["attributes"]
    assert attributes == {"phone_number": "+442079460958", "properties": {"country_code": "GB"}}


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe", "track_event", "list_members", "identify", "track"])
def test_every_action_reads_it(action: str) -> None:
    """Wherever a phone number goes."""
    record = {
        "phone_number": "020 7946 0958",
        "email": "ada@example.com",
        "land": "GB",
        "metric": "Waved",
        "list_id": "L",
    }
    channels = {"channels": ["sms"]} if "subscribe" in action else {}
    entry = {"action": action, "mapping": {"country_code": "land"}, **channels}
    route = parse_routes({"s": entry}, None)["s"]
    assert b"+442079460958" in route.row(SourceRecord("s", record), record)[1].body


LOCAL, LONDON = "020 7946 0958", "+442079460958"


@pytest.mark.parametrize(
    ("action", "record"),
    [
        ("track", {"event": "Met", "customer_properties": {"$phone_number": LOCAL, "country_code": "GB"}}),
        ("track", {"event": "Met", "customer_properties": {"$phone_number": LOCAL, "COUNTRY_CODE": 44}}),
        ("track", {"event": "Met", "$phone_number": LOCAL, "customer_properties": {"$country": "GB"}}),
        ("track", {"event": "Met", "PHONE_NUMBER": LOCAL, "CUSTOMER_PROPERTIES": '{"COUNTRY": "gb"}'}),
        ("track_event", {"metric": "Met", "profile": {"phone_number": LOCAL, "country_code": "GB"}}),
        ("track_event", {"metric": "Met", "profile": {"phone_number": LOCAL, "location": {"country": "GB"}}}),
        ("track_event", {"metric": "Met", "phone_number": LOCAL, "profile": {"country": "uk"}}),
        ("track_event", {"metric": "Met", "phone_number": LOCAL, "profile_location_country": "GB"}),
        ("upsert_profile", {"phone_number": LOCAL, "location": {"country": "GB"}}),
        ("upsert_profile", {"phone_number": LOCAL, "location_country": " gb "}),
        ("upsert_profile", {"phone_number": LOCAL, "properties": {"country_code": "GB"}}),
        ("upsert_profile", {"phone_number": LOCAL, "location": {"country": "US"}, "country_code": 44.0}),
        ("upsert_profile", {"phone_number": LOCAL, "location": {"country": "US"}, "Country Code": "GB"}),
        ("identify", {"phone_number": LOCAL, "country": "GB"}),
        ("identify", {"$phone_number": LOCAL, "properties": {"country": "GB"}}),
        ("update_profile", {"email": "ada@example.com", "phone_number": LOCAL, "country": "GB"}),
        ("list_members", {"phone_number": LOCAL, "list_id": "L", "location_country": "GB"}),
        ("order_completed", {"order_id": 1, "phone_number": LOCAL, "profile": {"country_code": "GB"}}),
    ],
)
def test_the_country_of_a_number_may_stand_with_the_person(action: str, record: dict[str, Any]) -> None:
    """In the object that is of the person, or as the country that they live in; before the setting."""
    route = parse_routes({"s": {"action": action}}, "US")["s"]
    payload = route.row(SourceRecord("s", record), record)[1].payload
    assert (payload.get("profile") or payload)["attributes"]["phone_number"] == LONDON
    assert route.identifiers_in(record)["phone_number"] == LONDON


@pytest.mark.parametrize("country", ["Germany", "GBR", "", None, "XX", 7, "12"])
def test_a_country_in_words_is_no_region(country: Any) -> None:
    """Where somebody lives is written in many ways: what is no ISO 3166 code of two letters says nothing here."""
    assert phone_of({"phone_number": "(212) 555-0104", "location_country": country}) == "+12125550104"


@pytest.mark.parametrize("where", ["country_code", "properties", "mapping"])
@pytest.mark.parametrize("country", ["GBR", "USA", "XX", "Germany", 999, 1.5, ["GB"], True])
def test_a_country_code_of_another_kind_says_what_it_must_be(country: Any, where: str) -> None:
    """A code of three letters, for one; no other country is taken in its place."""
    record = {"phone_number": LOCAL, where: {"country_code": country} if where == "properties" else country}
    entry = {"mapping": {"country_code": "mapping"}} if where == "mapping" else {}
    route = parse_routes({"s": {"action": "upsert_profile", **entry}}, "US")["s"]
    with pytest.raises(
        RejectedRecord, match="country_code must be an ISO 3166 code of two letters, such as DE"
    ) as caught:
        route.row(SourceRecord("s", record), record)
    assert caught.value.code == "invalid_phone"
    assert phone_of({**record, "phone_number": LONDON}, **entry) == LONDON


@pytest.mark.parametrize("region", ["XX", 7, "Germany"])
def test_a_streams_region_that_does_not_exist_is_a_wrong_setting(region: Any) -> None:
    """The error names the stream."""
    with pytest.raises(SettingsError, match=r"streams\.s\.default_region must be"):
        parse_routes({"s": {"action": "upsert_profile", "default_region": region}}, None)
