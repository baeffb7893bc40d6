"""Facts about the operations that are served, from Klaviyo's specification by way of ``facts.json``."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FACTS = Path(__file__).with_name("facts.json")

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class PageSize:
    """Rows per page: the bounds of ``page[size]`` and what is sent without it."""

    minimum: int
    default: int
    maximum: int


@dataclass(frozen=True)
class RelationshipShape:
    """A relationship of a resource: may it have many resources, and which links does it have?"""

    many: bool
    links: tuple[str, ...]


@dataclass(frozen=True)
class ResourceShape:
    """Names of the attributes and relationships that a resource may have in one response."""

    attributes: tuple[str, ...]
    relations: Mapping[str, RelationshipShape]
    has_links: bool


@dataclass(frozen=True)
class Operation:
    """One operation of the API as the specification declares it.

    Attributes:
        id: the vendor's; ``id@revision`` where another revision has one of that id, too, that is served.
        revision: the one that has it in this shape; None where every revision that is spoken has.
        burst, steady, daily: requests per second, minute and day; ``daily`` is None where there is no such limit.
        filters: field -> {"operators": {form: [operator]}, "value": {"type", "format"?, "enum"?}}.
        parameters: name -> {"in", "required", "schema"}.
        reduced: budgets that hold when a parameter has a value: {"parameter", "value", "burst", "steady"}.
        data: shape of the resources in ``data`` of the answer; None where the answer has no resources.
        included: resource type -> shape of the resources in ``included``.
        body: schema of the request body, None where none is taken.
        max_items, max_bytes, max_item_bytes: bounds of the request body, None where there is no such bound.
        query: of an operation that reads by POST: what its descriptions state of the body: "filters" as above, "values"
            of attributes, "max_years" and "max_days" of a time frame, "default_group_by", "required_group_by" and
            "group_by_requires".
    """

    id: str
    revision: str | None
    method: str
    path: str
    pattern: re.Pattern[str]
    burst: int
    steady: int
    daily: int | None
    scopes: tuple[str, ...]
    filters: Mapping[str, Any]
    parameters: Mapping[str, Any]
    reduced: tuple[Mapping[str, Any], ...]
    data: ResourceShape | None
    included: Mapping[str, ResourceShape]
    body: Schema | None
    max_items: int | None
    max_bytes: int | None
    max_item_bytes: int | None
    query: Mapping[str, Any] | None

    @property
    def endpoint(self) -> str:
        """The id without a revision: the requests in all of them come out of one budget."""
        return self.id.partition("@")[0]

    @property
    def page_size(self) -> PageSize | None:
        declared = self.parameters.get("page[size]")
        if declared is None:
            return None
        schema = declared["schema"]
        return PageSize(schema["minimum"], schema["default"], schema["maximum"])

    def choices(self, parameter: str) -> tuple[str, ...]:
        """The values that a parameter may take, empty when it is not declared or takes any."""
        schema = self.parameters.get(parameter, {}).get("schema", {})
        return tuple(schema.get("enum") or schema.get("items", {}).get("enum") or ())


@dataclass(frozen=True)
class UnservedOperation:
    """An operation that Klaviyo has and the sandbox has not."""

    id: str
    revision: str | None
    method: str
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Facts:
    """The whole file.

    Attributes:
        revision: the one of most operations.
        operations: those that are served, by id.
        unserved: the others.
        schemas: those of bodies, by name.
    """

    revision: str
    operations: Mapping[str, Operation]
    unserved: tuple[UnservedOperation, ...]
    schemas: Mapping[str, Schema]

    @functools.cached_property
    def revisions(self) -> tuple[str, ...]:
        """All that are spoken, oldest first."""
        others = {operation.revision for operation in self.operations.values() if operation.revision is not None}
        return tuple(sorted({self.revision, *others}))

    @property
    def revision_list(self) -> str:
        """The same in words."""
        return " and ".join(self.revisions)

    def answering_revision(self, asked: str) -> str:
        """The revision that answers a request in this one: itself, the next newer that is spoken, or the newest."""
        return next((revision for revision in self.revisions if revision >= asked[:10]), self.revisions[-1])

    @functools.cached_property
    def operations_at(self) -> Callable[[str, str], Mapping[str, Operation | UnservedOperation]]:
        """(path, a revision that is spoken) -> method -> the operation. Remembers what was asked for lately."""
        return functools.lru_cache(maxsize=4096)(self._find_operations)

    def _find_operations(self, path: str, revision: str) -> dict[str, Operation | UnservedOperation]:
        found: dict[str, Operation | UnservedOperation] = {}
        everything: tuple[Operation | UnservedOperation, ...] = (*self.operations.values(), *self.unserved)
        for operation in everything:
            if operation.revision not in (None, revision) or not operation.pattern.fullmatch(path):
                continue
            is_of_revision = operation.revision is not None
            if operation.method not in found or (is_of_revision and found[operation.method].revision is None):
                found[operation.method] = operation
        return found


def resolve(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    """The schema that a ``$ref`` points to; any other schema is returned unchanged."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def _members(schema: Schema, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """The declared properties of an object, those of all parts of an ``allOf`` together."""
    schema = resolve(schema, schemas)
    members: dict[str, Any] = {}
    for part in schema.get("allOf", ()):
        for name, child in _members(part, schemas).items():
            both = name in members and "properties" in members[name] and "properties" in resolve(child, schemas)
            members[name] = {"allOf": [members[name], child]} if both else child
    return members | dict(schema.get("properties", {}))


def _resource_shape(schema: Schema, schemas: Mapping[str, Schema]) -> ResourceShape:
    members = _members(schema, schemas)
    relations = {}
    for name, child in _members(members.get("relationships", {}), schemas).items():
        parts = _members(child, schemas)
        links = tuple(_members(parts.get("links", {}), schemas))
        relations[name] = RelationshipShape(resolve(parts["data"], schemas).get("type") == "array", links)
    return ResourceShape(tuple(_members(members.get("attributes", {}), schemas)), relations, "links" in members)


def _resource_type(schema: Schema, schemas: Mapping[str, Schema]) -> str:
    return str(resolve(_members(schema, schemas)["type"], schemas)["enum"][0])


def _response_shapes(
    raw: Mapping[str, Any], schemas: Mapping[str, Schema]
) -> tuple[ResourceShape | None, dict[str, ResourceShape]]:
    success = next((schema for status, schema in raw["responses"].items() if status[0] == "2" and schema), None)
    if success is None:
        return None, {}
    members = _members(success, schemas)
    data = resolve(members["data"], schemas)
    if data.get("type") == "array":
        data = data["items"]
    items = members.get("included", {}).get("items", {})
    candidates = items.get("oneOf", [items] if items else [])
    return (
        _resource_shape(data, schemas),
        {_resource_type(candidate, schemas): _resource_shape(candidate, schemas) for candidate in candidates},
    )


def _pattern(path: str) -> re.Pattern[str]:
    # A name such as {job_id} is a valid group name as it stands.
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.rstrip("/")) + "/?")


def _operation(name: str, raw: Mapping[str, Any], schemas: Mapping[str, Schema]) -> Operation:
    data, included = _response_shapes(raw, schemas)
    return Operation(
        id=name,
        revision=raw.get("revision"),
        method=raw["method"],
        path=raw["path"],
        pattern=_pattern(raw["path"]),
        burst=raw["burst"],
        steady=raw["steady"],
        daily=raw.get("daily"),
        scopes=tuple(raw["scopes"]),
        filters=raw["filters"],
        parameters=raw["parameters"],
        reduced=tuple(raw.get("reduced", ())),
        data=data,
        included=included,
        body=raw.get("body"),
        max_items=raw.get("max_items"),
        max_bytes=raw.get("max_bytes"),
        max_item_bytes=raw.get("max_item_bytes"),
        query=raw.get("query"),
    )


@functools.cache
def load(path: Path = FACTS) -> Facts:
    """Read the file of facts, once per process."""
    document = json.loads(path.read_text(encoding="utf-8"))
    schemas = document["schemas"]
    return Facts(
        revision=document["revision"],
        operations={name: _operation(name, raw, schemas) for name, raw in document["operations"].items()},
        unserved=tuple(
            UnservedOperation(name, raw.get("revision"), raw["method"], _pattern(raw["path"]))
            for name, raw in document["unserved"].items()
        ),
        schemas=schemas,
    )
