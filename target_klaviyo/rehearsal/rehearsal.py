"""A rehearsal: everything runs as in a push, Klaviyo is only read, and what would be sent becomes a plan.

The delivery code is the same. Its client answers by itself whatever is no GET, and what follows from such an answer: a
job that was never begun is complete, a list that was never made is empty. Beneath it the wire refuses all but GET.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import Page
from klaviyo_client.api.reply import Reply
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import SettingsError
from klaviyo_client.http.sending import Sender
from klaviyo_client.http.transport import Request, Response, Transport
from klaviyo_client.http.usage import Usage
from klaviyo_client.plugin.booleans import parse_boolean_setting
from klaviyo_client.privacy import private_files
from klaviyo_client.privacy.redaction import mask
from target_klaviyo.delivery import jobs
from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.delivery.dispatch import Dispatcher
from target_klaviyo.model.amounts import Limit
from target_klaviyo.model.records import Outcome, SourceRecord
from target_klaviyo.rehearsal.plan import Plan
from target_klaviyo.rehearsal.request_bodies import name_of, sent
from target_klaviyo.reporting.results import Report
from target_klaviyo.reporting.run_report import Ending

logger = logging.getLogger("target-klaviyo")

# How the ids begin that Klaviyo never gave. Its own have no hyphen there.
_MADE_UP = "rehearsal-"
_JOBS = frozenset(kind.read_page for kind in (jobs.IMPORTS, jobs.SUPPRESSIONS, jobs.UNSUPPRESSIONS))
# People whose names are kept, so that whoever is removed by Klaviyo's id has one in the plan.
_KNOWN = 200_000


_VARIABLE = "TARGET_KLAVIYO_DRY_RUN"


def is_wanted(config: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Whether the run is a rehearsal.

    Raises:
        SettingsError: the environment asks for one and is not listened to, or cannot be understood: going on would
            send.
    """
    try:
        asked = parse_boolean_setting(environment.get(_VARIABLE, ""))
    except ValueError as error:
        raise SettingsError(f"{_VARIABLE} must be true or false") from error
    if asked and not config["dry_run"]:
        raise SettingsError(f"{_VARIABLE} asks for a rehearsal, and the config does not: add --config ENV, or unset it")
    return bool(config["dry_run"])


class WouldSend(RuntimeError):
    """A rehearsal was about to send something: a fault in this program, and nothing was sent."""


@dataclass(frozen=True)
class ReadOnly:
    """A wire that lets nothing but GET through."""

    transport: Transport

    def send(self, request: Request) -> Response:
        """Send a GET.

        Raises:
            WouldSend: it is none.
        """
        if request.method != "GET":
            raise WouldSend(f"{request.method} in a rehearsal")
        return self.transport.send(request)


@dataclass
class RehearsingClient(KlaviyoClient):
    """A client that reads, and answers everything else itself.

    Args:
        plan: told of what is read and what would be sent.
    """

    plan: Plan = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sender = Sender(ReadOnly(self._sender.transport))
        self._numbers = itertools.count(1)
        self._made_lists: dict[str, str] = {}
        self._people: dict[str, str] = {}
        self._lock = threading.Lock()

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
            return self._imagined(name, path or {}, msgspec.json.decode(body) if isinstance(body, bytes) else body)
        if made_up := _made_up(path):
            attributes = {"status": "complete", "name": self._made_lists.get(made_up)}
            return Reply(200, {}, {"data": {"id": made_up, "attributes": attributes}})
        self.plan.read(name)
        reply = super().call(name, path=path, query=query, body=body, idempotent=idempotent)
        if isinstance(reply.document, dict):
            self._remember(reply.document.get("data"))
        return reply

    def page(self, name: str, *, path: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None) -> Page:
        # The account's jobs are only ever asked for to find ours among them.
        if name in _JOBS or _made_up(path):
            return Page(())
        self.plan.read(name)
        page = self._noted(super().page(name, path=path, query=query))
        return Page((*page.data, *self._lists_to_be()), page.included, page.next) if name == "get_lists" else page

    def next_page(self, name: str, url: str) -> Page:
        self.plan.read(name)
        return self._noted(super().next_page(name, url))

    def _noted(self, page: Page) -> Page:
        for entry in page.data:
            self._remember(entry)
        return page

    def _remember(self, resource: Any) -> None:
        """Keep what lists and people are called."""
        if not isinstance(resource, Mapping):
            return
        kind, its_id = resource.get("type"), str(resource.get("id"))
        if kind == "list" and (name := (resource.get("attributes") or {}).get("name")):
            self.plan.list_seen(its_id, name)
        elif kind == "profile" and (name := name_of(resource)):
            with self._lock:
                self._people.pop(its_id, None)
                self._people[its_id] = name
                if len(self._people) > _KNOWN:
                    del self._people[next(iter(self._people))]

    def _lists_to_be(self) -> list[Mapping[str, Any]]:
        """Lists that would be there by now: one that was to be made already is not made twice."""
        with self._lock:
            made = list(self._made_lists.items())
        return [{"type": "list", "id": its_id, "attributes": {"name": name}} for its_id, name in made]

    def _imagined(self, name: str, path: Mapping[str, str], body: Mapping[str, Any] | None) -> Reply:
        """What Klaviyo would answer, with an id where it gives one."""
        made_up = f"{_MADE_UP}{next(self._numbers)}"
        document = body or {"data": []}
        holds = sent(path, document)
        for person in holds.people:
            if len(holds.people) == 1 and "id" not in person:
                self._remember({**person, "id": made_up})
        if name == "create_list":
            called = document["data"]["attributes"]["name"]
            self.plan.list_seen(made_up, called, made=True)
            with self._lock:
                self._made_lists[made_up] = called
        self.plan.request(name, holds, (self._name(person) for person in holds.people))
        return Reply(202, {}, {"data": {"id": made_up, "attributes": {}}})

    def _name(self, person: Mapping[str, Any]) -> str:
        named = name_of(person)
        if named is not None:
            return named
        with self._lock:
            return self._people.get(str(person.get("id")), str(person.get("id")))


def _made_up(path: Mapping[str, str] | None) -> str | None:
    """The id in a path that Klaviyo never gave."""
    return next((value for value in (path or {}).values() if value.startswith(_MADE_UP)), None)


class RehearsingDespatch(Dispatcher):
    """A dispatcher that tells a plan which rows come."""

    plan: Plan

    def add(self, stream: str, action: Action, row: Row) -> None:
        self.plan.came(stream, action, row)
        super().add(stream, action, row)


class RehearsalReport(Report):
    """The report of a run that sends nothing: it ends with the plan, and leaves the rejects of real runs alone.

    Args:
        plan: what would be done.
        path: where the plan goes, readable by its owner only; it replaces an earlier one.
        tolerance: how many rejected records the run bears.
    """

    def __init__(self, plan: Plan, path: Path, tolerance: Limit) -> None:
        super().__init__(path, tolerance)
        self._plan = plan
        self._complete = False
        self._sections: list[dict[str, Any]] = []

    def add(self, origin: SourceRecord, action: str, outcome: Outcome) -> None:
        self._plan.settled(origin.stream, action, outcome)
        super().add(origin, action, outcome)

    def add_line(self, line: str, outcome: Outcome) -> None:
        self._plan.settled("unreadable lines", "", outcome)
        super().add_line(line, outcome)

    def section(
        self,
        title: str,
        *,
        notes: Iterable[str] = (),
        columns: Iterable[str] = (),
        rows: Iterable[Iterable[Any]] = (),
    ) -> None:
        """Add a part that something else of the target tells."""
        table = {"columns": list(columns), "rows": [list(row) for row in rows]}
        self._sections.append({"title": title, "notes": list(notes), "table": table})

    def check(self, *, ended: bool = False) -> None:
        self._complete = self._complete or ended
        super().check(ended=ended)

    def close(
        self,
        ending: Ending | None = None,
        *,
        not_sent: int = 0,  # noqa: ARG002 - the report's signature
        usage: Mapping[str, Usage] | None = None,  # noqa: ARG002 - the same
    ) -> None:
        """Log the plan, and write it. Once: a second call does nothing.

        Raises:
            SettingsError: it cannot be written.
        """
        if self._closed:
            return
        self._closed = True
        if ending is not None and ending.reason:
            logger.warning("the rehearsal fails: %s", ending.reason)
        for line in self._plan.lines():
            logger.info("%s", mask(line))
        document = {**self._plan.document(complete=self._complete), "sections": self._sections}
        try:
            private_files.write_private(
                self._path, json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"
            )
        except OSError as error:
            raise SettingsError(f"plan_path cannot be written: {error.strerror or type(error).__name__}") from error
        wrong = document["rejected"] or not self._complete
        early = "" if self._complete else " (it ended early: this is not all)"
        logger.log(
            logging.WARNING if wrong else logging.INFO,
            "rehearsal%s: %s; nothing was sent (see %s)",
            early,
            self._plan.total(),
            self._path,
        )

    def _write(self, document: Mapping[str, Any]) -> None:
        if document["type"] != "SCHEMA":
            self._plan.rejected(document)


@dataclass(frozen=True)
class Rehearsal:
    """The parts of a target that are other ones in a rehearsal."""

    plan: Plan

    def client(self, **options: Any) -> RehearsingClient:
        return RehearsingClient(**options, plan=self.plan)

    def despatch(self, *arguments: Any, **options: Any) -> RehearsingDespatch:
        made = RehearsingDespatch(*arguments, **options)
        made.plan = self.plan
        return made

    def report(self, path: Path, tolerance: Limit) -> RehearsalReport:
        return RehearsalReport(self.plan, path, tolerance)
