"""The protocol as functions on values."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from klaviyo_client import errors
from klaviyo_client.api import filters, protocol
from klaviyo_client.api.json_text import decode_json
from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import decode_in_chunks, decode_page, parse_outline
from klaviyo_client.api.reply import parse_reply

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)


def test_headers_ask_for_one_revision_and_no_other() -> None:
    """The revision is pinned and may not fall forward; a content type goes only with a body."""
    made = protocol.headers("2026-07-15", "tap-klaviyo/1", with_body=False)
    assert made["revision"] == "2026-07-15"
    assert made["x-klaviyo-revision-fall-forward-opt-out"] == "1"
    assert "content-type" not in made
    assert protocol.headers("2026-07-15", "x", with_body=True)["content-type"] == "application/vnd.api+json"


def test_filters_quote_what_must_be_quoted() -> None:
    """Text is quoted and escaped, times, numbers and truth values are bare, lists are bracketed."""
    berlin = timezone(timedelta(hours=2))
    assert filters.condition("equals", "email", 'a"b\\c@example.com') == r'equals(email,"a\"b\\c@example.com")'
    assert filters.condition("any", "id", ["a", "b"]) == 'any(id,["a","b"])'
    assert filters.condition("any", "name", ["two\nlines", "\\n"]) == 'any(name,["two\nlines","\\\\n"])'
    assert filters.condition("equals", "archived", value=True) == "equals(archived,true)"
    assert filters.condition("greater-than", "timestamp", 5) == "greater-than(timestamp,5)"
    moment = datetime(2026, 1, 2, 3, tzinfo=berlin)
    assert filters.condition("less-than", "updated", moment) == "less-than(updated,2026-01-02T01:00:00Z)"
    assert filters.all_of(["a(b,1)", "c(d,2)"]) == "and(a(b,1),c(d,2))"
    assert filters.all_of(["a(b,1)"]) == "a(b,1)"


@pytest.mark.parametrize(
    "url",
    ["https://a.klaviyo.com", "https://proxy.example.com/klaviyo/", "http://127.0.0.1:8765", "http://localhost:1"],
)
def test_an_address_may_be_https_or_this_machine(url: str) -> None:
    """The key goes in the clear only to this machine."""
    assert protocol.check_api_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://a.klaviyo.com",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
        "ftp://a.klaviyo.com",
        "a.klaviyo.com",
        "",
        "https://user:secret@a.klaviyo.com",
        "https://:secret@a.klaviyo.com",
        "ftp://user:se,cret@a.klaviyo.com",
        "https://[/",
        "https://a.klaviyo.com:99999",
        "https://a.klaviyo.com:x",
        "http://evil.example.com\\@127.0.0.1/",
        "https://a.klaviyo.com?x=1",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    """Before anything is sent, and without repeating a password."""
    with pytest.raises(errors.SettingsError, match="api_url") as caught:
        protocol.check_api_url(url)
    assert "secret" not in str(caught.value)
    assert "cret@" not in str(caught.value)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.com/api/profiles",
        "http://a.klaviyo.com/api",
        "http://a.klaviyo.com:443/api",
        "https://a.klaviyo.com:444/",
        "//x/",
        "https://[/",
        "https://evil.example.com\\@a.klaviyo.com/api/lists",
        "https://user:secret@a.klaviyo.com/api/lists",
        "https://a.klaviyo.com:99999/",
        "https://a.klaviyo.com\n.evil.example.com/",
    ],
)
def test_a_next_link_to_another_origin_is_refused(link: str) -> None:
    """Scheme, host and port must all be the same, and no two readers of the address may see two hosts."""
    body = json.dumps({"data": [], "links": {"next": link}}).encode()
    with pytest.raises(errors.UntrustedOrigin):
        decode_page(body, "https://a.klaviyo.com")


@pytest.mark.parametrize(
    "link", ["https://a.klaviyo.com/x?page[cursor]=a%3D", "https://A.klaviyo.com:443/x", "https://a.klaviyo.com?a=1"]
)
def test_a_next_link_at_home_is_kept(link: str) -> None:
    """The default port and the case of the host make no difference."""
    body = json.dumps({"data": [], "links": {"next": link}}).encode()
    assert decode_page(body, "https://a.klaviyo.com").next == link


def test_a_relative_next_link_is_at_home() -> None:
    """Of the API, where nobody knows the page's own address."""
    body = json.dumps({"data": [], "links": {"next": "/api/lists?a=1"}}).encode()
    assert decode_page(body, "https://a.klaviyo.com").next == "https://a.klaviyo.com/api/lists?a=1"


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b"{}", b'{"errors":[]}'])
def test_what_is_no_page_is_not_taken_for_an_empty_one(body: bytes) -> None:
    """An answer without `data` must not end a read as though everything had been read."""
    with pytest.raises(ValueError, match="no data"):
        decode_page(body, "https://a.klaviyo.com")


def test_pages_of_every_form_are_decoded() -> None:
    """A list, one resource, none; `next` may be null or absent; included resources are found by type and id."""
    included = {"type": "metric", "id": "M", "attributes": {"name": "x"}}
    body = json.dumps({"data": [{"id": "1"}], "included": [included], "links": {"next": None}}).encode()
    page = decode_page(body, "https://a.klaviyo.com")
    assert page.included["metric", "M"] == included
    assert page.next is None
    assert decode_page(b'{"data":{"id":"1"}}', "https://a.klaviyo.com").data == [{"id": "1"}]
    assert decode_page(b'{"data":null}', "https://a.klaviyo.com").data == []


def test_json_that_others_write_is_decoded() -> None:
    """Half a surrogate pair and a number beyond a float's reach are somebody's custom properties."""
    assert decode_json(b'{"a":"x\\ud83d"}') == {"a": "x?"}
    assert decode_json(b"[1e400]") == [float("inf")]
    with pytest.raises(ValueError, match="Expecting value"):
        decode_json(b"<html>")
    with pytest.raises(ValueError, match="too deeply"):
        decode_json(b"[" * 100_000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("7, 9", 9),
        ("0.2", 1),
        ("1.5", 2),
        ("1.", 1),
        ("86400", 86_400),
        ("9" * 5000, 10**9),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30),
        ("Wednesday, 21-Oct-26 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2026 09:28:30 +0200", 30),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 10**9),
    ],
)
def test_retry_after_is_in_seconds_or_a_moment(text: str, seconds: int) -> None:
    """Never less than was asked for: parts of a second are a whole one, and of two values the longer one counts."""
    assert protocol.retry_after({"retry-after": text}, NOW) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("0", "0.0", "-5", "", "soon", "nan", "inf", "1e3", "²", "٣", "7s", "7,"),
        *("Wed, 21 Oct 2026 07:27:59 GMT", "Wed, 99 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 99999999999 07:28:00 GMT"),
    ],
)
def test_retry_after_without_a_time_to_wait_names_none(text: str) -> None:
    """Rubbish, nothing and the past are no answer to the question: the pause is then our own."""
    assert protocol.retry_after({"retry-after": text}, NOW) is None
    assert protocol.retry_after({}, NOW) is None


def test_a_moment_is_counted_from_the_servers_own_clock() -> None:
    """Ours may go wrong by hours."""
    dated = {"retry-after": "Wed, 21 Oct 2026 12:00:09 GMT", "date": "Wed, 21 Oct 2026 12:00:00 GMT"}
    assert protocol.retry_after(dated, NOW) == 9


def test_announced_limits_are_read_from_the_header() -> None:
    """Second and minute, whatever other windows there are."""
    header = "1, 1;w=1, 2;w=60, 225;w=86400"
    assert protocol.announced_limits({"ratelimit-limit": header}) == (1, 2, 225)
    assert protocol.announced_limits({"ratelimit-limit": "75"}) is None
    assert protocol.announced_limits({"ratelimit-limit": "75;w=1, ;w=60"}) is None
    assert protocol.announced_limits({"ratelimit-limit": "9" * 5000 + ";w=1, 5;w=60"}) is None
    assert protocol.announced_limits({}) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.InvalidKey),
        (403, errors.NotAllowed),
        (404, errors.NotFound),
        (405, errors.BadRequest),
        (409, errors.Conflict),
        (410, errors.RevisionRetired),
        (413, errors.TooLarge),
        (415, errors.BadRequest),
    ],
)
def test_each_refusal_has_its_error(status: int, kind: type[errors.Refused]) -> None:
    """The status decides the class, whether or not the body is Klaviyo's."""
    for body in (
        b'{"errors":[{"code":"c","title":"t","detail":"d"}]}',
        b"<html>",
        b"[]",
        b'{"errors":[7]}',
        b'{"errors":7}',
        b"\xff",
    ):
        error = protocol.refusal(status, body, operation("get_profiles"))
        assert type(error) is kind
        assert error.status == status


def test_a_refusal_says_what_klaviyo_said_and_masks_people() -> None:
    """Pointer, parameter and meta are kept as data; the text has no address in it."""
    body = json.dumps(
        {
            "errors": [
                {
                    "id": "e",
                    "code": "duplicate_profile",
                    "title": "Conflict.",
                    "detail": "ada@example.com is taken",
                    "source": {"pointer": "/data/attributes"},
                    "meta": {"duplicate_profile_id": "01J"},
                },
                {"code": "invalid", "title": "Invalid", "detail": "", "source": {"parameter": "filter"}, "meta": []},
            ]
        }
    ).encode()
    error = protocol.refusal(409, body, operation("create_or_update_profile"))
    assert error.errors[0].meta == {"duplicate_profile_id": "01J"}
    assert error.errors[1].parameter == "filter"
    assert error.errors[1].meta is None
    assert str(error) == "create_or_update_profile was refused: <email> is taken [/data/attributes]; Invalid [filter]"


def test_a_missing_scope_is_named() -> None:
    """Klaviyo's 403 says little; the specification knows what the operation needs."""
    error = protocol.refusal(403, b"", operation("get_profiles_for_list"))
    assert "lists:read and profiles:read" in str(error)


def test_a_plan_without_the_feature_is_no_missing_scope() -> None:
    """Klaviyo's words are recorded ones; a 403 that speaks of anything else stays one that a scope may mend."""
    words = {
        "You must have Advanced KDP enabled to use this endpoint.": errors.NotEnabled,
        "Your API key is missing required scopes for this request: webhooks:read": errors.NotAllowed,
        "You do not have permission to perform this action.": errors.NotAllowed,
    }
    for detail, kind in words.items():
        body = json.dumps({"errors": [{"code": "permission_denied", "title": "", "detail": detail}]}).encode()
        error = protocol.refusal(403, body, operation("get_webhooks"))
        assert type(error) is kind
        assert detail in str(error)
        assert ("webhooks:read" in str(error).replace(detail, "")) == (kind is errors.NotAllowed)


def test_a_path_is_filled_in_and_escaped() -> None:
    """An id cannot lead to another path."""
    assert protocol.path_of(operation("get_list"), {"id": "../x?y"}) == "/api/lists/..%2Fx%3Fy"
    for value in ("", ".", ".."):
        with pytest.raises(errors.NotFound, match="is no id"):
            protocol.path_of(operation("get_list"), {"id": value})


def test_times_are_written_in_utc() -> None:
    """With microseconds only where there are some."""
    assert filters.utc_text(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"
    assert filters.utc_text(datetime(2026, 1, 1, 0, 0, 0, 5, tzinfo=UTC)) == "2026-01-01T00:00:00.000005Z"


STRANGE_TEXTS = (b'"x\\ud83d"', b'"\\ude00x"', b'"\xff"', b'"\xed\xa0\xbd"')
STRANGE_NUMBERS = (b"NaN", b"-Infinity", b"1e400", b"1" * 5000)


@pytest.mark.parametrize(
    "member",
    [
        *(b'"x":%s' % value for value in (*STRANGE_TEXTS, *STRANGE_NUMBERS)),
        *(b"%s:1" % name for name in STRANGE_TEXTS),
    ],
    ids=lambda member: repr(member[:12]),
)
@pytest.mark.parametrize(
    "place",
    [
        b'{"data":[%s,{"type":"event","id":"2"}],',
        b'{"data":[{"type":"event","id":"1"},%s],"included":[],',
        b'{"data":[{"type":"event","id":"1"},{"type":"event","id":"2"}],"included":[%s],',
        b'{"data":[{"type":"event","id":"1"},{"type":"event","id":"2"}],"meta":%s,',
    ],
    ids=["first", "last", "included", "meta"],
)
def test_a_page_with_json_that_others_write_has_its_outline(member: bytes, place: bytes) -> None:
    """Wherever it stands, as a value or as a name: the next link, the size and the edges are found."""
    body = place % (b'{"type":"event","id":"1","attributes":{"event_properties":{%s}}}' % member)
    body += b'"links":{"next":"https://a.klaviyo.com/x"}}'
    outline = parse_outline(body, "https://a.klaviyo.com")
    page = decode_page(outline.body, "https://a.klaviyo.com")
    assert outline.next == page.next == "https://a.klaviyo.com/x"
    assert outline.size == len(page.data) == 2
    assert [edge["id"] for edge in outline.first_and_last] == [page.data[0]["id"], page.data[1]["id"]]


def test_the_outline_of_one_strange_resource_is_found() -> None:
    """A details page is of one resource; what is no page at all stays none."""
    outline = parse_outline(b'{"data":{"type":"event","id":"1","attributes":{"x":NaN}}}', "https://a.klaviyo.com")
    assert (outline.size, outline.next) == (1, None)
    for body in (b"<html>", b"{}", b'{"errors":[NaN]}', b'{"data":[{"x":NaN}', b'{"x":NaN,"data":' + b"[" * 100_000):
        with pytest.raises(ValueError, match=r"no data|Expecting|too deeply"):
            parse_outline(body, "https://a.klaviyo.com")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"\\u0000", "\ufffd"),
        (b"a\\u0000\\u0000b", "a\ufffd\ufffdb"),
        (b"\\\\u0000", "\\u0000"),
        (b"\\\\\\u0000", "\\\ufffd"),
        (b"\\n\\u0000", "\n\ufffd"),
        (b"\\u00000", "\ufffd0"),
        (b"\\ud83d\\u0000", "?\ufffd"),
        (b"u0000", "u0000"),
    ],
)
def test_no_answer_holds_a_null_character(written: bytes, expected: str) -> None:
    """PostgreSQL takes none, in texts and in names; text about it (two backslashes) stays, in every decoder."""
    body = b'{"data":[{"type":"list","id":"1","attributes":{"n":"%s","m":{"%s":1}}}]}' % (written, written)
    resources = [
        decode_page(body, "https://a.klaviyo.com").data[0],
        parse_reply("get_lists", 200, {}, body).document["data"][0],
        *([] if "?" in expected else next(decode_in_chunks(body, 9)).data),
    ]
    for resource in resources:
        assert resource["attributes"] == {"n": expected, "m": {expected: 1}}
