"""The account as a web application: finds the operation of a request, checks access and budget, and answers."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request as WebRequest
from starlette.responses import Response
from starlette.routing import Route

from klaviyo_sandbox.account import jobs
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.http import oauth, operations
from klaviyo_sandbox.http.access import (
    Access,
    asked_revision,
    check_credentials,
    check_revision,
    check_scopes,
    count_revision,
)
from klaviyo_sandbox.http.clock import Clock
from klaviyo_sandbox.http.faults import SCOPE_KEY
from klaviyo_sandbox.http.quotas import Budget, Quotas, budget_of
from klaviyo_sandbox.http.request_log import Exchange, LoggedRequest, PushLog, client_name
from klaviyo_sandbox.http.traffic import Traffic
from klaviyo_sandbox.manners.judge import Judge
from klaviyo_sandbox.reads import collections
from klaviyo_sandbox.spec import errors, facts
from klaviyo_sandbox.spec.exchange import Answer, Request, encode_json, identifying_headers
from klaviyo_sandbox.spec.facts import Operation
from klaviyo_sandbox.writes import bodies

MEDIA_TYPE = "application/vnd.api+json"
_BODY_TYPES = (MEDIA_TYPE, "application/json")
# None named is every method, also one that nobody has heard of: a wrong one is answered by us, not by the framework.
_METHODS: tuple[str, ...] = ()


class _AnyPath(PathConvertor):
    """Starlette's own stops at a line break, and the framework would answer in its own words."""

    regex = "(?s:.*)"


register_url_convertor("any", _AnyPath())


class Sandbox:
    """A Klaviyo account that answers HTTP requests through ``app``, an ASGI application.

    Args:
        store: the account.
        access: the key and scopes to hold requests to.
        quotas: None switches the limits off.
        clock: the account's.
        latency: seconds to wait before each answer.
        observer: called with every finished exchange, in the thread that serves; not with those that meet a fault.
        include_limit: a budget that requests which include or ask for additional fields share. Klaviyo has such a
            budget and does not disclose it: no header speaks of it.
        tokens: of an OAuth app that may do what a key may; None: there is none.
        judge: of its clients' manners.

    Attributes:
        access, quotas, latency: as above; they may be changed while it serves.
        faults: tells what requests can meet before they come here, as text.
        requests: the requests that were made, oldest first; the latest 100,000 are kept.
        request_count: how many were made in all.
        pushes: the latest requests that write and came to the account, with their bodies.
        traffic: counts the requests of the last minutes.
        other_revisions: revision -> requests that asked for it and were answered in one that is spoken.
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
        judge: Judge | None = None,
    ) -> None:
        self._store = store
        self.access = access
        self.quotas = quotas
        self._clock = clock
        self.latency = latency
        self.faults: Callable[[], str] = str
        self._observer = observer
        self._include_limit = include_limit
        self.tokens = tokens
        self.judge = judge or Judge()
        self._facts = facts.load()
        self.requests: deque[LoggedRequest] = deque(maxlen=100_000)
        self.request_count = 0
        self.pushes, self.traffic = PushLog(), Traffic()
        self.other_revisions: Counter[str] = Counter()
        self.app = Starlette(
            routes=[
                Route(oauth.PATH, self._answer_at_token_endpoint, methods=_METHODS),
                Route("/{path:any}", self._answer_at_api, methods=_METHODS),
            ],
            exception_handlers={500: _answer_server_error},
        )

    @property
    def revisions(self) -> str:
        """Those that are spoken, in words."""
        return self._facts.revision_list

    def record(self, request: LoggedRequest) -> None:
        """Keep a request among the latest, and count it."""
        self.requests.append(request)
        self.request_count += 1
        self.traffic.count(request)

    def operation_id(self, method: str, path: str, revision: str | None = None) -> str | None:
        """The id of the operation that a request asks for, in this revision; None when it asks for none."""
        if path == oauth.PATH and self.tokens is not None:
            return oauth.OPERATION_ID
        try:
            return self._find_operation(method, path, revision)[0].id
        except errors.Refusal:
            return None

    @property
    def store(self) -> Store:
        """The account as it is now, with every job that is due carried out."""
        with self._store.lock:
            jobs.run_due(self._store)
        return self._store

    async def _answer_at_api(self, web: WebRequest) -> Response:
        start = time.perf_counter()
        body = await web.body()
        if self.latency:
            await self._clock.sleep(self.latency)
        query = dict(parse_qsl(web.url.query, keep_blank_values=True))
        path, revision = web.url.path, asked_revision(web.headers)
        operation: Operation | None = None
        budget_headers: dict[str, str] = {}
        try:
            operation, params = self._find_operation(web.method, path, revision)
            check_credentials(self.access, self.tokens, web.headers)
            budget_headers = self._spend_budget(operation, query)
            other = check_revision(self.access, web.headers, self._facts)
            count_revision(self.other_revisions, other, self._facts)
            check_scopes(self.access, operation)
            base = f"{web.url.scheme}://{web.url.netloc}"
            request = Request(operation, base, path, params, query, body_bytes=len(body))
            answer = self._carry_out(request, web.headers, body)
        except errors.Refusal as refusal:
            answer = Answer(refusal.status, refusal.document(), refusal.headers)
        response = _to_response(answer, budget_headers, revision)
        logged = LoggedRequest(
            web.method,
            path,
            query,
            response.status_code,
            web.scope.get(SCOPE_KEY),
            self._clock(),
            self._seconds_since(start),
            operation.id if operation else None,
            answer.items,
            _retry_after(response.headers),
            client_name(web.headers),
        )
        self.record(logged)
        if operation is not None and operation.body is not None and not operation.query:
            self.pushes.keep(self.request_count, logged, body, bytes(response.body))
        self._notify_observer(logged, web, response)
        return response

    async def _answer_at_token_endpoint(self, web: WebRequest) -> Response:
        """The token endpoint is no operation of the specification and has no rate limit."""
        if self.tokens is None:
            return await self._answer_at_api(web)
        start = time.perf_counter()
        body = await web.body()
        if self.latency:
            await self._clock.sleep(self.latency)
        answer = self.tokens.answer(web.method, web.headers, body, self.access.granted_scopes)
        fault, seconds, client = web.scope.get(SCOPE_KEY), self._seconds_since(start), client_name(web.headers)
        now, name = self._clock(), oauth.OPERATION_ID
        self.record(LoggedRequest(web.method, oauth.PATH, {}, answer.status, fault, now, seconds, name, client=client))
        headers = {**answer.headers, **identifying_headers(asked_revision(web.headers))}
        return Response(encode_json(answer.document), answer.status, headers, "application/json")

    def _seconds_since(self, start: float) -> float:
        """Seconds of the account, in which the latency is given, too."""
        return (time.perf_counter() - start) * self._clock.speed

    def _notify_observer(self, logged: LoggedRequest, web: WebRequest, response: Response) -> None:
        if self._observer is not None and logged.fault is None:
            self._observer(
                Exchange(
                    logged.operation,
                    logged.method,
                    logged.path,
                    logged.query,
                    dict(web.headers),
                    response.status_code,
                    dict(response.headers),
                    bytes(response.body),
                )
            )

    def _find_operation(self, method: str, path: str, revision: str | None) -> tuple[Operation, Mapping[str, str]]:
        """The operation of a method and path in a revision, and the named parts of the path.

        Raises:
            Refusal: 501 for an operation that is not served, 405 for a path that takes only other methods, 404 for an
                unknown path, or one that the revision does not have.
        """
        answering = self._facts.answering_revision(revision or self._facts.revision)
        found = self._facts.operations_at(path, answering)
        operation = found.get(method)
        if isinstance(operation, Operation):
            match = operation.pattern.fullmatch(path)
            return operation, match.groupdict() if match else {}
        if operation is not None:
            raise errors.not_served(operation.id)
        if found:
            raise errors.method_not_allowed(method, list(found))
        raise errors.not_found(f"The path {path} could not be found.")

    def _spend_budget(self, operation: Operation, query: Mapping[str, str]) -> dict[str, str]:
        """Take the request from its budget. Returns the headers that describe what is left.

        Raises:
            Refusal: 429, nothing is left.
        """
        if self.quotas is None:
            return {}
        name, budget = budget_of(operation, query)
        has_include = "include" in query or any(parameter.startswith("additional-fields[") for parameter in query)
        shared = [("include", self._include_limit)] if self._include_limit and has_include else []
        result = self.quotas.spend(name, budget, *shared)
        if result.retry_after:
            raise errors.throttled(result.retry_after)
        return {
            "RateLimit-Limit": budget.header(),
            "RateLimit-Remaining": str(result.remaining),
            "RateLimit-Reset": str(result.reset),
        }

    def _carry_out(self, request: Request, headers: Mapping[str, str], body: bytes) -> Answer:
        collections.check_query(request)
        with self._store.lock:
            try:
                jobs.run_due(self._store)
                if request.operation.body is None:
                    return Answer(200, collections.read(self._store, request))
                return self._write(replace(request, body=_parse_body(headers, body)))
            finally:
                # Before anybody is told of it; reads carry out jobs, too.
                self._store.save()

    def _write(self, request: Request) -> Answer:
        try:
            bodies.check_body(request, self._facts.schemas)
            answer = operations.write(self._store, request)
            return answer if request.operation.query else replace(answer, items=bodies.count_items(request.body))
        except errors.Refusal as refusal:
            raise bodies.limit_pointers(refusal, self._store.pointers) from None


def _parse_body(headers: Mapping[str, str], body: bytes) -> object:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _BODY_TYPES:
        raise errors.unsupported_media_type(media_type)
    try:
        return bodies.parse_json(body)
    except ValueError:
        raise errors.Refusal([errors.invalid("The body is not valid JSON.", "/data")]) from None


def _to_response(answer: Answer, budget_headers: Mapping[str, str], revision: str | None) -> Response:
    # A 429 says when to come back, and nothing else of the budget.
    headers = dict(answer.headers) if answer.status == 429 else {**budget_headers, **answer.headers}
    headers |= identifying_headers(revision)
    if answer.document is None:
        return Response(status_code=answer.status, headers=headers)
    content = answer.document if isinstance(answer.document, bytes) else encode_json(answer.document)
    return Response(content, answer.status, headers, MEDIA_TYPE)


def _retry_after(headers: Mapping[str, str]) -> int | None:
    """Whole seconds that an answer asks to wait; None when it names no time."""
    seconds = headers.get("retry-after")
    return None if seconds is None else int(seconds)


async def _answer_server_error(web: WebRequest, _exception: Exception) -> Response:
    return _to_response(Answer(500, errors.server_error().document()), {}, asked_revision(web.headers))
