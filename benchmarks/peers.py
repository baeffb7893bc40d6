"""Two readers to measure the tap against. Each writes one line for every row.

    python benchmarks/peers.py bare "list members" http://127.0.0.1:8765 8
    python benchmarks/peers.py sdk events http://127.0.0.1:8765 1

``bare`` fetches pages of concurrent time windows and looks at nothing but the next link: what the sandbox can serve.
``sdk`` is the Meltano SDK's own REST stream as an ordinary tap has it: it follows the next links, one after another.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BaseHATEOASPaginator
from subjects import KEY, SUBJECTS, Subject

REVISION = "2026-07-15"
HEADERS = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}
# The account's two years, and windows that are short enough to keep every thread busy until the end.
END = datetime(2026, 6, 1, tzinfo=UTC)
START, WINDOWS = END - timedelta(days=730), 2000
# The list that holds a tenth of the profiles.
LARGE = "Newsletter"


# The bare downloader --------------------------------------------------------------------------------------------------


class Bare:
    """Windows of one collection, fetched by threads."""

    def __init__(self, subject: Subject, url: str) -> None:
        self._subject = subject
        self._host = urlsplit(url).netloc
        self._lock = threading.Lock()
        self._windows: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def read(self, threads: int) -> None:
        for path in self._paths():
            for query in self._queries():
                self._windows.put((path, query))
        running = [threading.Thread(target=self._work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    def _paths(self) -> list[str]:
        if self._subject.stream != "list_profiles":
            return [f"/api/{self._subject.stream}"]
        connection = http.client.HTTPConnection(self._host)
        url = "/api/lists?" + urlencode({"filter": f'any(name,["{LARGE}"])'})
        (row,) = json.loads(self._fetch(connection, url))["data"]
        return [f"/api/lists/{row['id']}/profiles"]

    def _queries(self) -> Iterator[str]:
        name = self._subject.bookmark
        step = (END - START) / WINDOWS
        # In no order: there is nothing in the first weeks or the last, depending on the collection.
        for at in random.Random(1).sample(range(WINDOWS), WINDOWS):
            low, high = (f"{START + step * place:%Y-%m-%dT%H:%M:%SZ}" for place in (at, at + 1))
            conditions = f"and(greater-than({name},{low}),less-than({name},{high}))"
            size = str(self._subject.facts["page"])
            yield urlencode({**self._subject.query, "sort": name, "page[size]": size, "filter": conditions})

    def _work(self) -> None:
        connection = http.client.HTTPConnection(self._host)
        while True:
            try:
                path, query = self._windows.get_nowait()
            except Empty:
                return
            url: str | None = f"{path}?{query}"
            while url:
                body = self._fetch(connection, url)
                tail = json.loads(body[body.rindex(b'"links":') + 8 : -1])
                # Rows of the page itself, and not what is included with them.
                rows = body.count(b'{"type":"%b","id"' % self._subject.kind.encode(), 0, _end_of_data(body))
                with self._lock:
                    sys.stdout.buffer.write(b"\n" * rows)
                    sys.stdout.buffer.flush()
                url = tail.get("next") and tail["next"].partition(self._host)[2]

    def _fetch(self, connection: http.client.HTTPConnection, url: str) -> bytes:
        while True:
            connection.request("GET", url, headers=HEADERS)
            response = connection.getresponse()
            body = response.read()
            if response.status == http.client.OK:
                return body
            if response.status != http.client.TOO_MANY_REQUESTS:
                raise RuntimeError(f"{response.status} for {url}: {body[:300]!r}")
            time.sleep(float(response.headers["Retry-After"]))


def _end_of_data(body: bytes) -> int:
    found = body.find(b'],"included":[')
    return len(body) if found < 0 else found


# The SDK's own stream -------------------------------------------------------------------------------------------------


class NextLink(BaseHATEOASPaginator):
    def get_next_url(self, response: Any) -> str | None:
        found: str | None = response.json()["links"].get("next")
        return found


class KlaviyoStream(RESTStream[Any]):
    """Pages one after another, rows flattened one level, with what is included looked up by type and id."""

    rest_method = "GET"
    subject: ClassVar[Subject]
    schema: ClassVar[dict[str, Any]]

    @property
    def url_base(self) -> str:
        return str(self.config["api_url"])

    @property
    def http_headers(self) -> dict[str, str]:
        return HEADERS

    def get_new_paginator(self) -> NextLink:
        return NextLink()

    def get_url_params(self, context: Any, next_page_token: Any) -> dict[str, Any]:  # noqa: ARG002
        if next_page_token:
            return dict(parse_qsl(next_page_token.query))
        size = str(self.subject.facts["page"])
        return {**self.subject.query, "sort": self.subject.bookmark, "page[size]": size}

    def parse_response(self, response: Any) -> Iterator[dict[str, Any]]:
        document = response.json()
        included = {(entry["type"], entry["id"]): entry for entry in document.get("included", ())}
        for row in document["data"]:
            flat = {"id": row["id"], **row["attributes"]}
            for name, relation in row.get("relationships", {}).items():
                flat[name] = _looked_up(relation.get("data"), included)
            yield flat


def _looked_up(data: Any, included: Mapping[tuple[str, str], Any]) -> Any:
    if isinstance(data, list):
        return [included.get((entry["type"], entry["id"]), entry) for entry in data]
    return data and included.get((data["type"], data["id"]), data)


class Lists(KlaviyoStream):
    name, path, primary_keys = "lists", "/api/lists", ("id",)
    schema = th.PropertiesList(th.Property("id", th.StringType)).to_dict()

    def get_url_params(self, context: Any, next_page_token: Any) -> dict[str, Any]:  # noqa: ARG002
        return dict(parse_qsl(next_page_token.query)) if next_page_token else {"page[size]": "10"}

    def get_child_context(self, record: Any, context: Any) -> dict[str, Any]:  # noqa: ARG002
        return {"list_id": record["id"]}


def _schema(fields: Iterable[str]) -> dict[str, Any]:
    nested = {"type": ["object", "array", "null"], "additionalProperties": True}
    plain = {"type": ["string", "number", "boolean", "null"]}
    objects = {"event_properties", "attributions", "metric", "profile", "location", "properties", "subscriptions"}
    return {"type": "object", "properties": {name: nested if name in objects else plain for name in fields}}


_PERSON = (
    *("id", "email", "phone_number", "external_id", "first_name", "last_name", "organization", "locale", "title"),
    *("image", "created", "updated", "last_event_date", "location", "properties", "subscriptions"),
)


class SdkTap(Tap):
    """The three collections as an ordinary tap reads them."""

    name = "tap-peer"
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("api_url", th.StringType), th.Property("only", th.StringType)
    ).to_dict()

    def discover_streams(self) -> list[KlaviyoStream]:
        class Events(KlaviyoStream):
            name, path, primary_keys = "events", "/api/events", ("id",)
            subject = SUBJECTS["events"]
            schema = _schema(
                ("id", "timestamp", "datetime", "uuid", "event_properties", "attributions", "metric", "profile")
            )

        class Profiles(KlaviyoStream):
            name, path, primary_keys = "profiles", "/api/profiles", ("id",)
            subject = SUBJECTS["profiles"]
            schema = _schema(_PERSON)

        class Members(KlaviyoStream):
            name, path, primary_keys = "list_profiles", "/api/lists/{list_id}/profiles", ("list_id", "id")
            parent_stream_type = Lists
            subject = SUBJECTS["list members"]
            schema = _schema(("list_id", "joined_group_at", *_PERSON))

        wanted: dict[str, list[type[KlaviyoStream]]] = {
            "events": [Events],
            "profiles": [Profiles],
            "list members": [Lists, Members],
        }
        return [stream(self) for stream in wanted[self.config["only"]]]


def main() -> None:
    """Read one collection to its end."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("reader", choices=("bare", "sdk"))
    options.add_argument("collection", choices=SUBJECTS)
    options.add_argument("url")
    options.add_argument("threads", type=int, help="of the bare downloader; the SDK's stream has one")
    asked = options.parse_args()
    if asked.reader == "bare":
        Bare(SUBJECTS[asked.collection], asked.url).read(asked.threads)
    else:
        SdkTap(config={"api_url": asked.url, "only": asked.collection}).sync_all()


if __name__ == "__main__":
    main()
