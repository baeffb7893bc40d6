"""What years leave in some profiles: people who came back, left twice, or never gave an address. Pure, without chance.

Every third profile has one of these histories, in turn. Its moments are quarters of the time from the creation of the
profile to the end of the account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from klaviyo_sandbox.account.profiles import no_subscriptions
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import with_microseconds
from klaviyo_sandbox.spec.times import format_datetime

_EVERY = 3
_TO_NEWSLETTER, _FROM_NEWSLETTER = (
    (f"{change} List", {"List": "Newsletter"}) for change in ("Subscribed to", "Unsubscribed from")
)
# What `$consent` says, as forms and imports have written it: a list, a text, or nothing.
_CONSENTS: tuple[list[str] | str, ...] = (["email"], "email", ["email", "sms"], "email, sms", ["sms", "web"], [])


@dataclass(frozen=True)
class Person:
    """A profile as it was drawn; its address and number, also where it was drawn without; the ids of all lists."""

    row: Row
    email: str
    phone_number: str | None
    list_ids: Sequence[str]
    end: datetime

    def after(self, quarters: int) -> str:
        return format_datetime(moment(self.row, quarters, self.end))


@dataclass(frozen=True)
class History:
    """What became of a profile.

    Attributes:
        change: the profile after it.
        events: (metric, properties that are certain, quarter) of what happened.
        is_member: whether the profile ends on the first list; None where that is left to chance.
        needs_phone: can only be told of somebody with a phone number.
    """

    change: Callable[[Person], Row]
    events: tuple[tuple[str, Mapping[str, Any], int], ...] = ()
    is_member: bool | None = None
    needs_phone: bool = False


def history_of(number: int) -> History | None:
    """The history of the profile with this number; None for most."""
    turn, position = divmod(number, _EVERY)
    return None if position else _HISTORIES[turn % len(_HISTORIES)]


def with_history(person: Person, number: int) -> Row:
    """The profile with this number after its history, if it has one, and with ``$consent`` where it says it."""
    history = history_of(number)
    row = person.row
    if history is not None and (person.phone_number or not history.needs_phone):
        row = history.change(person)
    if number % 4 == 1:
        row = {**row, "properties": {**row["properties"], "$consent": _CONSENTS[number // 4 % len(_CONSENTS)]}}
    return row


def address(number: int) -> str:
    """An e-mail address for a profile that was drawn without one."""
    return f"person{number:06d}@example.com"


def moment(row: Row, quarters: int, end: datetime) -> datetime:
    """A whole second between the creation of a profile and the end."""
    created = datetime.fromisoformat(row["created"])
    return (created + (end - created) * quarters / 4).replace(microsecond=0)


def _email_marketing(person: Person, **changes: Any) -> dict[str, Any]:
    """The profile, with its address and these changes of what it says of marketing by e-mail."""
    subscribed = {
        "can_receive_email_marketing": True,
        "consent": "SUBSCRIBED",
        "consent_timestamp": person.after(1),
        "last_updated": person.after(3),
        "method": "PREFERENCE_PAGE",
        "method_detail": "Preference page",
        "double_optin": False,
        "suppression": [],
        "list_suppressions": [],
    }
    subscriptions = person.row["subscriptions"]
    marketing = {**subscriptions["email"]["marketing"], **subscribed, **changes}
    return {
        **person.row,
        "email": person.email,
        "subscriptions": {**subscriptions, "email": {**subscriptions["email"], "marketing": marketing}},
    }


def _resubscribed(person: Person) -> Row:
    """Unsubscribed everywhere after one quarter, subscribed again after three."""
    return _email_marketing(person, consent_timestamp=person.after(3))


def _left_list(person: Person) -> Row:
    """Unsubscribed from the first list, and is on it no more; may be written to all the same."""
    return _email_marketing(person, list_suppressions=[_unsubscribed(person, 2)])


def _left_twice(person: Person) -> Row:
    """Unsubscribed from the first list, joined it again, and unsubscribed again: Klaviyo keeps both, in no order."""
    return _email_marketing(person, list_suppressions=[_unsubscribed(person, 3), _unsubscribed(person, 1)])


def _unsubscribed(person: Person, quarters: int) -> dict[str, Any]:
    timestamp = format_datetime(with_microseconds(moment(person.row, quarters, person.end)))
    return {"list_id": person.list_ids[0], "reason": "UNSUBSCRIBE", "timestamp": timestamp}


def _by_kiosk(person: Person) -> Row:
    """Subscribed by an app that says how in its own words."""
    row = _email_marketing(person, method="API", custom_method_detail="Kiosk, 2. Etage", double_optin=True)
    return {**row, "location": {**row["location"], "address2": "2. Etage"}}


def _texts_only(person: Person) -> Row:
    """Never subscribed to e-mail, and subscribed to text messages."""
    never = no_subscriptions()
    sms = {**never["sms"], "marketing": _sms(person, "marketing", 2)}
    subscriptions = {**person.row["subscriptions"], "email": never["email"], "sms": sms}
    return {**person.row, "email": person.email, "phone_number": person.phone_number, "subscriptions": subscriptions}


def _no_more_texts(person: Person) -> Row:
    """Unsubscribed from marketing by text message, and still takes those about orders."""
    sms = {"marketing": _sms(person, "marketing", 3, "UNSUBSCRIBED"), "transactional": _sms(person, "transactional", 1)}
    return {
        **person.row,
        "phone_number": person.phone_number,
        "subscriptions": {**person.row["subscriptions"], "sms": sms},
    }


def _sms(person: Person, kind: str, quarters: int, consent: str = "SUBSCRIBED") -> dict[str, Any]:
    return {
        f"can_receive_sms_{kind}": consent == "SUBSCRIBED",
        "consent": consent,
        "consent_timestamp": person.after(quarters),
        "method": "SIGN_UP_FORM",
        "method_detail": "Checkout",
        "last_updated": person.after(quarters),
    }


def _whatsapp(person: Person) -> Row:
    """Subscribed to all that comes by WhatsApp."""
    when = person.after(2)
    consent = {
        "can_receive": True,
        "consent": "SUBSCRIBED",
        "consent_timestamp": when,
        "created_timestamp": when,
        "last_updated": when,
        "metadata": {},
        "valid_until": None,
        "phone_number": person.phone_number,
    }
    whatsapp = dict.fromkeys(("marketing", "transactional", "conversational"), consent)
    return {
        **person.row,
        "phone_number": person.phone_number,
        "subscriptions": {**person.row["subscriptions"], "whatsapp": whatsapp},
    }


def _no_address(person: Person) -> Row:
    """Known by a phone number only, and on the first list."""
    return {
        **person.row,
        "email": None,
        "phone_number": person.phone_number,
        "subscriptions": {**person.row["subscriptions"], "email": no_subscriptions()["email"]},
    }


_HISTORIES = (
    History(
        _resubscribed,
        (("Unsubscribed from Email Marketing", {}, 1), ("Subscribed to Email Marketing", {"List": "Newsletter"}, 3)),
        is_member=True,
    ),
    History(_texts_only, (("Subscribed to Text Messaging Marketing", {}, 2),), needs_phone=True),
    History(_left_list, ((*_TO_NEWSLETTER, 1), (*_FROM_NEWSLETTER, 2)), is_member=False),
    History(_whatsapp, needs_phone=True),
    History(_left_twice, ((*_FROM_NEWSLETTER, 1), (*_TO_NEWSLETTER, 2), (*_FROM_NEWSLETTER, 3)), is_member=False),
    History(_no_address, is_member=True, needs_phone=True),
    History(_by_kiosk, (("Subscribed to Email Marketing", {"List": "Newsletter"}, 1),), is_member=True),
    History(
        _no_more_texts,
        (
            ("Subscribed to Text Messaging Transactional", {}, 1),
            ("Unsubscribed from Text Messaging Marketing", {}, 3),
        ),
        needs_phone=True,
    ),
)
