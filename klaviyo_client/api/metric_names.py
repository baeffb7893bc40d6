"""Names of metrics, and which metrics are Klaviyo's own. Pure."""

from __future__ import annotations

import re
from typing import Any

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


def is_klaviyos(integration: Any) -> bool:
    """Whether metrics with this integration are Klaviyo's own: those of another may have the same names.

    A metric of which no integration is said is taken for Klaviyo's: others always come from one.
    """
    name = integration.get("name") if isinstance(integration, dict) else None
    return not isinstance(name, str) or name.strip().casefold() == "klaviyo"
