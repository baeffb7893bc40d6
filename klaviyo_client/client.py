"""The client of one Klaviyo account: waits for the rate limits, signs, sends, retries and decodes requests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from klaviyo_client import errors
from klaviyo_client.api import protocol
from klaviyo_client.api.links import MAX_RESTARTS, PageTrail, is_about_cursor, redirect_target
from klaviyo_client.api.operations import Operation, has_shared_limit, operation
from klaviyo_client.api.pages import Page, RawPage, decode_page, parse_outline
from klaviyo_client.api.reply import Reply, parse_reply
from klaviyo_client.auth import oauth
from klaviyo_client.auth.credentials import Credentials, PrivateKey
from klaviyo_client.auth.oauth import App
from klaviyo_client.auth.oauth_credentials import OAuthCredentials
from klaviyo_client.http.answered_revisions import AnsweredRevisions
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.permits import Permit
from klaviyo_client.http.rate_limits import RateLimiter, RateLimiters
from klaviyo_client.http.retries import RetryPolicy, call_with_retries
from klaviyo_client.http.sending import Sender
from klaviyo_client.http.transport import Request, RequestsTransport, Response, Transport, TransportError
from klaviyo_client.http.usage import Usage

T = TypeVar("T")

DEFAULT_API_URL = "https://a.klaviyo.com"
_REDIRECTS = (301, 302, 303, 307, 308)
# A request and the redirects that are followed from it.
_MAX_REQUESTS = 4


@dataclass(frozen=True)
class _Call:
    """One request of an operation, without its headers."""

    operation: Operation
    url: str
    query: Mapping[str, str]
    body: bytes | None = None


@dataclass
class KlaviyoClient:
    """A client of one account. Safe to share between threads.

    Args:
        api_key: a private key (``pk_...``); empty with ``app``.
        api_url: where the API is; https, or this machine.
        rate_limit_share: the part of every rate limit that we use, in (0, 1].
        request_timeout: seconds to wait for a connection, and for each part of an answer.
        retry_policy: how often, and for how long, a failed request is sent again.
        clock: what waits are taken on.
        transport: what sends requests; None for one of our own.
        app: an OAuth app to sign in with, in place of ``api_key``.

    Attributes:
        credentials: what requests are signed with.
        server_clock: Klaviyo's clock beside ours.

    Raises:
        SettingsError: one of these cannot be.
    """

    api_key: str = field(default="", repr=False)
    api_url: str = DEFAULT_API_URL
    rate_limit_share: float = 0.9
    request_timeout: float = 60.0
    user_agent: str = "singer-klaviyo"
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Clock = field(default_factory=Clock)
    transport: Transport | None = None
    app: App | None = None

    def __post_init__(self) -> None:
        self.api_url = protocol.check_api_url(self.api_url)
        if not 0 < self.rate_limit_share <= 1:
            raise errors.SettingsError("rate_limit_share must be greater than 0 and at most 1")
        if self.request_timeout <= 0:
            raise errors.SettingsError("request_timeout must be greater than 0 seconds")
        self._rate_limiters = RateLimiters(self.rate_limit_share, self.clock, self.retry_policy.max_wait)
        self._sender = Sender(self.transport or RequestsTransport(timeout=self.request_timeout))
        self.server_clock = self._sender.server_clock
        self._answered_revisions = AnsweredRevisions()
        self.credentials = self._make_credentials()

    def _make_credentials(self) -> Credentials:
        if self.app is None:
            return PrivateKey(self.api_key)
        if self.api_key:
            raise errors.SettingsError("set either api_key or the OAuth app, not both")
        return OAuthCredentials(
            self.app,
            api_url=self.api_url,
            user_agent=self.user_agent,
            sender=self._sender,
            rate_limiter=self._rate_limiters.of(oauth.NAME, oauth.RATES),
            clock=self.clock,
            max_wait=self.retry_policy.limiter_timeout,
        )

    def call(
        self,
        name: str,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | bytes | None = None,
        idempotent: bool = False,
    ) -> Reply:
        """Carry out one operation.

        Args:
            name: Klaviyo's operation id, or ``id@revision``.
            path: values for the path's parameters.
            query: the query string's parameters.
            body: a JSON document, or its bytes.
            idempotent: whether doing it twice is the same as once. What is not (and does not only read) is sent again
                only when it is certain that it was not done.

        Raises:
            Refused: Klaviyo answered 4xx.
            Unavailable: no answer, or only 429 and 5xx, for as long as ``retry_policy`` allows.
            UntrustedOrigin: a redirect leads to another origin.
        """
        op = operation(name)
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        call = _Call(op, self._url(op, path or {}), query or {}, content)

        def parse(response: Response) -> Reply:
            return parse_reply(op.id, response.status, response.headers, response.body)

        return self._send(call, parse, idempotent=idempotent or op.reads)

    # Pages ------------------------------------------------------------------------------------------------------------

    def page(self, name: str, *, path: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None) -> Page:
        """The first page of a collection."""
        op = operation(name)
        return self._page(_Call(op, self._url(op, path or {}), query or {}), decode_page)

    def next_page(self, name: str, url: str) -> Page:
        """The page that a ``next`` link leads to. It repeats the query of the page that it came with."""
        return self._page(self._link_call(operation(name), url), decode_page)

    def pages(
        self, name: str, *, path: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None
    ) -> Iterator[Page]:
        """Every page of a collection, in order; all of them again when a cursor has expired."""
        page, trail, restarts = self.page(name, path=path, query=query), PageTrail(name), 0
        yield page
        while page.next:
            trail.add_page(page.content)
            trail.add_link(page.next)
            try:
                page = self.next_page(name, page.next)
            except errors.BadRequest as error:
                if restarts == MAX_RESTARTS or not is_about_cursor(error):
                    raise
                page, trail, restarts = self.page(name, path=path, query=query), PageTrail(name), restarts + 1
            yield page

    def raw_page(
        self,
        name: str,
        *,
        path: Mapping[str, str],
        query: Mapping[str, str],
        link: str | None = None,
        permit: Permit | None = None,
    ) -> RawPage:
        """A page of a collection of which only the outline is decoded: little work for the thread that fetches it.

        Args:
            name: Klaviyo's operation id.
            path: values for the path's parameters.
            query: the query string's parameters.
            link: the ``next`` link that leads to it; None for the first page.
            permit: what ``acquire`` gave; without one, or when it has been used, another is acquired.
        """
        op = operation(name)
        call = _Call(op, self._url(op, path), query) if link is None else self._link_call(op, link)
        return self._page(call, parse_outline, permit)

    def decode(self, name: str, page: RawPage) -> Page:
        """The whole of a page of this operation of which only the outline was decoded.

        Raises:
            BadDocument: what the outline did not show is broken.
        """
        with _unreadable_as_bad_document(name):
            return decode_page(page.body, self.api_url)

    # Rate limits ------------------------------------------------------------------------------------------------------

    def acquire(self, name: str, query: Mapping[str, str]) -> Permit:
        """Wait until the rate limits allow such a request; the permit is for one request."""
        op, permit = operation(name), self._permit(query)
        self._rate_limiter(op, query).acquire(permit)
        return permit

    def usage(self) -> Mapping[str, Usage]:
        """The requests that were sent, by operation."""
        return self._rate_limiters.usage()

    def requests_left_today(self, name: str) -> int | None:
        """How many requests of an operation this day has left, by our own count; None where nothing limits them."""
        return self._rate_limiter(operation(name), {}).left_today

    def add_past_requests(self, name: str, ages: Iterable[float]) -> None:
        """Count requests that earlier runs have sent, so many seconds ago, as this day's."""
        self._rate_limiter(operation(name), {}).add_past_requests(ages)

    def _rate_limiter(self, op: Operation, query: Mapping[str, str]) -> RateLimiter:
        return self._rate_limiters.of(op.endpoint, op.rates(query), op.daily, is_reduced=op.is_reduced(query))

    def _permit(self, query: Mapping[str, str]) -> Permit:
        shared = self._rate_limiters.shared_cooldown if has_shared_limit(query) else None
        return Permit(shared, self.retry_policy.limiter_timeout)

    # Requests ---------------------------------------------------------------------------------------------------------

    def _url(self, op: Operation, path: Mapping[str, str]) -> str:
        return self.api_url + protocol.path_of(op, path)

    def _link_call(self, op: Operation, link: str) -> _Call:
        return _Call(op, *protocol.split_link(link, self.api_url))

    def _page(self, call: _Call, decode: Callable[[bytes, str, str], T], permit: Permit | None = None) -> T:
        def parse(response: Response) -> T:
            with _unreadable_as_bad_document(call.operation.id):
                return decode(response.body, self.api_url, call.url)

        return self._send(call, parse, permit, idempotent=True)

    def _send(
        self, call: _Call, parse: Callable[[Response], T], permit: Permit | None = None, *, idempotent: bool
    ) -> T:
        """What ``parse`` makes of the answer; failures are retried, those of ``parse`` too."""
        permit = permit or self._permit(call.query)

        def attempt(on_wait: Callable[[float], None]) -> T:
            permit.on_wait = on_wait
            return parse(self._send_once(call, permit))

        return call_with_retries(attempt, self.retry_policy, self.clock, idempotent=idempotent)

    def _send_once(self, call: _Call, permit: Permit) -> Response:
        """Sign and send a request within the rate limits; returns a success, and raises what else comes as an error."""
        rate_limiter = self._rate_limiter(call.operation, call.query)
        # Before it is signed, for the wait may be long, and a token does not hold for ever.
        rate_limiter.acquire(permit)
        authorization = self.credentials.authorization()
        response = self._send_following_redirects(call, authorization, rate_limiter, permit)
        # A 401 says that nothing was done, whatever the operation.
        if response.status == 401 and self.credentials.refresh_after_401(authorization):
            rate_limiter.acquire(permit)
            authorization = self.credentials.authorization()
            response = self._send_following_redirects(call, authorization, rate_limiter, permit)
        error = protocol.response_error(
            call.operation,
            response.status,
            response.body,
            wait=response.retry_after,
            max_wait=self.retry_policy.max_wait,
            advice_on_401=self.credentials.advice_on_401,
        )
        if error is not None:
            raise error
        return response

    def _send_following_redirects(
        self, call: _Call, authorization: str, rate_limiter: RateLimiter, permit: Permit
    ) -> Response:
        """The answer at the end of redirects; each of them is a request that counts."""
        op, url, query = call.operation, call.url, call.query
        headers = protocol.headers(op.revision, self.user_agent, with_body=call.body is not None)
        for _ in range(_MAX_REQUESTS if op.method == "GET" else 1):
            request = Request(op.method, url, headers, query, call.body, authorization)
            try:
                response = self._sender.send(request, rate_limiter, permit)
            except TransportError as error:
                raise errors.ConnectionFault(
                    f"{op.id}: {error} ({self.api_url})",
                    operation=op.id,
                    may_have_succeeded=error.may_have_succeeded,
                ) from error
            if response.status not in _REDIRECTS:
                self._answered_revisions.compare(op, response.headers)
                return response
            url, query = redirect_target(op.id, response, self.api_url, url, query)
        raise errors.BadRequest(f"{op.id}: redirected, check api_url", status=response.status, operation=op.id)


@contextlib.contextmanager
def _unreadable_as_bad_document(name: str) -> Iterator[None]:
    try:
        yield
    except protocol.BadLink as error:
        raise errors.BadDocument(f"{name}: the answer cannot be followed: {error}", operation=name) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise errors.BadDocument(f"{name}: the answer is not a JSON:API document", operation=name) from error
