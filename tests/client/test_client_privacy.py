"""Nothing personal in a log."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from singer_sdk.logging import StructuredFormatter
from singer_sdk.metrics import Metric, Point

from klaviyo_client.privacy.log_records import mask_log_records
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
        ("call 030 123456 now", "call <phone> now"),
        ("call 0170/1234567, or", "call <phone>, or"),
        ("(020) 7946 0958", "<phone>"),
        ("06 12 34 56 78", "<phone>"),
        ("06.12.34.56.78", "<phone>"),
        ("0301234567 and 030123456", "<phone> and <phone>"),
        ("0049 30 123456", "<phone>"),
        ("+49 (0)30/123456", "<phone>"),
        ("98765 43210", "<phone>"),
        ("(11) 91234-5678", "<phone>"),
        ("912 34 56 78", "<phone>"),
        ("9123 4567", "<phone>"),
        ("22 33 44 55", "<phone>"),
        ("1-800-555-0199", "<phone>"),
        ("1 (415) 555-0100", "<phone>"),
        ("'555-0104'", "'<phone>'"),
        ("415\u2013555\u20130100", "<phone>"),
        ("030\u00a0123456", "<phone>"),
        ('{"phone":"030 123456","sms":4155550100}', '{"phone":"<phone>","sms":<phone>}'),
        ("phone_number:030123456", "phone_number:<phone>"),
        ("equals(phone_number,%22030%20123456%22)", "equals(phone_number,%22<phone>%22)"),
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
        "192.168.100.200",
        "2026-07-15 12:30:00.123456",
        "2026-07-15 100 rows",
        "2026-07-15 2026-07-16",
        "2026/07/15 and 01.02.2026, 01/02/2026",
        "between 2025-2026 and 2026",
        "0.1234567 s, 12.3456789 s, 00:00:01.1234567",
        "550e8400-e29b-41d4-a716-446655440000",
        "550e8400-e29b-4123-8716-446655440000",
        "/data/0/attributes/12",
        "/api/12345/67890",
        "1,234,567 rows of 2,345,678",
        "400 of 1000 requests, 75/s and 750/m",
        "schema.json:1234",
        "version 0.54.9 of 2026.7.15",
        "page 100, 1000 rows 200",
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


@dataclass
class Written:
    """Loggers that write as the SDK's structured log does, each with a handler of its own."""

    stream: io.StringIO

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def written() -> Iterator[Written]:
    """What the logger ``x`` writes through its own handler, at DEBUG, as JSON; records are masked meanwhile."""
    before, logger = logging.getLogRecordFactory(), logging.getLogger("x")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(StructuredFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    mask_log_records()
    mask_log_records()
    yield Written(handler.stream)
    logging.setLogRecordFactory(before)
    logger.removeHandler(handler)
    logger.propagate = True


PERSONAL = "ada@example.com pk_secret +14155550100"
MASKED = "<email> <key> <phone>"


def test_a_record_is_masked_whatever_writes_it(written: Written) -> None:
    """The message, its arguments and what a logger adds, through a handler that is not the root's."""
    extra = {"who": PERSONAL, "row": {"email": [PERSONAL]}, "sms": 4155550100, "count": 7}
    logging.getLogger("x").warning("for %s", PERSONAL, extra=extra)
    logging.getLogger("x").debug(ValueError(PERSONAL))
    first, second = written.lines()
    assert (first["message"], second["message"]) == (f"for {MASKED}", MASKED)
    assert first["extra"] == {"who": MASKED, "row": {"email": [MASKED]}, "sms": "<phone>", "count": 7}


def _look_up() -> None:
    {}[PERSONAL]


def _connect() -> None:
    try:
        _look_up()
    except KeyError as error:
        error.__context__ = ExceptionGroup(PERSONAL, [ValueError(PERSONAL)])
        broken = ConnectionError(f"GET /api/profiles?filter=equals(email,{PERSONAL})")
        broken.add_note(PERSONAL)
        raise broken from error


def _fail() -> None:
    try:
        _connect()
    except ConnectionError as error:
        raise RuntimeError("the connection broke") from error


@pytest.mark.parametrize("formatter", [StructuredFormatter(), logging.Formatter()], ids=["structured", "text"])
def test_the_whole_chain_of_causes_is_masked(formatter: logging.Formatter, written: Written) -> None:
    """Formatters that walk from cause to cause find masked texts, and still the classes and places."""
    with contextlib.suppress(RuntimeError):
        try:
            _fail()
        except RuntimeError:
            record = logging.getLogger("x").makeRecord("x", 10, "f", 1, "so", (), sys.exc_info())
            raise
    text = formatter.format(record)
    assert not any(word in text for word in PERSONAL.split())
    assert all(word in text for word in ("RuntimeError", "ConnectionError", "KeyError", "ExceptionGroup", "_fail"))


def test_a_circle_of_causes_ends(written: Written) -> None:
    """Errors may be each other's context."""
    first, second = ValueError(PERSONAL), ValueError("second")
    first.__context__, second.__context__ = second, first
    logging.getLogger("x").debug("so", exc_info=first)
    [line] = written.lines()
    assert line["exception"]["context"]["message"] == "second"


def test_metrics_keep_their_fields(written: Written) -> None:
    """The SDK's structured log takes them from the argument, not from the text; a number is no phone there."""
    tags = {"stream": "events", "pid": 12345, "context": {"endpoint": f"/p {PERSONAL}"}}
    point = Point("counter", Metric.RECORD_COUNT, 4155550100, tags)
    logging.getLogger("x").info("METRIC: %s", point)
    [line] = written.lines()
    assert line["message"] == "METRIC"
    assert line["metric_info"]["value"] == 4155550100
    assert line["metric_info"]["tags"] == {**tags, "context": {"endpoint": f"/p {MASKED}"}}


def test_arguments_that_do_not_fit_end_nothing(written: Written) -> None:
    """A faulty log call of anybody's is still a line, and masked."""
    logging.getLogger("x").info("%d rows of", PERSONAL)
    [line] = written.lines()
    assert MASKED in line["message"]
