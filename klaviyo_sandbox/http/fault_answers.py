"""What is answered in the account's place by a fault, and answers that are sent in pieces."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from klaviyo_sandbox.http.asgi import Send, WholeResponse
from klaviyo_sandbox.http.fault_settings import Fault
from klaviyo_sandbox.reads.paging import bad_cursor
from klaviyo_sandbox.spec import errors
from klaviyo_sandbox.spec.exchange import encode_json, identifying_headers

# What a proxy before the account says of it.
_PROXY_TITLES: Mapping[int, str] = {
    502: "502 Bad Gateway",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
}
# As a firewall before an API shows it to what it takes for a robot.
_CHALLENGE_PAGE = (
    b'<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head>'
    b"<body><noscript>Enable JavaScript and cookies to continue</noscript></body></html>"
)
_STATUSES: Mapping[str, int] = {
    "429": 429,
    "reset": 0,
    "challenge": 403,
    "expired": 400,
    "500": 500,
    "502": 502,
    "504": 504,
}


def status(fault: Fault) -> int:
    """The status that a request gets that does not reach the account; 0: no answer."""
    return fault.status or _STATUSES.get(fault.kind, 503)


def refusal(fault: Fault, revision: str | None = None) -> WholeResponse:
    """What comes in place of the account's answer: the account's own words, or a page of a proxy before it.

    Args:
        fault: what the request meets.
        revision: the one that it asks for; None where it names none that can be read.
    """
    if fault.kind == "challenge":
        return _response(403, _CHALLENGE_PAGE, "text/html; charset=UTF-8", {"cf-mitigated": "challenge"})
    if fault.kind in ("502", "504") or (fault.html and status(fault) == 503 and fault.kind != "refuse"):
        return _response(status(fault), _proxy_page(status(fault)), "text/html", _retry_after(fault))
    document = encode_json(_refusal(fault).document())
    headers = {**identifying_headers(revision), **_retry_after(fault)}
    return _response(status(fault) or 503, document, "application/vnd.api+json", headers)


def _proxy_page(status: int) -> bytes:
    title = _PROXY_TITLES[status]
    return f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n</body>\r\n</html>\r\n".encode()


def _refusal(fault: Fault) -> errors.Refusal:
    if fault.kind == "429":
        return errors.throttled(fault.retry_after or 1)
    if fault.kind == "expired":
        return bad_cursor()
    if fault.kind == "500":
        return errors.server_error("A server error occurred.")
    return errors.unavailable() if fault.kind != "refuse" else _refusal_for_good(fault.status)


def _refusal_for_good(status: int) -> errors.Refusal:
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Refused"
    detail = "This operation is not available."
    code = title.lower().replace(" ", "_").replace("'", "")
    return errors.Refusal([errors.Problem(status, code, title, detail, {"pointer": "/data/"})])


def _retry_after(fault: Fault) -> dict[str, str]:
    return {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}


def _response(status: int, body: bytes, media_type: str, headers: Mapping[str, str]) -> WholeResponse:
    fields = {"content-type": media_type, "content-length": str(len(body)), **headers}
    return WholeResponse(status, [(name.encode(), value.encode()) for name, value in fields.items()], body)


def with_body(response: WholeResponse, body: bytes) -> WholeResponse:
    """The response with another body."""
    return WholeResponse(response.status, _with_length(response, len(body)), body)


async def start(response: WholeResponse, send: Send, *, length: int | None = None) -> None:
    """Send the headers of a response, which say that its body has so many bytes (None: as many as it has)."""
    headers = response.headers if length is None else _with_length(response, length)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})


async def send_piece(piece: bytes, send: Send) -> None:
    """Send the next part of a body."""
    await send({"type": "http.response.body", "body": piece, "more_body": True})


async def end(send: Send) -> None:
    """End a body that was sent in pieces."""
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _with_length(response: WholeResponse, length: int) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in response.headers if name.lower() != b"content-length"]
    return [*others, (b"content-length", str(length).encode())]
