"""Keeps keys and personal data out of logs and errors. Pure."""

from __future__ import annotations

import re

# `pk_` is how Klaviyo's private keys begin; bearer tokens are masked by the word before them.
_KEY = re.compile(r"\bpk_[A-Za-z0-9_]+|(?<=Klaviyo-API-Key )\S+|(?<=Bearer )\S+")
# A name may hold what else parts words, such as o'brien or a=b, but is not taken to begin with it. A failing URL
# carries addresses percent-encoded, where a letter may take six characters.
_PART = r"[^\s\"'<>(){}\[\],;:=&?]"
_EMAIL = re.compile(rf"(?:{_PART}[^\s\"<>()\[\],;:]{{0,63}}@|{_PART}{{1,600}}%40){_PART}{{1,255}}", re.IGNORECASE)
# Signed, separated, or a bare run as long as a subscriber number: a masked id in a log costs less than a phone.
_PHONE = re.compile(
    r"(?:\+|%2B)\d[\d\s().-]{5,18}\d"
    r"|(?<![\w.:-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])"
    r"|(?<![\w.:-])\d{10,15}(?![\w-])",
    re.IGNORECASE,
)


def mask(text: str) -> str:
    """The text with private keys, e-mail addresses and phone numbers replaced.

    >>> mask("pk_abc sent ada@example.com and +1 415 555 0100")
    '<key> sent <email> and <phone>'
    """
    return _PHONE.sub("<phone>", _EMAIL.sub("<email>", _KEY.sub("<key>", text)))
