"""A plain HTTP client for the sandbox: it sets the headers that Klaviyo asks for, and nothing more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

KEY = "pk_test"
REVISION = "2026-07-15"
FACTS = Path(__file__).resolve().parents[2] / "klaviyo_sandbox" / "spec" / "facts.json"
MEDIA_TYPE = "application/vnd.api+json"


class Caller:
    """Talks to one sandbox over one connection."""

    def __init__(self, url: str, key: str = KEY) -> None:
        self.url = url
        self.session = requests.Session()
        # A proxy of the environment is looked for anew with every request, and none leads to a sandbox.
        self.session.trust_env = False
        self.session.headers.update({"Authorization": f"Klaviyo-API-Key {key}", "revision": REVISION})

    def get(self, path: str, revision: str | None = None, **query: Any) -> requests.Response:
        """GET ``/api/{path}``. In names of parameters ``__`` opens a bracket: ``page__size`` is ``page[size]``.

        Where no revision is named, it is that of the operation which the facts have under a plain name.
        """
        revision = revision or revision_of(path)
        parameters = {_bracketed(name): query[name] for name in query}
        return self.session.get(f"{self.url}/api/{path}", params=parameters, headers={"revision": revision})

    def send(
        self, method: str, path: str, body: Any, query: Mapping[str, str] | None = None, **headers: str
    ) -> requests.Response:
        return self.session.request(
            method, f"{self.url}/api/{path}", params=query, json=body, headers={"Content-Type": MEDIA_TYPE, **headers}
        )

    def post(self, path: str, body: Any, **headers: str) -> requests.Response:
        return self.send("POST", path, body, **headers)

    def delete(self, path: str, body: Any) -> requests.Response:
        return self.send("DELETE", path, body)

    def pages(self, path: str, revision: str | None = None, **query: Any) -> Iterator[dict[str, Any]]:
        """Every page, by following ``links.next``."""
        revision = revision or revision_of(path)
        document = self.get(path, revision, **query).json()
        while True:
            yield document
            following = document["links"].get("next")
            if following is None:
                return
            document = self.session.get(following, headers={"revision": revision}).json()

    def rows(self, path: str, **query: Any) -> list[dict[str, Any]]:
        return [row for page in self.pages(path, **query) for row in page["data"]]

    def close(self) -> None:
        self.session.close()


def revision_of(path: str) -> str:
    """In which revision a path is read under the plain name of its operation."""
    return next((revision for pattern, revision in _other_revisions() if pattern.fullmatch(path)), REVISION)


@cache
def _other_revisions() -> list[tuple[re.Pattern[str], str]]:
    operations = json.loads(FACTS.read_text("utf-8"))["operations"]
    return [
        (re.compile(re.sub(r"\{\w+\}", "[^/]+", entry["path"].removeprefix("/api/"))), entry["revision"])
        for name, entry in operations.items()
        if entry["method"] == "GET" and "revision" in entry and "@" not in name
    ]


def _bracketed(name: str) -> str:
    head, _, inner = name.partition("__")
    return f"{head.replace('_', '-')}[{inner.replace('_', '-')}]" if inner else name


def cursor_of(link: str) -> str:
    """The bare cursor in a link."""
    return parse_qs(urlsplit(link).query)["page[cursor]"][0]


def problem(response: requests.Response) -> tuple[int, str, dict[str, str]]:
    """(status, code, source) of the first error."""
    error = response.json()["errors"][0]
    return response.status_code, error["code"], error["source"]


def import_job(rows: Iterable[dict[str, Any]], lists: Iterable[str] = ()) -> dict[str, Any]:
    """The body of a bulk import of profiles with these attributes, who join the lists."""
    profiles = [{"type": "profile", "attributes": row} for row in rows]
    data: dict[str, Any] = {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": profiles}}}
    if lists:
        data["relationships"] = {"lists": {"data": [{"type": "list", "id": list_id} for list_id in lists]}}
    return {"data": data}


def outcome(caller: Caller, path: str = "profiles") -> int | str:
    """The status of a GET, or the name of what `requests` raises."""
    try:
        return caller.get(path).status_code
    except requests.RequestException as error:
        return type(error).__name__
