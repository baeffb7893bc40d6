"""Names of Klaviyo's metrics. Pure."""

from __future__ import annotations


def normalize_name(name: str) -> str:
    """A metric's name in a form in which equal metrics are equal: without case, extra spaces, and other names for SMS.

    Klaviyo renamed "SMS" to "Text Message" on 2026-07-01, and an account may hold metrics of both names.

    >>> normalize_name("Received  Text Message")
    'received sms'
    """
    return " ".join(name.casefold().split()).replace("text message", "sms")
