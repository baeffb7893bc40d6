"""The client of a rehearsal: it reads Klaviyo, and answers by itself whatever would write.

So a job that was never begun is complete, and a list that was never made is empty. Beneath it the transport refuses
everything but GET.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import Page
from klaviyo_client.api.reply import Reply
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.sending import Sender
from klaviyo_client.http.transport import Request, Response, Transport
from target_klaviyo.delivery import jobs
from target_klaviyo.rehearsal.plan import Plan
from target_klaviyo.rehearsal.request_bodies import display_name, parse_request

# How the ids begin that Klaviyo never gave. Its own have no hyphen there.
_FAKE_PREFIX = "rehearsal-"
_JOBS = frozenset(kind.read_page for kind in jobs.KINDS if kind.read_page is not None)
# People whose names are kept, so that whoever is removed by Klaviyo's id has one in the plan.
_MAX_NAMES = 200_000


class WriteInRehearsal(RuntimeError):
    """A rehearsal was about to send something: a fault in this program, and nothing was sent."""


@dataclass(frozen=True)
class ReadOnlyTransport:
    """A transport that lets nothing but GET through."""

    transport: Transport

    def send(self, request: Request) -> Response:
        """Send a GET.

        Raises:
            WriteInRehearsal: it is none.
        """
        if request.method != "GET":
            raise WriteInRehearsal(f"{request.method} in a rehearsal")
        return self.transport.send(request)


@dataclass
class RehearsalClient(KlaviyoClient):
    """A client that reads, and answers everything else itself.

    Args:
        plan: is told of what is read and what would be sent.
    """

    plan: Plan = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sender = Sender(ReadOnlyTransport(self._sender.transport))
        self._numbers = itertools.count(1)
        self._new_lists: dict[str, str] = {}
        self._profile_names: dict[str, str] = {}
        self._lock = threading.Lock()
        self._is_for_plan = False

    @contextmanager
    def asking_for_plan(self) -> Iterator[None]:
        """Meanwhile what is read is for the plan only: a real run would not ask it. Nothing else may be under way."""
        self._is_for_plan = True
        try:
            yield
        finally:
            self._is_for_plan = False

    def call(
        self,
        name: str,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | bytes | None = None,
        idempotent: bool = False,
    ) -> Reply:
        if operation(name).method != "GET":
            return self._fake_reply(name, path or {}, msgspec.json.decode(body) if isinstance(body, bytes) else body)
        if fake_id := _fake_id_in(path):
            attributes = {"status": "complete", "name": self._new_lists.get(fake_id)}
            return Reply(200, {}, {"data": {"id": fake_id, "attributes": attributes}})
        self._count_read(name)
        reply = super().call(name, path=path, query=query, body=body, idempotent=idempotent)
        if isinstance(reply.document, dict):
            self._remember_name(reply.document.get("data"))
        return reply

    def page(self, name: str, *, path: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None) -> Page:
        # The account's jobs are only ever asked for to find ours among them.
        if name in _JOBS or _fake_id_in(path):
            return Page(())
        self._count_read(name)
        page = super().page(name, path=path, query=query)
        self._remember_names(page)
        if name != "get_lists":
            return page
        return Page((*page.data, *self._new_list_resources()), page.included, page.next)

    def next_page(self, name: str, url: str) -> Page:
        self._count_read(name)
        page = super().next_page(name, url)
        self._remember_names(page)
        return page

    def _count_read(self, name: str) -> None:
        if not self._is_for_plan:
            self.plan.add_read(name)

    def _remember_names(self, page: Page) -> None:
        for resource in page.data:
            self._remember_name(resource)

    def _remember_name(self, resource: Any) -> None:
        """Keep the name of a list or a profile."""
        if not isinstance(resource, Mapping):
            return
        kind, resource_id = resource.get("type"), str(resource.get("id"))
        if kind == "list" and (name := (resource.get("attributes") or {}).get("name")):
            self.plan.name_list(resource_id, name)
        elif kind == "profile" and (name := display_name(resource)):
            with self._lock:
                self._profile_names.pop(resource_id, None)
                self._profile_names[resource_id] = name
                if len(self._profile_names) > _MAX_NAMES:
                    del self._profile_names[next(iter(self._profile_names))]

    def _new_list_resources(self) -> list[Mapping[str, Any]]:
        """Lists that a real run would have made by now: none is to be made twice."""
        with self._lock:
            lists = list(self._new_lists.items())
        return [{"type": "list", "id": list_id, "attributes": {"name": name}} for list_id, name in lists]

    def _fake_reply(self, name: str, path: Mapping[str, str], body: Mapping[str, Any] | None) -> Reply:
        """What Klaviyo would answer, with an id where it gives one."""
        fake_id = f"{_FAKE_PREFIX}{next(self._numbers)}"
        document = body or {"data": []}
        contents = parse_request(path, document)
        for profile in contents.people:
            if len(contents.people) == 1 and "id" not in profile:
                self._remember_name({**profile, "id": fake_id})
        if name == "create_list":
            list_name = document["data"]["attributes"]["name"]
            self.plan.name_list(fake_id, list_name, is_new=True)
            with self._lock:
                self._new_lists[fake_id] = list_name
        self.plan.add_request(name, contents, (self._name_of(profile) for profile in contents.people))
        return Reply(202, {}, {"data": {"id": fake_id, "attributes": {}}})

    def _name_of(self, profile: Mapping[str, Any]) -> str:
        name = display_name(profile)
        if name is not None:
            return name
        with self._lock:
            return self._profile_names.get(str(profile.get("id")), str(profile.get("id")))


def _fake_id_in(path: Mapping[str, str] | None) -> str | None:
    """The id in a path that Klaviyo never gave."""
    return next((value for value in (path or {}).values() if value.startswith(_FAKE_PREFIX)), None)
