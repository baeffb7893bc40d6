"""A sender that makes requests for single records, one after the other, as the Singer target for Klaviyo did so far.

    python benchmarks/one_by_one.py profiles http://127.0.0.1:8765 < lines

It reads Singer lines and writes one empty line for every record that is done.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import requests
from subjects import HEADERS

Record = Mapping[str, Any]
_ATTRIBUTES = ("email", "external_id", "first_name", "last_name", "location")


class OneByOne:
    """An account, reached with one connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.headers.update({**HEADERS, "Content-Type": "application/vnd.api+json"})

    def profiles(self, record: Record) -> None:
        """Look for the person; create or update."""
        query = {"filter": f'equals(email,"{record["email"]}")'}
        rows = self._send("GET", "/api/profiles", params=query)["data"]
        attributes = {name: record[name] for name in _ATTRIBUTES}
        attributes["properties"] = {name: value for name, value in record.items() if name not in _ATTRIBUTES}
        profile = {"type": "profile", "attributes": attributes}
        if rows:
            profile["id"] = rows[0]["id"]
            self._send("PATCH", f"/api/profiles/{profile['id']}", data=json.dumps({"data": profile}))
        else:
            self._send("POST", "/api/profiles", data=json.dumps({"data": profile}))

    def events(self, record: Record) -> None:
        """Record one event."""
        attributes = {name: record[name] for name in ("time", "unique_id", "value", "properties")}
        attributes["metric"] = {"data": {"type": "metric", "attributes": {"name": record["metric"]}}}
        attributes["profile"] = {"data": {"type": "profile", "attributes": {"email": record["email"]}}}
        self._send("POST", "/api/events", data=json.dumps({"data": {"type": "event", "attributes": attributes}}))

    def _send(self, method: str, path: str, **options: Any) -> Any:
        response = self._session.request(method, self._url + path, timeout=60, **options)
        response.raise_for_status()
        return response.json() if response.content else None


def _records() -> Iterator[Record]:
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "RECORD":
            yield message["record"]


if __name__ == "__main__":
    send = getattr(OneByOne(sys.argv[2]), sys.argv[1])
    for record in _records():
        send(record)
        print(flush=True)
