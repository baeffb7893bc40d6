"""Nothing personal in a log."""

from __future__ import annotations

import logging

import pytest

from klaviyo_client.command import MaskingFilter
from klaviyo_client.privacy import mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key pk_0123abcDEF end", "key <key> end"),
        ("Authorization: Klaviyo-API-Key something", "Authorization: Klaviyo-API-Key <key>"),
        ("Bearer abc.def-ghi", "Bearer <key>"),
        ("to 'ada.lovelace+x@example.co.uk'.", "to '<email>'."),
        ('equals(email,"ada@example.com")', 'equals(email,"<email>")'),
        ("?filter=equals%28email%2Cada%40example.com%29&x=1", "?filter=<email>&x=1"),
        ("to o'brien{x}=y&z@example.com.", "to <email>"),
        ("to {ada}@example.com", "to {<email>"),
        ("email='ada@example.com'", "<email>'"),
        ("/p?filter=any%28email%2C%5B%22" + "%C3%A4" * 60 + "%40example.com%22%5D%29&x=1", "/p?filter=<email>&x=1"),
        ("call +14155550100 now", "call <phone> now"),
        ("call +1 (415) 555-0100 now", "call <phone> now"),
        ("number %2B14155550100", "number <phone>"),
        ("or 415-555-0100.", "or <phone>."),
        ("or 4155550100", "or <phone>"),
    ],
)
def test_personal_data_is_masked(text: str, masked: str) -> None:
    """Keys, addresses and numbers in the forms in which errors and URLs hold them."""
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    ["2026-07-15T12:30:00+00:00", "01J5QZ8B3C4D5E6F7G8H9J0KLM", "10,000 rows in 46 s", "HTTP 429", "127.0.0.1:8765"],
)
def test_what_helps_to_understand_stays(text: str) -> None:
    """Times, ids, counts and addresses of machines are no personal data."""
    assert mask(text) == text


def test_logs_are_masked_with_their_tracebacks() -> None:
    """Arguments and exceptions go through the filter, too."""
    error = ValueError("ada@example.com")
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "for %s", ("pk_secret",), (type(error), error, None))
    assert MaskingFilter().filter(record)
    text = logging.Formatter().format(record)
    assert "pk_secret" not in text
    assert "ada@example.com" not in text
    assert "<key>" in text
