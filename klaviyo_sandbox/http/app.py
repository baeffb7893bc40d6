"""The account as a web application: routing, keys, revisions, budgets, and Klaviyo's envelope around every answer."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request as WebRequest
from starlette.responses import Response
from starlette.routing import Route

from klaviyo_sandbox.account import jobs
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.http import oauth, operations
from klaviyo_sandbox.http.clock import Clock
from klaviyo_sandbox.http.faults import MARK
from klaviyo_sandbox.http.quotas import Budget, Quotas
from klaviyo_sandbox.http.request_log import Asked, Exchange
from klaviyo_sandbox.reads import collections
from klaviyo_sandbox.spec import errors, facts
from klaviyo_sandbox.spec.exchange import Answer, Request, encode_json
from klaviyo_sandbox.spec.facts import Operation
from klaviyo_sandbox.writes import bodies

MEDIA_TYPE = "application/vnd.api+json"
_BODY_TYPES = (MEDIA_TYPE, "application/json")
_KEY = re.compile(r"Klaviyo-API-Key (pk_\S+)")
_BEARER = re.compile(r"Bearer (\S+)")
_REVISION = re.compile(r"\d{4}-\d\d-\d\d(\.pre)?")
_OPT_OUT = "x-klaviyo-revision-fall-forward-opt-out"
# Every method, so that a wrong one is answered by us and not by the framework.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class _AnyPath(PathConvertor):
    """Starlette's own stops at a line break, and the framework would answer in its own words."""

    regex = "(?s:.*)"


register_url_convertor("any", _AnyPath())


@dataclass(frozen=True)
class Access:
    """Who may do what.

    Attributes:
        key: None: any private key opens the account.
        scopes: None: every scope is granted.
        advanced_kdp: whether the account has Advanced KDP, without which there are no webhooks.
    """

    key: str | None = None
    scopes: frozenset[str] | None = None
    advanced_kdp: bool = True


class Sandbox:
    """A Klaviyo account that answers HTTP requests through ``app``, an ASGI application.

    Args:
        store: the account.
        access: the key and scopes to hold requests to.
        quotas: None switches the limits off.
        clock: the account's.
        latency: seconds to wait before each answer.
        observer: called with every finished exchange, in the thread that serves; not with those that meet a fault.
        include_limit: a budget that requests which include or ask for additional fields share, as Klaviyo has one that
            it tells nobody about: no header speaks of it.
        tokens: of an OAuth app that may do what a key may; None: there is none.

    Attributes:
        access, quotas, latency: as above; they may be changed while it serves.
        requests: what was asked, oldest first; the latest 100,000 are kept, and ``asked`` counts all.
    """

    def __init__(
        self,
        store: Store,
        access: Access,
        quotas: Quotas | None,
        clock: Clock,
        latency: float = 0.0,
        observer: Callable[[Exchange], object] | None = None,
        include_limit: Budget | None = None,
        tokens: oauth.Tokens | None = None,
    ) -> None:
        self._store = store
        self.access = access
        self.quotas = quotas
        self._clock = clock
        self.latency = latency
        self._observer = observer
        self._include_limit = include_limit
        self.tokens = tokens
        self._facts = facts.load()
        self.requests: deque[Asked] = deque(maxlen=100_000)
        self.asked = 0
        self.app = Starlette(
            routes=[
                Route(oauth.PATH, self._token, methods=_METHODS),
                Route("/{path:any}", self._endpoint, methods=_METHODS),
            ],
            exception_handlers={500: _broken},
        )

    def record(self, asked: Asked) -> None:
        """Keep a request among the latest; ``asked`` counts them all."""
        self.requests.append(asked)
        self.asked += 1

    def operation_of(self, method: str, path: str) -> str | None:
        """The id of the operation that a request asks for; None when it asks for none."""
        if path == oauth.PATH and self.tokens is not None:
            return oauth.NAME
        try:
            return self._route(method, path)[0].id
        except errors.Refusal:
            return None

    @property
    def store(self) -> Store:
        """The account as it is now, with every job that is due carried out."""
        with self._store.lock:
            jobs.run_due(self._store)
        return self._store

    async def _endpoint(self, web: WebRequest) -> Response:
        began = time.perf_counter()
        body = await web.body()
        if self.latency:
            await self._clock.pause(self.latency)
        query = dict(parse_qsl(web.url.query, keep_blank_values=True))
        path = web.url.path
        operation: Operation | None = None
        headers: dict[str, str] = {}
        try:
            operation, params = self._route(web.method, path)
            self._authenticate(web.headers)
            headers.update(self._spend(operation, query))
            self._check_revision(web.headers)
            self._check_scopes(operation)
            base = f"{web.url.scheme}://{web.url.netloc}"
            request = Request(operation, base, path, params, query, body_bytes=len(body))
            answer = self._answer(request, web.headers, body)
        except errors.Refusal as refusal:
            answer = Answer(refusal.status, refusal.document(), refusal.headers)
        response = _response(answer, headers)
        asked = Asked(
            web.method,
            path,
            query,
            response.status_code,
            web.scope.get(MARK),
            self._clock(),
            self._seconds_since(began),
            operation.id if operation else None,
            answer.items,
            _pause(response.headers),
        )
        self.record(asked)
        self._show(asked, web, response)
        return response

    async def _token(self, web: WebRequest) -> Response:
        """Answers at the token endpoint, which is no operation of the specification and has no limit."""
        if self.tokens is None:
            return await self._endpoint(web)
        began = time.perf_counter()
        body = await web.body()
        if self.latency:
            await self._clock.pause(self.latency)
        granted = all_scopes() if self.access.scopes is None else self.access.scopes
        answer = self.tokens.answer(web.method, web.headers, body, granted)
        mark, seconds = web.scope.get(MARK), self._seconds_since(began)
        self.record(Asked(web.method, oauth.PATH, {}, answer.status, mark, self._clock(), seconds, oauth.NAME))
        return Response(encode_json(answer.document), answer.status, dict(answer.headers), "application/json")

    def _seconds_since(self, began: float) -> float:
        """How long that is for the account, in whose seconds the latency is."""
        return (time.perf_counter() - began) * self._clock.speed

    def _show(self, asked: Asked, web: WebRequest, response: Response) -> None:
        if self._observer is not None and asked.fault is None:
            self._observer(
                Exchange(
                    asked.operation,
                    asked.method,
                    asked.path,
                    asked.query,
                    dict(web.headers),
                    response.status_code,
                    dict(response.headers),
                    bytes(response.body),
                )
            )

    def _route(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        known = False
        for operation in self._facts.operations.values():
            found = operation.pattern.fullmatch(path)
            if found and operation.method == method:
                return operation, found.groupdict()
            known = known or found is not None
        if known:
            raise errors.method_not_allowed(method)
        raise errors.not_found(f"The path {path} could not be found.")

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        given = headers.get("authorization")
        if given is None:
            raise errors.unauthenticated("Missing or invalid authorization header.")
        if self.tokens is not None and (bearer := _BEARER.fullmatch(given)) and self.tokens.opens(bearer[1]):
            return
        found = _KEY.fullmatch(given)
        if not found or self.access.key not in (None, found[1]):
            raise errors.unauthenticated("Incorrect authentication credentials.")

    def _spend(self, operation: Operation, query: Mapping[str, str]) -> dict[str, str]:
        """Take the request from its budget; the headers that describe what is left."""
        if self.quotas is None:
            return {}
        name, budget = budget_of(operation, query)
        asks_more = "include" in query or any(parameter.startswith("additional-fields[") for parameter in query)
        shared = [("include", self._include_limit)] if self._include_limit and asks_more else []
        verdict = self.quotas.spend(name, budget, *shared)
        if verdict.retry_after:
            raise errors.throttled(verdict.retry_after)
        return {
            "RateLimit-Limit": budget.header(),
            "RateLimit-Remaining": str(verdict.remaining),
            "RateLimit-Reset": str(verdict.reset),
        }

    def _check_revision(self, headers: Mapping[str, str]) -> None:
        revision = headers.get("revision")
        if revision is None:
            raise errors.invalid_parameter("A revision header is required, such as a date.", "revision")
        if not _REVISION.fullmatch(revision):
            raise errors.invalid_parameter(f"'{revision}' is not a revision: it must be YYYY-MM-DD.", "revision")
        # Without the opt-out Klaviyo quietly serves its current revision instead.
        if revision != self._facts.revision and headers.get(_OPT_OUT) == "1":
            raise errors.revision_retired(revision)

    def _check_scopes(self, operation: Operation) -> None:
        granted = self.access.scopes
        missing = [] if granted is None else [scope for scope in operation.scopes if scope not in granted]
        if missing:
            raise errors.forbidden(missing)
        if operation.path.startswith("/api/webhook") and not self.access.advanced_kdp:
            raise errors.not_enabled("Advanced KDP")

    def _answer(self, request: Request, headers: Mapping[str, str], body: bytes) -> Answer:
        collections.check_query(request)
        with self._store.lock:
            try:
                jobs.run_due(self._store)
                if request.operation.body is None:
                    return Answer(200, collections.read(self._store, request))
                return self._written(replace(request, body=_decoded(headers, body)))
            finally:
                # Before anybody is told of it; reads carry out jobs, too.
                self._store.save()

    def _written(self, request: Request) -> Answer:
        try:
            bodies.check_body(request, self._facts.schemas)
            answer = operations.write(self._store, request)
            return answer if request.operation.query else replace(answer, items=bodies.items_of(request.body))
        except errors.Refusal as refusal:
            raise bodies.told(refusal, self._store.pointers) from None


def budget_of(operation: Operation, query: Mapping[str, str]) -> tuple[str, Budget]:
    """The name and size of the budget that a request is taken from: the tightest that its parameters lead to."""
    budgets = {operation.id: Budget(operation.burst, operation.steady, operation.daily)}
    for rule in operation.reduced:
        if rule["value"] in query.get(rule["parameter"], "").split(","):
            name = f"{operation.id} with {rule['parameter']}={rule['value']}"
            budgets[name] = Budget(rule["burst"], rule["steady"])
    return min(budgets.items(), key=lambda item: item[1].steady)


def all_scopes() -> frozenset[str]:
    """Every scope that an operation asks for."""
    return frozenset(scope for operation in facts.load().operations.values() for scope in operation.scopes)


def parse_scopes(text: str) -> frozenset[str]:
    """Scopes separated by spaces or commas.

    Raises:
        ValueError: a scope that no operation asks for.
    """
    scopes = frozenset(text.replace(",", " ").split())
    known = all_scopes()
    if unknown := sorted(scopes.difference(known)):
        raise ValueError(f"unknown scopes: {', '.join(unknown)} (known: {', '.join(sorted(known))})")
    return scopes


def _decoded(headers: Mapping[str, str], body: bytes) -> object:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _BODY_TYPES:
        raise errors.unsupported_media_type(media_type)
    try:
        return bodies.parsed(body)
    except ValueError:
        raise errors.Refusal([errors.invalid("The body is not valid JSON.", "/data")]) from None


def _response(answer: Answer, headers: Mapping[str, str]) -> Response:
    # A 429 says when to come back, and nothing else of the budget.
    sent = dict(answer.headers) if answer.status == 429 else {**headers, **answer.headers}
    if answer.document is None:
        return Response(status_code=answer.status, headers=sent)
    content = answer.document if isinstance(answer.document, bytes) else encode_json(answer.document)
    return Response(content, answer.status, sent, MEDIA_TYPE)


def _pause(headers: Mapping[str, str]) -> int | None:
    """Whole seconds that an answer asks to wait."""
    found = headers.get("retry-after")
    return None if found is None else int(found)


async def _broken(_web: WebRequest, _exception: Exception) -> Response:
    return _response(Answer(500, errors.server_error().document()), {})
