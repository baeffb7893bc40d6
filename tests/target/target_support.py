"""A target in a subprocess, and a client whose wire is a function."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode

from support.commands import run_command
from support.fast_clock import fast_command

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.retries import RetryPolicy
from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox import RunningSandbox
from klaviyo_sandbox.account import profiles
from target_klaviyo.actions import ACTIONS
from target_klaviyo.delivery.action import Row
from target_klaviyo.delivery.session import Session
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import Outcome, SourceRecord

KEY = "pk_0123456789abcdef"
# How fast waits are over in the command, and jobs in the accounts that it speaks to.
SPEED = 50.0

PROFILE_SCHEMA = {
    "type": "SCHEMA",
    "stream": "profiles",
    "key_properties": [],
    "schema": {
        "type": "object",
        "properties": {
            "email": {"type": ["string", "null"]},
            "phone_number": {"type": ["string", "null"]},
            "external_id": {"type": ["string", "null"]},
            "first_name": {"type": ["string", "null"]},
            "seen_at": {"type": ["string", "null"], "format": "date-time"},
            "spent": {"type": ["number", "null"]},
        },
    },
}


ADA = {"email": "ada@example.com"}
FORM = {"email": "form@example.com", "list": "Made by a form", "confirmOptIn": True, "first_name": "Lovelace"}

PHONE = "+14155550111"
# The data source of every small account that feeds a type of objects.
SOURCE = "01HZ8HH500XBGQ113GSKETD2JG"
LAMP = {"external_id": "LAMP-1", "title": "Lamp", "description": "Bright", "url": "https://shop.example.com/1"}

EXAMPLES = Path(__file__).parents[2] / "examples"


class Records(dict[str, tuple[dict[str, Any], dict[str, Any]]]):
    """Action -> an entry of the settings and a record that it sends."""

    def __missing__(self, action: str) -> NoReturn:
        raise AssertionError(advice_for({action}))


def advice_for(actions: Iterable[str]) -> str:
    """What to add for these actions, of which no test has a record."""
    return "".join(
        f"\nthe action {name!r} has no record to test with: add examples/{name}.jsonl (a SCHEMA, RECORDs, a STATE) "
        f'and to examples/streams.json "NAME OF ITS STREAM": {{"action": "{name}"}}. If its first record will not do, '
        f"add to EVERY in tests/target/target_support.py: "
        f'"{name}": ({{}}, {{"email": "x@example.com"}}),  # options, a record'
        for name in sorted(actions)
    )


def of_examples(actions: Iterable[str]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Action -> the settings of its example, and its first record, for those that have an example."""
    entries = json.loads((EXAMPLES / "streams.json").read_text())
    found = {}
    for action in actions:
        path = EXAMPLES / f"{action}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        for line in [line for line in lines if line["type"] == "RECORD"][:1]:
            options = {name: value for name, value in entries.get(line["stream"], {}).items() if name != "action"}
            found[action] = (options, line["record"])
    return found


# Those whose example is longer, or does less, than what tests need; the others have the first record of their example.
EVERY = Records(
    {
        "upsert_profile": ({"list": "Made", "create_list": True, "nulls": "clear"}, {**ADA, "first_name": None}),
        "track_event": ({}, {**ADA, "metric": "Waved", "properties": {"at": "us"}}),
        "order_completed": ({}, {**ADA, "order_id": "1", "value": 3, "items": [{"sku": "A", "price": 3}]}),
        "list_members": ({"list": "Made", "create_list": True}, {"email": "b@example.com"}),
        "subscribe": ({"list": "Made", "create_list": True}, {"email": "c@example.com"}),
        "unsubscribe": ({}, {"email": "d@example.com"}),
        "consent": ({}, {"email": "k@example.com", "status": "subscribed", "phone_number": PHONE, "sms_status": "no"}),
        "suppress": ({}, {"email": "e@example.com"}),
        "unsuppress": ({}, {"email": "f@example.com"}),
        "delete_profile": ({"allow_deletion": True}, {"email": "g@example.com"}),
        "merge_profiles": ({"allow_merging": True}, {"email": "l@example.com", "merged_email": "m@example.com"}),
        "identify": ({"consent": "subscribe"}, {"$email": "h@example.com", "$first_name": "Lovelace"}),
        "track": ({}, {"$email": "i@example.com", "event": "Waved"}),
        "update_profile": ({"create_list": True}, FORM),
        "coupon": ({}, {"external_id": "SPRING", "description": "Lovelace", "monitor_configuration": {"a": 1}}),
        "coupon_codes": ({}, {"coupon_id": "10OFF", "unique_code": "C-1", "expires_at": "2030-01-01"}),
        "catalog_items": ({}, {**LAMP, "custom_metadata": {"by": "Lovelace"}, "published": True}),
        "catalog_variants": (
            {},
            {**LAMP, "item_id": "$custom:::$default:::SKU-0007", "sku": "L", "inventory_quantity": 1, "price": 2},
        ),
        "catalog_categories": ({}, {"external_id": "LAMPS", "name": "Lovelace"}),
        "object_records": ({"data_source": SOURCE}, {"properties": {"name": "Lovelace", "boxes": 3}}),
    }
)
# It sends nothing.
EVERY |= of_examples(name for name in ACTIONS if name not in EVERY and name != "audience_manifest")


# Those of the records above who must be there already.
THERE = ("l@example.com", "m@example.com")


def add_people(account: RunningSandbox, *addresses: str) -> None:
    """Put people into an account."""
    with account.store.lock:
        for address in addresses:
            profiles.upsert(account.store, {"attributes": {"email": address}}, keep_on_null=False)


# Options without which an action is refused, because it cannot be undone.
NEEDED: dict[str, dict[str, Any]] = {
    "delete_profile": {"allow_deletion": True},
    "merge_profiles": {"allow_merging": True},
}


def records(stream: str, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "RECORD", "stream": stream, "record": dict(row)} for row in rows]


def schema_of(stream: str) -> dict[str, Any]:
    return {**PROFILE_SCHEMA, "stream": stream}


@dataclass(frozen=True)
class Run:
    """How a target ended.

    Attributes:
        before: files that earlier runs had left in its folder.
    """

    code: int
    stdout: str
    stderr: str
    folder: Path
    before: frozenset[Path] = frozenset()

    @property
    def states(self) -> list[Any]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def rejects(self) -> list[dict[str, Any]]:
        """What this run has put on file."""
        files = sorted(set(self.folder.glob("target-klaviyo-rejects*.jsonl")) - self.before)
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    @property
    def rejected(self) -> list[dict[str, Any]]:
        return [line for line in self.rejects if line["type"] in ("RECORD", "REJECTED")]

    def said(self, *levels: str) -> list[str]:
        """Log lines of these levels."""
        return [line for line in self.stderr.splitlines() if any(f"| {level} " in line for level in levels)]


@dataclass
class Command:
    """``python -m target_klaviyo`` in its own folder, with waits that are over ``speed`` times as fast."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    speed: float = SPEED

    def __call__(
        self,
        messages: Iterable[Mapping[str, Any] | str] = (),
        arguments: Iterable[str] | None = None,
        env: Mapping[str, str] | None = None,
        **config: Any,
    ) -> Run:
        path = self.folder / "config.json"
        path.write_text(json.dumps({**self.config, **config}))
        before = frozenset(self.folder.iterdir())
        command = [*fast_command("target_klaviyo", self.speed), *(arguments or ("--config", str(path)))]
        done = run_command(command, messages, folder=self.folder, environment=env)
        return Run(done.returncode, done.stdout, done.stderr, self.folder, before)


Wire = Callable[[Request], Response]


@dataclass
class Scripted:
    """A transport that answers by a function and remembers what it was asked."""

    answer: Wire
    asked: list[Request] = field(default_factory=list)

    def send(self, request: Request) -> Response:
        self.asked.append(request)
        return self.answer(request)


@dataclass
class Time:
    """A clock on which waiting takes no time."""

    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


def scripted_session(answer: Wire) -> tuple[Session, Scripted]:
    """A session whose every request is answered by a function, on a clock that does not wait."""
    wire = Scripted(answer)
    client = KlaviyoClient("pk_x", clock=Time().clock, transport=wire, retry_policy=RetryPolicy(attempts=2))
    return Session(client, job_timeout=60), wire


def respond(status: int, document: Any = None, **headers: str) -> Response:
    body = b"" if document is None else json.dumps(document).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def refused(status: int, *pointers: str | None) -> Response:
    errors = [
        {"id": "1", "code": "invalid", "title": "Invalid input.", "detail": "No.", "source": {"pointer": pointer}}
        for pointer in pointers
    ]
    return respond(status, {"errors": errors})


NOW = datetime(2026, 11, 1, tzinfo=UTC)


def rows_of(entry: Mapping[str, Any], *found: Mapping[str, Any]) -> list[Row]:
    """The rows that a `streams` entry makes of records; what does not fit rejects, unless the entry says otherwise."""
    route = parse_routes({"s": {"on_bad_value": "reject", **entry}}, None, lambda: NOW)["s"]
    return [route.row(SourceRecord("s", record), record)[1] for record in found]


def outcomes_of(session: Session, action: str, rows: Sequence[Row]) -> list[Outcome]:
    """Every row's one outcome, in the rows' order."""
    deliver = ACTIONS[action].deliver
    assert deliver is not None
    found: dict[Row, Outcome] = {}
    for unit, outcome in deliver(session, rows):
        for row in unit.rows:
            assert row not in found
            found[row] = outcome
    return [found[row] for row in rows]


@dataclass
class People:
    """A wire on which an account has some profiles and lists; everything but reading them is another function's.

    Attributes:
        profiles: id -> attributes.
        members: list id -> ids of profiles.
        size: profiles on a page at most.
    """

    profiles: dict[str, dict[str, Any]]
    members: dict[str, set[str]] = field(default_factory=dict)
    write: Wire = lambda _: respond(204)
    size: int = 100

    def __call__(self, request: Request) -> Response:
        path = request.url.removeprefix("https://a.klaviyo.com/api/").split("/")
        if request.method != "GET":
            return self.write(request)
        match path:
            case ["profiles"]:
                return self._page(request, set(self.profiles))
            case ["lists", list_id, "profiles"] if list_id in self.members:
                return self._page(request, self.members[list_id])
            case ["lists", list_id] if list_id in self.members:
                return respond(200, {"data": {"type": "list", "id": list_id, "attributes": {"name": "x"}}})
            case ["lists"]:
                return respond(200, {"data": []})
        return refused(404, None)

    def _page(self, request: Request, among: set[str]) -> Response:
        asked = re.fullmatch(r"any\((\w+),(\[.*\])\)", request.query["filter"])
        assert asked
        name, values = asked[1], json.loads(asked[2])
        assert len(values) <= 100
        found = [
            {"type": "profile", "id": key, "attributes": self.profiles[key]}
            for key in sorted(among)
            if (key if name == "id" else self.profiles[key].get(name)) in values
        ]
        assert request.query["fields[profile]"].startswith("email,phone_number,external_id")
        start = int(request.query.get("page[cursor]", 0))
        end = start + min(self.size, int(request.query["page[size]"]))
        more = request.url + "?" + urlencode({**request.query, "page[cursor]": end}) if end < len(found) else None
        return respond(200, {"data": found[start:end], "links": {"next": more}})


def body_of(request: Request) -> Any:
    return json.loads(request.body or b"")


def writes(wire: Scripted) -> list[Request]:
    return [request for request in wire.asked if request.method != "GET"]


# When something was last written down, which may well move.
WRITTEN = ("updated", "last_updated", "consent_timestamp", "timestamp")


# Types of resources beside people that actions write.
SHOP = ("coupon", "coupon-code", "catalog-item", "catalog-variant", "catalog-category", "object-record")


def held(account: RunningSandbox) -> dict[str, Any]:
    """The account's state, without the times at which it was last written."""
    store = account.store
    with store.lock:
        tables = {name: getattr(store, name) for name in ("profiles", "lists", "metrics")}
        found: dict[str, Any] = {name: [undated(row) for row in table.rows.values()] for name, table in tables.items()}
        found["events"] = list(store.events.rows.values())
        found |= {kind: [undated(row) for row in store.resources[kind].rows.values()] for kind in SHOP}
        found["members"] = {key: list(table.rows.values()) for key, table in store.list_members.items()}
        found = {name: sorted(rows, key=str) if isinstance(rows, list) else rows for name, rows in found.items()}
    copied: dict[str, Any] = json.loads(json.dumps(found))
    return copied


def undated(value: Any) -> Any:
    if isinstance(value, list):
        return [undated(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {name: undated(entry) for name, entry in value.items() if name not in WRITTEN}
