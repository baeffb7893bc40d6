"""The Meltano SDK's own REST stream, as an ordinary tap has it: it follows the next links, one after another.

python benchmarks/sdk.py events http://127.0.0.1:8765
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BaseHATEOASPaginator
from subjects import HEADERS, SUBJECTS, Subject


class NextLink(BaseHATEOASPaginator):
    def get_next_url(self, response: Any) -> str | None:
        url: str | None = response.json()["links"].get("next")
        return url


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
        size = str(self.subject.budget.rows)
        return {**self.subject.query, "sort": self.subject.bookmark, "page[size]": size}

    def parse_response(self, response: Any) -> Iterator[dict[str, Any]]:
        document = response.json()
        included = {(entry["type"], entry["id"]): entry for entry in document.get("included", ())}
        for row in document["data"]:
            flat = {"id": row["id"], **row["attributes"]}
            for name, relation in row.get("relationships", {}).items():
                flat[name] = _look_up(relation.get("data"), included)
            yield flat


def _look_up(data: Any, included: Mapping[tuple[str, str], Any]) -> Any:
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


if __name__ == "__main__":
    SdkTap(config={"api_url": sys.argv[2], "only": sys.argv[1]}).sync_all()
