"""Names of Klaviyo's metrics. Pure."""

from __future__ import annotations

import re

# Klaviyo renamed "SMS" on 2026-07-01: messages are "Text Message", and one kind of event "Text" alone; consents are
# "Text Messaging".
_TEXT_MESSAGES = re.compile(r"\btext[ -]?messag(?:es?|ing)\b|(?<=^opened )texts?$")


def normalize_name(name: str) -> str:
    """A metric's name in a form in which equal metrics are equal: without case, extra spaces, and other names for SMS.

    An account may hold metrics of several of these names.

    >>> normalize_name("Received  Text Message")
    'received sms'
    >>> normalize_name("Unsubscribed from Text Messaging Marketing")
    'unsubscribed from sms marketing'
    """
    return _TEXT_MESSAGES.sub("sms", " ".join(name.casefold().split()))
