"""Wait for the budget, sign, send, decode; what may pass by itself is tried again by ``retries``."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from klaviyo_client import errors
from klaviyo_client.api import protocol
from klaviyo_client.api.operations import Operation, asks_for_more, operation, pinned_revision
from klaviyo_client.api.pages import Page, RawPage, decode_page, parse_outline
from klaviyo_client.auth import oauth
from klaviyo_client.auth.credentials import Credentials, PrivateKey, SignedIn
from klaviyo_client.auth.oauth import App
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.rate_limits import Budget, Budgets, Closed, DayIsFull, Turn
from klaviyo_client.http.retries import RetryPolicy, call_with_retries
from klaviyo_client.http.sending import Sender, asked_for
from klaviyo_client.http.transport import Request, RequestsTransport, Response, Transport, TransportError
from klaviyo_client.http.usage import Usage

T = TypeVar("T")

DEFAULT_API_URL = "https://a.klaviyo.com"
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Reply:
    """A success of an operation. ``document`` is None where Klaviyo sends no body (202, 204)."""

    status: int
    headers: Mapping[str, str]
    document: Any = None
    operation: str = ""

    @property
    def resource(self) -> Mapping[str, Any]:
        """The resource that was made or asked for; it has an ``id``.

        Raises:
            BadDocument: there is none.
        """
        found = self.document.get("data") if isinstance(self.document, dict) else None
        if not isinstance(found, dict) or not isinstance(found.get("id"), str):
            raise errors.BadDocument(
                f"{self.operation}: the answer does not say what was made", operation=self.operation
            )
        return found

    @property
    def partial_failure(self) -> str | None:
        """What Klaviyo dropped although it accepted the rest (``phone_number``), or None."""
        return self.headers.get(protocol.PARTIAL_FAILURE)


@dataclass
class KlaviyoClient:
    """One account. Safe to share between threads.

    Args:
        api_key: a private key (``pk_...``); empty with ``app``.
        api_url: where the API is; https, or this machine.
        revision: the API revision to ask for, by default the one the facts were generated from.
        rate_limit_share: the part of every budget that we spend, in (0, 1].
        request_timeout: seconds to wait for a connection, and for each part of an answer.
        app: an OAuth app to sign in with, in place of ``api_key``.

    Attributes:
        credentials: what requests are signed with.

    Raises:
        SettingsError: one of these cannot be.
    """

    api_key: str = field(default="", repr=False)
    api_url: str = DEFAULT_API_URL
    revision: str | None = None
    rate_limit_share: float = 0.9
    request_timeout: float = 60.0
    user_agent: str = "singer-klaviyo"
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Clock = field(default_factory=Clock)
    transport: Transport | None = None
    app: App | None = None

    def __post_init__(self) -> None:
        self.api_url = protocol.checked_api_url(self.api_url)
        if not 0 < self.rate_limit_share <= 1:
            raise errors.SettingsError("rate_limit_share must be greater than 0 and at most 1")
        if self.request_timeout <= 0:
            raise errors.SettingsError("request_timeout must be greater than 0 seconds")
        self._budgets = Budgets(self.rate_limit_share, self.clock, self.retry_policy.max_wait)
        self._sender = Sender(self.transport or RequestsTransport(timeout=self.request_timeout))
        self._revision = self.revision or pinned_revision()
        self.credentials = self._signing()

    def _signing(self) -> Credentials:
        if self.app is None:
            return PrivateKey(self.api_key)
        if self.api_key:
            raise errors.SettingsError("an api_key and an OAuth app are given; one of them must go")
        return SignedIn(
            self.app,
            api_url=self.api_url,
            user_agent=self.user_agent,
            sender=self._sender,
            budget=self._budgets.of(oauth.NAME, oauth.RATES),
            clock=self.clock,
            longest=self.retry_policy.limiter_timeout,
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
            name: Klaviyo's operation id.
            path: values for the path's parameters.
            query: the query string's parameters.
            body: a JSON document, or its bytes.
            idempotent: whether doing it twice is the same as once. What is not (and does not only read) is sent
                again only when it is certain that it was not done.

        Raises:
            Refused: Klaviyo answered 4xx.
            Unavailable: no answer, or only 429 and 5xx, for as long as ``retry_policy`` allows.
            UntrustedOrigin: a redirect leads to another origin.
        """
        op = operation(name)
        url = self.api_url + protocol.path_of(op, path or {})
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        turn = self._turn(query or {})

        def attempt(told: Callable[[float], None]) -> Reply:
            turn.told = told
            response = self._attempt(op, url, query or {}, content, turn)
            return Reply(response.status, response.headers, self._document(op, response), op.id)

        return call_with_retries(attempt, self.retry_policy, self.clock, idempotent=idempotent or op.reads)

    def left_today(self, name: str) -> int | None:
        """How many requests of an operation this day has left, by our own count; None where nothing limits them."""
        return self._budget(operation(name)).left

    def remember(self, name: str, ages: Iterable[float]) -> None:
        """Count requests that earlier runs have sent, so many seconds ago, as this day's."""
        self._budget(operation(name)).remember(ages)

    def page(self, name: str, *, path: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None) -> Page:
        """The first page of a collection."""
        op = operation(name)
        return self._page(op, self.api_url + protocol.path_of(op, path or {}), query or {}, decode_page)

    def next_page(self, name: str, url: str) -> Page:
        """The page that a ``next`` link leads to. It repeats the query of the page that it came with."""
        return self._page(operation(name), *self._asked_again(url), decode_page)

    def pages(
        self, name: str, *, path: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None
    ) -> Iterator[Page]:
        """Every page of a collection, in order."""
        page = self.page(name, path=path, query=query)
        yield page
        while page.next:
            page = self.next_page(name, page.next)
            yield page

    def usage(self) -> Mapping[str, Usage]:
        """The requests that were sent, by operation."""
        return self._budgets.usage()

    def turn(self, name: str, query: Mapping[str, str]) -> Turn:
        """Wait until the budget has room for such a request, and take a place there, which is for one request."""
        turn = self._turn(query)
        self._acquire(operation(name), query, turn)
        return turn

    def raw_page(
        self,
        name: str,
        *,
        path: Mapping[str, str],
        query: Mapping[str, str],
        link: str | None = None,
        turn: Turn | None = None,
    ) -> RawPage:
        """The page that a ``next`` link leads to, or the first one, only outlined: little work for a thread.

        Args:
            name: Klaviyo's operation id.
            path: values for the path's parameters.
            query: the query string's parameters.
            link: where the page is; None for the first.
            turn: a place in the budget that was waited for; without one, or when it has been used, another is.
        """
        op = operation(name)
        if link is None:
            url = self.api_url + protocol.path_of(op, path)
        else:
            url, query = self._asked_again(link)
        return self._page(op, url, query, parse_outline, turn)

    def decode(self, name: str, page: RawPage) -> Page:
        """The whole of a page of this operation that was only outlined.

        Raises:
            BadDocument: what the outline did not show is broken.
        """
        try:
            return decode_page(page.body, self.api_url)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise errors.BadDocument(f"{name}: the answer is no JSON:API document", operation=name) from error

    def _asked_again(self, url: str) -> tuple[str, Mapping[str, str]]:
        bare, _, query = protocol.same_origin(url, self.api_url).partition("?")
        return bare, dict(parse_qsl(query, keep_blank_values=True))

    def _page(
        self,
        op: Operation,
        url: str,
        query: Mapping[str, str],
        read: Callable[[bytes, str], T],
        turn: Turn | None = None,
    ) -> T:
        place = turn or self._turn(query)

        def attempt(told: Callable[[float], None]) -> T:
            place.told = told
            response = self._attempt(op, url, query, None, place)
            try:
                return read(response.body, self.api_url)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise errors.BadDocument(f"{op.id}: the answer is no JSON:API document", operation=op.id) from error

        return call_with_retries(attempt, self.retry_policy, self.clock, idempotent=True)

    def _budget(self, op: Operation, query: Mapping[str, str] | None = None) -> Budget:
        query = query or {}
        return self._budgets.of(op.id, op.rates(query), op.daily, bounded=op.is_reduced(query))

    def _turn(self, query: Mapping[str, str]) -> Turn:
        return Turn(self._budgets.include if asks_for_more(query) else None, self.retry_policy.limiter_timeout)

    def _acquire(self, op: Operation, query: Mapping[str, str], turn: Turn) -> None:
        with _told_of(op):
            self._budget(op, query).acquire(turn)

    def _attempt(self, op: Operation, url: str, query: Mapping[str, str], body: bytes | None, turn: Turn) -> Response:
        """One request within the budget; its answer, or the error that the status stands for."""
        # Before it is signed, for the wait may be long, and a token does not hold for ever.
        self._acquire(op, query, turn)
        authorization = self.credentials.authorization()
        response = self._exchange(op, url, query, body, authorization, turn)
        # Whatever it was, a 401 says that it was not done.
        if response.status == 401 and self.credentials.renewed(authorization):
            self._acquire(op, query, turn)
            response = self._exchange(op, url, query, body, self.credentials.authorization(), turn)
        if response.status < 300:
            return response
        if response.status < 400:
            said = f"{op.id}: answered {response.status}, check api_url"
            raise errors.BadRequest(said, status=response.status, operation=op.id)
        seconds = asked_for(response)
        if response.status == 429 and op.daily and (seconds or 0) > self.retry_policy.max_wait:
            # Only the day's window can last so long; others may have spent it.
            raise errors.DailyLimitReached.of(op.id, seconds or 0)
        if response.status == 429:
            raise errors.Throttled.of(op.id, seconds)
        if response.status >= 500:
            said = f"{op.id}: Klaviyo answered {response.status}"
            raise errors.ServerFault(said, operation=op.id, retry_after=seconds)
        raise protocol.refusal(response.status, response.body, op, self.credentials.refused)

    def _exchange(
        self,
        op: Operation,
        url: str,
        query: Mapping[str, str],
        body: bytes | None,
        authorization: str,
        turn: Turn,
    ) -> Response:
        """The answer at the end of redirects, each of which is a request as any other."""
        headers = protocol.headers(self._revision, self.user_agent, with_body=body is not None)
        budget, asked = self._budget(op, query), query
        for _ in range(4):
            request = Request(op.method, url, headers, asked, body, authorization)
            try:
                with _told_of(op):
                    response = self._sender.send(request, budget, turn)
            except TransportError as broken:
                raise errors.ConnectionFault(
                    f"{op.id}: {broken} ({self.api_url})", operation=op.id, may_have_succeeded=broken.may_have_succeeded
                ) from broken
            if response.status not in _REDIRECTS:
                return response
            url = protocol.same_origin(response.headers.get("location", ""), self.api_url, seen_from=url)
            asked = {}
            if op.method != "GET":
                break
        raise errors.BadRequest(f"{op.id}: redirected, check api_url", status=response.status, operation=op.id)

    @staticmethod
    def _document(op: Operation, response: Response) -> Any:
        if not response.body.strip():
            return None
        try:
            return protocol.decode_json(response.body)
        except ValueError as error:
            raise errors.BadDocument(f"{op.id}: the answer is not JSON", operation=op.id) from error


@contextlib.contextmanager
def _told_of(op: Operation) -> Iterator[None]:
    """What keeps a request from being sent, as an error of the operation."""
    try:
        yield
    except DayIsFull as full:
        raise errors.DailyLimitReached.of(op.id, int(full.seconds)) from full
    except Closed as closed:
        seconds = math.ceil(closed.seconds)
        raise (
            errors.DailyLimitReached.of(op.id, seconds) if op.daily else errors.Throttled.of(op.id, seconds)
        ) from closed
