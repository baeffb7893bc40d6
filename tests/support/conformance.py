"""Checks that Klaviyo's specification allows each answer of the sandbox.

A second opinion: no code here comes from ``klaviyo_sandbox``. The committed facts and the vendor's own document become
plain JSON Schemas (``nullable`` as a type, ``allOf`` as one object), in which a success may hold no member that is not
declared. Errors may: Klaviyo's own carry ``status``, ``links`` and ``meta``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jsonschema_rs import Draft202012Validator as FastValidator

from support.live_differences import allow_live_differences
from support.scripts import script

openapi = script("openapi")

ROOT = Path(__file__).resolve().parents[2]
FACTS = ROOT / "klaviyo_sandbox" / "spec" / "facts.json"
MINIMA = ROOT / "tests" / "conformance_minima.json"

Schema = dict[str, Any]


class Check:
    """One compiled schema. The fast validator decides; the slow one explains, as it names the most telling error."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._fast = FastValidator(schema, validate_formats=True, formats={"date-time": is_date_time})

    def fault(self, document: Any) -> str | None:
        if self._fast.is_valid(document):
            return None
        error = best_match(Draft202012Validator(self._schema).iter_errors(document))
        if error is not None:
            return f"at {error.json_path}: {error.message[:300]}"
        first = next(iter(self._fast.iter_errors(document)))
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first.instance_path)
        return f"at ${path}: {first.message[:300]}"


def is_date_time(text: str) -> bool:
    """RFC 3339, or with a space in place of the ``T``, as the real API has been seen to write some times of consent."""
    return _DATE_TIME.is_valid(text[:10] + "T" + text[11:] if text[10:11] == " " else text)


_DATE_TIME = FastValidator({"type": "string", "format": "date-time"}, validate_formats=True)


class Exchange(Protocol):
    """What the sandbox's observer is given; the members that matter here."""

    operation: str | None
    method: str
    path: str
    query: Mapping[str, str]
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Document:
    """A set of operations with the schemas of their answers, as the vendor writes them.

    Attributes:
        name: what findings call it.
        revision: the one whose operations it judges; None: those of all.
        answers: operation -> status, or ``4XX`` and ``5XX`` -> schema; None where there is no body.
        schemas: what ``$ref`` points to, by the last part of the reference.
    """

    name: str
    answers: Mapping[str, Mapping[str, Any]]
    schemas: Mapping[str, Schema]
    revision: str | None = None
    _checks: dict[tuple[str, int, bool], Check | str | None] = field(default_factory=dict)

    def fault(self, operation: str, status: int, answer: Any, *, sparse: bool = False) -> str | None:
        """What is wrong with an answer (decoded, None when it has no body), None when nothing is.

        A ``sparse`` one was asked for some fields only, and lacks attributes that are otherwise required.
        """
        key = (operation, status, sparse)
        if key not in self._checks:
            self._checks[key] = self._compile(operation, status, sparse=sparse)
        check = self._checks[key]
        if isinstance(check, str):
            return check
        if check is None:
            return None if answer is None else "a body where none is declared"
        return check.fault(answer)

    def _compile(self, operation: str, status: int, *, sparse: bool) -> Check | str | None:
        declared = self.answers.get(operation)
        if declared is None:
            return "the operation is not in the document"
        family = f"{status // 100}XX"
        if str(status) not in declared and family not in declared:
            return f"status {status} is not declared"
        schema = declared.get(str(status), declared.get(family))
        if schema is None:
            return None
        plain = self._with_definitions(self._to_json_schema(schema, closed=status < 400), closed=status < 400)
        if status < 400:
            allow_live_differences(plain["$defs"], operation)
        if sparse:
            _make_attributes_optional(plain, plain["$defs"])
        return Check(plain)

    def _with_definitions(self, plain: Schema, closed: bool) -> Schema:
        """The schema together with every named one that it reaches."""
        definitions = openapi.reachable(plain, lambda name: self._to_json_schema(self.schemas[name], closed))
        return {**plain, "$defs": definitions}

    def _to_json_schema(self, schema: Schema, closed: bool) -> Schema:
        """The vendor's schema as JSON Schema 2020-12."""
        if "allOf" in schema:
            schema = self._merge_all_of(schema)
        if "$ref" in schema:
            plain: Schema = {"$ref": "#/$defs/" + openapi.referenced_name(schema["$ref"])}
        else:
            plain = {key: value for key, value in schema.items() if key in ("type", "enum", "format", "required")}
        if "oneOf" in schema:
            plain["anyOf"] = [self._to_json_schema(choice, closed) for choice in schema["oneOf"]]
        if "items" in schema:
            plain["items"] = self._to_json_schema(schema["items"], closed)
        if "properties" in schema:
            plain["properties"] = {
                name: self._to_json_schema(child, closed) for name, child in schema["properties"].items()
            }
            plain["additionalProperties"] = not closed
            # An empty relationship to one is null in the real API; no other declared `data` is an identity alone.
            if schema["properties"].get("data", {}).get("properties", {}).keys() == {"type", "id"}:
                plain["properties"]["data"] = {"anyOf": [plain["properties"]["data"], {"type": "null"}]}
        return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") else plain

    def _merge_all_of(self, schema: Schema) -> Schema:
        """The schema as one object: references and ``allOf`` merged, members of the same name too."""
        if "$ref" in schema:
            return self._merge_all_of(openapi.resolve(schema, self.schemas))
        merged: Schema = {key: value for key, value in schema.items() if key != "allOf"}
        for part in (self._merge_all_of(part) for part in schema.get("allOf", ())):
            both = merged.get("properties", {}).keys() & part.get("properties", {}).keys()
            shared = {
                name: self._merge_all_of({"allOf": [merged["properties"][name], part["properties"][name]]})
                for name in both
            }
            properties = {**merged.get("properties", {}), **part.get("properties", {}), **shared}
            required = sorted({*merged.get("required", ()), *part.get("required", ())})
            merged = {**merged, **part, "required": required}
            if properties:
                merged["properties"] = properties
        return merged


def _make_attributes_optional(node: Any, definitions: Mapping[str, Schema]) -> None:
    """Make every member below ``attributes`` optional, in place."""
    if isinstance(node, dict):
        attributes = node.get("properties", {}).get("attributes")
        if attributes is not None:
            _make_optional(attributes, definitions, set())
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _make_attributes_optional(child, definitions)


def _make_optional(node: Any, definitions: Mapping[str, Schema], seen: set[str]) -> None:
    if isinstance(node, list):
        for child in node:
            _make_optional(child, definitions, seen)
    elif isinstance(node, dict):
        node.pop("required", None)
        name = openapi.referenced_name(str(node.get("$ref", "")))
        if name and name not in seen:
            seen.add(name)
            _make_optional(definitions[name], definitions, seen)
        # Names of members are no keywords: `required` may be one.
        for child in (*node.get("properties", {}).values(), node.get("items"), node.get("anyOf"), node.get("oneOf")):
            _make_optional(child, definitions, seen)


def raw_facts() -> dict[str, Any]:
    """The committed file of facts as it stands: ``operations`` and ``schemas`` by name."""
    facts: dict[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
    return facts


@cache
def _revisions() -> Mapping[str, str]:
    facts = raw_facts()
    return {name: operation.get("revision", facts["revision"]) for name, operation in facts["operations"].items()}


def revision_of(operation: str) -> str | None:
    """The revision to ask for an operation in; None for one that is not served."""
    return _revisions().get(operation)


def committed_facts() -> Document:
    """The answers as the committed file of facts has them."""
    facts = raw_facts()
    answers = {name: operation["responses"] for name, operation in facts["operations"].items()}
    return Document("facts.json", answers, facts["schemas"])


def vendor_document(spec: Mapping[str, Any]) -> Document:
    """The answers as the vendor's OpenAPI document has them."""
    answers = {
        operation["operationId"]: openapi.responses(spec, operation) for *_, operation in openapi.operations(spec)
    }
    revision = spec.get("info", {}).get("version")
    # What another revision has, too, has the revision's name as well.
    answers |= {f"{name}@{revision}": declared for name, declared in answers.items()}
    name = f"Klaviyo's document of {revision}" if revision else "Klaviyo's document"
    return Document(name, answers, spec["components"]["schemas"], revision)


class Recorder:
    """Validates every exchange that it observes, and counts them. ``observe`` never raises; it keeps what it finds.

    Args:
        documents: what answers are validated against.
    """

    def __init__(self, documents: Sequence[Document] = ()) -> None:
        self.findings: list[str] = []
        self.served: Counter[str] = Counter()
        self.documents = documents

    @property
    def validated(self) -> int:
        return sum(self.served.values())

    @property
    def seen(self) -> dict[str, Any]:
        """Its findings and counts, as plain values that one process can send to another."""
        return {"findings": self.findings, "served": dict(self.served)}

    def add(self, seen: Mapping[str, Any]) -> None:
        """Count what another recorder has seen, too."""
        self.findings += seen["findings"]
        self.served.update(seen["served"])

    def observe(self, exchange: Exchange) -> None:
        what = f"{exchange.method} {exchange.path} -> {exchange.status}"
        if exchange.operation is None:
            # No operation was met, so there is no shape to hold the answer to but that of an error.
            if exchange.status < 400:
                self.findings.append(f"{what}: a success without an operation")
            return
        self.served[exchange.operation] += 1
        try:
            answer = json.loads(exchange.body) if exchange.body else None
        except ValueError as error:
            self.findings.append(f"{what}: the body is no JSON: {error}")
            return
        for document in self.documents:
            if document.revision not in (None, revision_of(exchange.operation)):
                continue
            sparse = any(name.startswith("fields[") for name in exchange.query)
            fault = document.fault(exchange.operation, exchange.status, answer, sparse=sparse)
            if fault is not None:
                self.findings.append(f"{what} ({exchange.operation}, {document.name}): {fault}")

    def verdict(self, *, complete: bool) -> list[str]:
        """What must make the test session fail; the minima only count when the whole suite ran."""
        failures = [f"{count}x {finding}" for finding, count in Counter(self.findings).most_common(20)]
        if complete:
            minima = json.loads(MINIMA.read_text(encoding="utf-8"))
            for name, value in (("operations", len(self.served)), ("responses", self.validated)):
                if value < minima[name]:
                    failures.append(f"{name} validated: {value}, fewer than the {minima[name]} of {MINIMA.name}")
        return failures
