"""Nothing personal in a log."""

from __future__ import annotations

import logging

import pytest

from klaviyo_client.plugin.command import MaskingFilter
from klaviyo_client.privacy.redaction import add_secrets, mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key pk_0123abcDEF end", "key <key> end"),
        ("Authorization: Klaviyo-API-Key something", "Authorization: Klaviyo-API-Key <key>"),
        ("Bearer abc.def-ghi", "Bearer <key>"),
        ("Authorization: Basic YXBwLTE6c2VjcmV0", "Authorization: Basic <key>"),
        ("?refresh_token=abc.def&x=1", "?refresh_token=<key>&x=1"),
        ('{"access_token": "abc", "expires_in": 3600}', '{"access_token": "<key>", "expires_in": 3600}'),
        ("{'client_secret': 'abc'}", "{'client_secret': '<key>'}"),
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
    [
        "refresh_token is missing",
        "Basic authentication",
        "2026-07-15T12:30:00+00:00",
        "01J5QZ8B3C4D5E6F7G8H9J0KLM",
        "10,000 rows in 46 s",
        "HTTP 429",
        "127.0.0.1:8765",
    ],
)
def test_what_helps_to_understand_stays(text: str) -> None:
    """Times, ids, counts and addresses of machines are no personal data."""
    assert mask(text) == text


def test_a_secret_without_a_form_is_masked_wherever_it_stands() -> None:
    """In a URL, percent-encoded there, and in words; one that begins as another does is masked whole."""
    add_secrets("k3/opaque+token", "k3/opaque+token-and-more")
    text = "/p?t=k3%2Fopaque%2Btoken&x=1 k3/opaque+token 'k3/opaque+token-and-more'"
    assert mask(text) == "/p?t=<key>&x=1 <key> '<key>'"


def test_what_is_too_short_for_a_secret_blots_out_nothing() -> None:
    """A word of a log is not hidden because somebody's secret is the same."""
    add_secrets("", "status")
    assert mask("status 200") == "status 200"


def test_logs_are_masked_with_their_tracebacks() -> None:
    """Arguments and exceptions go through the filter, too."""
    error = ValueError("ada@example.com")
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "for %s", ("pk_secret",), (type(error), error, None))
    assert MaskingFilter().filter(record)
    text = logging.Formatter().format(record)
    assert "pk_secret" not in text
    assert "ada@example.com" not in text
    assert "<key>" in text
