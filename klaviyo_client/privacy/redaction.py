"""Redaction: masks keys, tokens and personal data in logs and errors. Pure, but for the secrets that were added."""

from __future__ import annotations

import re
from urllib.parse import quote

# `pk_` is how Klaviyo's private keys begin; other credentials are masked by the word before them.
_KEY = re.compile(r"\bpk_[A-Za-z0-9_]+|(?<=Klaviyo-API-Key )\S+|(?<=Bearer )\S+|(?<=Basic )(?=\S*[\d+/=])\S{12,}")
# In a form, a query, JSON and Python's way of writing a dict.
_NAMED = re.compile(
    r"((?:access_token|refresh_token|client_secret)(?:=|[\"']\s*:\s*[\"']))[^\s&\"',;)}]+", re.IGNORECASE
)
# The secrets of this process that cannot be recognised by their form. Only grows, by a token an hour.
_SECRETS: set[str] = set()
# A shorter one could be part of a word; Klaviyo's are several times as long.
_MIN_LENGTH = 8
# The name before the @ may hold what else separates words, as in o'brien or a=b, but does not begin with it. In a URL
# addresses are percent-encoded, and a letter may take six characters.
_PART = r"[^\s\"'<>(){}\[\],;:=&?]"
_EMAIL = re.compile(rf"(?:{_PART}[^\s\"<>()\[\],;:]{{0,63}}@|{_PART}{{1,600}}%40){_PART}{{1,255}}", re.IGNORECASE)
# What may stand between the groups of a number: spaces, hyphens and dashes of all kinds, brackets.
_GAP = r"(?:[ \t\u00a0\u2007\u2009\u202f\u2010-\u2015/()-]|%20){1,3}"
# Not within a word, an id, a decimal fraction or a time of day; after a percent-encoded quote, comma or the like.
_START = r"(?:(?<![\w/%])(?<!\w-)(?<!\d[.,:])|(?<=%2[0-9A-F])|(?<=%[357][A-F]))"
_END = r"(?![\w-]|[.,:]\d)"
# A day, two years, or a path of numbers.
_NO_DAY = r"(?!\(?(?:\d{4}[-/]\d\d?[-/]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4}|(?:19|20)\d\d[-\u2013/ ](?:19|20)\d\d)(?!\d))"
# Signed; national, which begins with 0; separated; or a bare run as long as a subscriber number: a masked id in a log
# costs less than a phone.
_PHONE = re.compile(
    r"(?:\+|%2B)\d(?:[\d\s().\u00a0\u202f\u2010-\u2015/-]|%20){5,24}\d"
    rf"|{_START}{_NO_DAY}\(?0\d(?:(?:{_GAP}|\.)?\d){{5,13}}{_END}"
    rf"|{_START}{_NO_DAY}(?=(?:\D{{0,9}}\d){{8}})(?:\((?=\d))?\d{{1,5}}(?:{_GAP}\d{{2,5}}){{1,5}}{_END}"
    rf"|{_START}\(?\d{{3}}\)?[ .-]\d{{3}}[ .-]\d{{4}}{_END}"
    rf"|{_START}\d{{3}}-\d{{4}}{_END}"
    rf"|{_START}\d{{10,15}}{_END}",
    re.IGNORECASE,
)


def add_secrets(*secrets: str) -> None:
    """Mask these texts from now on, as they are and percent-encoded."""
    for secret in secrets:
        if len(secret) >= _MIN_LENGTH:
            _SECRETS.update((secret, quote(secret, safe="")))


def mask(text: str) -> str:
    """The text with keys, tokens, added secrets, e-mail addresses and phone numbers replaced.

    >>> mask("pk_abc sent ada@example.com and +1 415 555 0100")
    '<key> sent <email> and <phone>'
    """
    # The longest first: one may begin as another does. A copy, as another thread may add one.
    for secret in sorted(_SECRETS.copy(), key=len, reverse=True):
        text = text.replace(secret, "<key>")
    text = _NAMED.sub(r"\1<key>", text)
    return _PHONE.sub("<phone>", _EMAIL.sub("<email>", _KEY.sub("<key>", text)))


# An example of a phone number shows its last digits where it has so many that they tell nobody else.
_PHONE_LIKE = re.compile(r"\+?[\d\s().-]+")
_MIN_DIGITS = 8
# Of the name in an address the last character tells one from the other, unless there are few.
_MIN_NAME = 4
_MAX_SUFFIX = 10


def hint_at(identifier: str) -> str:
    """An identifier as an example for a screen or a log: whoever has the record knows it again, and nobody else.

    >>> hint_at("ada.l@example.com"), hint_at("+14155550100"), hint_at("C-1815")
    ('a***l@e***.com', '+1***00', 'C***')
    """
    text = identifier.strip()
    if _PHONE_LIKE.fullmatch(text) and len(re.sub(r"\D", "", text)) >= _MIN_DIGITS:
        return f"{text[:2]}***{text[-2:]}"
    name, at_sign, domain = text.rpartition("@")
    if not (at_sign and name):
        return f"{_first(text)}***"
    suffix = domain.rpartition(".")[2]
    shown = f".{suffix}" if suffix != domain and suffix.isalpha() and len(suffix) <= _MAX_SUFFIX else ""
    last = name[-1] if len(name) >= _MIN_NAME and name[-1].isprintable() else ""
    return f"{_first(name)}***{last}@{_first(domain)}***{shown}"


def _first(text: str) -> str:
    return text[0] if text[:1].isprintable() and text else ""
