"""Consent that is given and withdrawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.calls import REVISION, problem

from klaviyo_sandbox.writes import consents

GIVE, WITHDRAW = "profile-subscription-bulk-create-jobs", "profile-subscription-bulk-delete-jobs"
OCTOBER, CLICKS = "2026-10-15", "email.click_tracking"
ROWS = "/data/attributes/profiles/data"
LONG_AGO = "2024-02-03T04:05:06Z"
EMAIL, PHONE = {"email": "a@example.com"}, {"phone_number": "+12025550142"}


def to_subscriptions(consent, *channels, since=None):
    """``subscriptions`` for channels such as "email" (marketing) or "sms.transactional"."""
    subscriptions = {}
    for name in channels:
        channel, _, kind = name.partition(".")
        dated = {"consented_at": since} if since else {}
        subscriptions.setdefault(channel, {})[kind or "marketing"] = {"consent": consent, **dated}
    return subscriptions


def _revision(channels):
    """The first one that knows these channels."""
    return OCTOBER if CLICKS in channels else REVISION


def job(kind, rows, list_id=None, **more):
    profiles = []
    for row in rows:
        identity = {"id": row["id"]} if "id" in row else {}
        attributes = {name: value for name, value in row.items() if name != "id"}
        profiles.append({"type": "profile", **identity, "attributes": attributes})
    data = {"type": f"profile-subscription-bulk-{kind}-job", "attributes": {"profiles": {"data": profiles}, **more}}
    if list_id:
        data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
    return {"data": data}


@pytest.fixture
def give(call):
    """Subscribes rows to channels; the answer."""

    def give(*rows, to=("email",), since=None, list_id=None, **more):
        full = [{"subscriptions": to_subscriptions("SUBSCRIBED", *to, since=since), **row} for row in rows]
        return call.post(GIVE, job("create", full, list_id, **more), revision=_revision(to))

    return give


@pytest.fixture
def withdraw(call):
    """Unsubscribes rows from channels; the answer."""

    def withdraw(*rows, of=("email",), list_id=None):
        full = [{"subscriptions": to_subscriptions("UNSUBSCRIBED", *of), **row} for row in rows]
        return call.post(WITHDRAW, job("delete", full, list_id), revision=_revision(of))

    return withdraw


@pytest.fixture
def subscriptions_of(call):
    """The subscriptions of whom a filter finds, None when there is nobody."""

    def subscriptions_of(**identifier):
        ((name, value),) = identifier.items()
        query = {"filter": f'equals({name},"{value}")', "additional_fields__profile": "subscriptions"}
        rows = call.get("profiles", **query).json()["data"]
        return rows[0]["attributes"]["subscriptions"] if rows else None

    return subscriptions_of


def new_list(call, process="single_opt_in"):
    attributes = {"name": "Ours", "opt_in_process": process}
    return call.post("lists", {"data": {"type": "list", "attributes": attributes}}).json()["data"]["id"]


def members(call, list_id):
    return {row["attributes"]["email"] for row in call.rows(f"lists/{list_id}/profiles")}


def test_consent_makes_a_profile_and_puts_it_on_the_list(call, give, subscriptions_of):
    """A 202 without a body; the consent is shown with its source, and its time is now."""
    list_id = new_list(call)
    answer = give({**EMAIL, **PHONE}, to=("email", "sms"), list_id=list_id, custom_source="Till")
    assert (answer.status_code, answer.content) == (202, b"")
    subscriptions = subscriptions_of(email="a@example.com")
    marketing = subscriptions["email"]["marketing"]
    assert (marketing["consent"], marketing["can_receive_email_marketing"]) == ("SUBSCRIBED", True)
    assert marketing["custom_method_detail"] == "Till"
    assert marketing["consent_timestamp"] > "2026-06-01"
    assert (
        subscriptions["sms"]["marketing"]["consent"],
        subscriptions["sms"]["marketing"]["can_receive_sms_marketing"],
    ) == (
        "SUBSCRIBED",
        True,
    )
    assert members(call, list_id) == {"a@example.com"}


@pytest.mark.parametrize(
    "channel",
    ["email", "email.open_tracking", CLICKS, "sms", "sms.transactional", "whatsapp", "whatsapp.transactional", "push"],
)
def test_every_channel_is_shown(give, subscriptions_of, channel):
    """Each channel and kind of message has its own consent, and the others stay as they were."""
    assert give({**EMAIL, **PHONE}, to=(channel,)).status_code == 202
    place, _, kind = channel.partition(".")
    subscriptions = subscriptions_of(email="a@example.com")
    assert subscriptions["mobile_push" if place == "push" else place][kind or "marketing"]["consent"] == "SUBSCRIBED"
    if channel != "email":
        assert subscriptions["email"]["marketing"]["consent"] == "NEVER_SUBSCRIBED"


@pytest.mark.parametrize("channel", ["email", "sms", "sms.transactional", "whatsapp", "email.open_tracking", CLICKS])
def test_consent_is_withdrawn_for_everything_without_a_list(give, withdraw, subscriptions_of, channel):
    """A channel that was consented to is unsubscribed; e-mail is suppressed too."""
    give({**EMAIL, **PHONE}, to=(channel,))
    answer = withdraw({**EMAIL, **PHONE}, of=(channel,))
    assert (answer.status_code, answer.content) == (202, b"")
    place, _, kind = channel.partition(".")
    subscriptions = subscriptions_of(email="a@example.com")[place][kind or "marketing"]
    assert subscriptions["consent"] == "UNSUBSCRIBED"
    if channel == "email":
        assert [entry["reason"] for entry in subscriptions["suppression"]] == ["UNSUBSCRIBE"]
        assert subscriptions["can_receive_email_marketing"] is False


@pytest.mark.parametrize(
    ("path", "kind", "state"), [(GIVE, "create", "SUBSCRIBED"), (WITHDRAW, "delete", "UNSUBSCRIBED")]
)
def test_consent_to_clicks_is_a_channel_of_a_revision(call, path, kind, state):
    """The one before does not declare it; when it was given cannot be said, also of consent that is historical."""
    row = {**EMAIL, "subscriptions": to_subscriptions(state, CLICKS)}
    assert call.post(path, job(kind, [row])).status_code == 400
    assert call.post(path, job(kind, [row]), revision=OCTOBER).status_code == 202
    if kind == "create":
        assert call.post(path, job(kind, [row], historical_import=True), revision=OCTOBER).status_code == 202


def test_who_is_unknown_is_made_and_unsubscribed(withdraw, subscriptions_of):
    """Nobody needs to have been there to be unsubscribed."""
    assert withdraw(EMAIL).status_code == 202
    assert subscriptions_of(email="a@example.com")["email"]["marketing"]["consent"] == "UNSUBSCRIBED"


def test_a_list_only_protects_who_is_on_it(call, give, withdraw, subscriptions_of):
    """Members lose the list and keep their consent; people who are not on the list lose everything."""
    list_id = new_list(call)
    give(EMAIL, list_id=list_id)
    give({"email": "b@example.com"})
    assert withdraw(EMAIL, {"email": "b@example.com"}, list_id=list_id).status_code == 202
    member, other = (subscriptions_of(email=f"{name}@example.com")["email"]["marketing"] for name in "ab")
    assert (member["consent"], member["suppression"], other["consent"]) == ("SUBSCRIBED", [], "UNSUBSCRIBED")
    assert [(entry["list_id"], entry["reason"]) for entry in member["list_suppressions"]] == [(list_id, "UNSUBSCRIBE")]
    assert members(call, list_id) == set()
    give(EMAIL, list_id=list_id)
    assert subscriptions_of(email="a@example.com")["email"]["marketing"]["list_suppressions"] == []


def test_consent_lifts_suppressions_that_people_chose(give, subscriptions_of, writing):
    """Unsubscribing, complaints and suppression by hand are lifted; an address that bounces stays suppressed."""
    reasons = ("UNSUBSCRIBE", "SPAM_COMPLAINT", "USER_SUPPRESSED", "HARD_BOUNCE")
    give(EMAIL)
    store = writing.store
    row = store.profiles.rows[store.find_profile_id("email", "a@example.com")]
    marketing = {**row["subscriptions"]["email"]["marketing"], "consent": "UNSUBSCRIBED"}
    marketing["suppression"] = [{"reason": reason, "timestamp": row["created"]} for reason in reasons]
    with store.lock:
        store.put_profile({**row, "subscriptions": {**row["subscriptions"], "email": {"marketing": marketing}}})
    give(EMAIL)
    subscriptions = subscriptions_of(email="a@example.com")["email"]["marketing"]
    assert [entry["reason"] for entry in subscriptions["suppression"]] == ["HARD_BOUNCE"]
    assert (subscriptions["consent"], subscriptions["can_receive_email_marketing"]) == ("SUBSCRIBED", False)


def test_a_double_opt_in_leaves_consent_pending(call, give, subscriptions_of, writing):
    """Nothing is consented to and nobody is on the list, or even made, before the message is confirmed."""
    list_id = new_list(call, "double_opt_in")
    assert give(EMAIL, list_id=list_id).status_code == 202
    assert subscriptions_of(email="a@example.com") is None
    assert list(writing.store.pending_consents.rows) == [f"{list_id}/a@example.com"]
    with writing.store.lock:
        consents.confirm(writing.store, *consents.waiting(writing.store, "A@example.com", list_id))
    assert subscriptions_of(email="a@example.com")["email"]["marketing"]["consent"] == "SUBSCRIBED"
    assert members(call, list_id) == {"a@example.com"}
    assert writing.store.pending_consents.rows == {}


def test_a_double_opt_in_is_for_email_only(call, give, subscriptions_of, writing):
    """Consent to text messages in the same row counts at once."""
    list_id = new_list(call, "double_opt_in")
    give({**EMAIL, **PHONE}, to=("email", "sms"), list_id=list_id)
    subscriptions = subscriptions_of(email="a@example.com")
    assert (subscriptions["email"]["marketing"]["consent"], subscriptions["sms"]["marketing"]["consent"]) == (
        "NEVER_SUBSCRIBED",
        "SUBSCRIBED",
    )
    assert list(writing.store.pending_consents.rows) == [f"{list_id}/a@example.com"]


def test_without_a_list_the_account_decides(give, subscriptions_of, writing):
    """The opt-in of the account holds when no list is given."""
    writing.store.default_opt_in = "double_opt_in"
    give(EMAIL)
    assert subscriptions_of(email="a@example.com") is None
    assert list(writing.store.pending_consents.rows) == ["/a@example.com"]


def test_a_historical_import_needs_no_confirmation(call, give, subscriptions_of):
    """Consent of long ago counts at once, with its own time, also on a list with a double opt-in."""
    list_id = new_list(call, "double_opt_in")
    assert give(EMAIL, since=LONG_AGO, list_id=list_id, historical_import=True).status_code == 202
    assert (
        subscriptions_of(email="a@example.com")["email"]["marketing"]["consent_timestamp"]
        == "2024-02-03T04:05:06+00:00"
    )
    assert members(call, list_id) == {"a@example.com"}


@pytest.mark.parametrize(
    ("historical", "since"),
    [
        (False, LONG_AGO),
        (True, None),
        pytest.param(True, (datetime.now(UTC) + timedelta(days=1)).isoformat(), id="True-tomorrow"),
        (True, "long ago"),
        (True, "0001-01-01T00:00:00+14:00"),
    ],
)
def test_when_consent_may_have_a_time(give, subscriptions_of, historical, since):
    """`consented_at` goes with `historical_import`, never without, and lies in the past; else nothing is done."""
    refused = give({"email": "good@example.com"}, EMAIL, since=since, historical_import=historical)
    assert refused.status_code == 400
    places = [error["source"]["pointer"] for error in refused.json()["errors"]]
    assert places == [f"{ROWS}/{n}/attributes/subscriptions/email/marketing/consented_at" for n in (0, 1)]
    assert subscriptions_of(email="good@example.com") is None


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ({}, "/attributes"),
        ({"email": "bad"}, "/attributes/email"),
        ({"phone_number": "12"}, "/attributes/phone_number"),
        (PHONE, "/attributes/email"),
        ({"id": "01NOBODY", **EMAIL}, "/id"),
        ({**EMAIL, "subscriptions": {}}, "/attributes/subscriptions"),
        ({**EMAIL, "age_gated_date_of_birth": "1990-02-30"}, "/attributes/age_gated_date_of_birth"),
        ({**EMAIL, "age_gated_date_of_birth": "1990-W01-1"}, "/attributes/age_gated_date_of_birth"),
        ({**EMAIL, "age_gated_date_of_birth": ""}, "/attributes/age_gated_date_of_birth"),
        ({**EMAIL, "age_gated_date_of_birth": "2999-01-01"}, "/attributes/age_gated_date_of_birth"),
        (
            {**EMAIL, "subscriptions": to_subscriptions("UNSUBSCRIBED", "email")},
            "/attributes/subscriptions/email/marketing/consent",
        ),
    ],
)
def test_one_bad_row_refuses_the_whole_request(give, subscriptions_of, row, place):
    """A row that names nobody, or nobody on the channel, is pointed at, and the good one is not subscribed either."""
    refused = give({"email": "good@example.com"}, row)
    assert problem(refused) == (400, "invalid", {"pointer": f"{ROWS}/1{place}"})
    assert subscriptions_of(email="good@example.com") is None


def test_rows_to_unsubscribe_are_checked_too(withdraw):
    """Withdrawing wants sound identifiers and a channel, and takes no profile id."""
    assert problem(withdraw({"email": "bad"}))[2] == {"pointer": f"{ROWS}/0/attributes/email"}
    assert problem(withdraw(EMAIL, of=("sms",)))[2] == {"pointer": f"{ROWS}/0/attributes/phone_number"}
    assert problem(withdraw({"id": "01NOBODY", **EMAIL}))[2] == {"pointer": f"{ROWS}/0/id"}


@pytest.mark.parametrize("way", ["give", "withdraw"])
def test_a_bad_phone_number_is_dropped_beside_an_address(request, subscriptions_of, way):
    """The address is dealt with, consent that needs the number is not, and a header says so."""
    answer = request.getfixturevalue(way)(
        {**EMAIL, "phone_number": "12"}, **{"to" if way == "give" else "of": ("email", "sms")}
    )
    assert (answer.status_code, answer.headers["X-Klaviyo-Partial-Failure"]) == (202, "phone_number")
    subscriptions = subscriptions_of(email="a@example.com")
    assert subscriptions["email"]["marketing"]["consent"] == ("SUBSCRIBED" if way == "give" else "UNSUBSCRIBED")
    assert subscriptions["sms"]["marketing"]["consent"] == "NEVER_SUBSCRIBED"


def test_an_unknown_list_is_bad_input(give, withdraw):
    """The whole request is a 400 that points at the list."""
    for answer in (give(EMAIL, list_id="NOPE00"), withdraw(EMAIL, list_id="NOPE00")):
        assert problem(answer) == (400, "invalid", {"pointer": "/data/relationships/list/data/id"})
        assert "NOPE00" in answer.json()["errors"][0]["detail"]


def test_how_many_rows_a_request_may_have(give, withdraw):
    """A thousand to subscribe, a hundred to unsubscribe, and at least one."""
    rows = [{"email": f"{n}@example.com"} for n in range(1001)]
    for answer in (give(*rows), give(), withdraw(*rows[:101]), withdraw()):
        assert problem(answer) == (400, "invalid", {"pointer": ROWS})
    assert give(*rows[:1000]).status_code == 202
    assert withdraw(*rows[:100]).status_code == 202


def test_age_gates_and_regions_can_be_switched_on(give, writing):
    """An account with an age gate wants the date of birth, and one without a number for a region refuses it."""
    place = f"{ROWS}/0/attributes/age_gated_date_of_birth"
    writing.store.age_gate = 21
    assert problem(give(PHONE, to=("sms",)))[2] == {"pointer": place}
    assert problem(give({**PHONE, "age_gated_date_of_birth": "2020-01-01"}, to=("sms",)))[2] == {"pointer": place}
    grown = {**PHONE, "age_gated_date_of_birth": "1990-01-01"}
    assert give(grown, to=("sms",)).status_code == 202
    assert give(EMAIL).status_code == 202
    writing.store.sms_prefixes = ("+44",)
    assert problem(give(grown, to=("sms",)))[2] == {"pointer": f"{ROWS}/0/attributes/phone_number"}


def test_a_profile_may_be_named_by_its_id(call, give, subscriptions_of, writing):
    """The id says who it is, and the address that the profile has is enough for e-mail."""
    profile_id = next(row["id"] for row in writing.store.profiles.rows.values() if row["email"])
    address = writing.store.profiles.rows[profile_id]["email"]
    assert give({"id": profile_id}).status_code == 202
    assert subscriptions_of(email=address)["email"]["marketing"]["consent"] == "SUBSCRIBED"


def test_a_device_can_be_subscribed_alone(give, writing):
    """Push messages need no address: an anonymous id is enough."""
    push = {"push": {"marketing": {"consent": "SUBSCRIBED"}, "anonymous_id": "device-1"}}
    assert give({"subscriptions": push}).status_code == 202
    row = writing.store.profiles.rows[writing.store.find_profile_id("anonymous_id", "device-1")]
    assert row["subscriptions"]["mobile_push"]["marketing"]["consent"] == "SUBSCRIBED"


def test_consent_stays_with_the_identifier_that_gave_it(give, subscriptions_of):
    """A number that is somebody else's gives no consent to text messages here."""
    give(PHONE, to=("sms.transactional",))
    give(EMAIL)
    assert give({**EMAIL, **PHONE}, to=("email", "sms")).status_code == 202
    for who in ({"email": "a@example.com"}, {"phone_number": "+12025550142"}):
        assert subscriptions_of(**who)["sms"]["marketing"]["consent"] == "NEVER_SUBSCRIBED", who
