"""Checks that the bodies of writes must pass."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account import identifiers
from klaviyo_sandbox.spec.body_schema import find_violations
from klaviyo_sandbox.spec.errors import Problem, Refusal, invalid
from klaviyo_sandbox.spec.exchange import Request
from klaviyo_sandbox.spec.facts import Schema

# Klaviyo says so when it took the rest of a profile and dropped a phone number that is none.
PHONE_DROPPED = {"X-Klaviyo-Partial-Failure": "phone_number"}
_ROW = re.compile(r".*/data/\d+(?=/|$)")


def parse_json(body: bytes) -> object:
    """What a body says.

    Raises:
        ValueError: it is not JSON, is nested too deep, or holds what could not be sent back as JSON.
    """
    try:
        document: object = json.loads(body, parse_constant=_no_constant, parse_float=_finite)
        # Half of a surrogate pair can be escaped in JSON, but nothing that holds it can be sent back.
        if b"\\ud" in body.lower():
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return document


def count_items(body: Any) -> int:
    """How many profiles, events or members the body of a write is about; its shape has been checked."""
    data = body["data"]
    if isinstance(data, list):
        return len(data)
    attributes = data.get("attributes") or {}
    if "events-bulk-create" in attributes:
        people = attributes["events-bulk-create"]["data"]
        return sum(len(person["attributes"]["events"]["data"]) for person in people)
    # Suppression of a whole list names nobody.
    return len(attributes["profiles"]["data"]) if attributes.get("profiles") else 1


def check_body(request: Request, schemas: Mapping[str, Schema]) -> None:
    """Refuse a body that is too large or not of the declared shape.

    Raises:
        Refusal: 400; in a bulk request one problem for each bad row, and nothing else when the request is at fault.
    """
    operation = request.operation
    if operation.max_bytes is not None and request.body_bytes > operation.max_bytes:
        raise Refusal([invalid(f"The payload must not be larger than {operation.max_bytes} bytes.", "/data")])
    found = list(find_violations(operation.body or {}, request.body, schemas))
    if found:
        raise Refusal(_first_of_each_row(invalid(detail, pointer or "/data") for pointer, detail in found))


def limit_pointers(refusal: Refusal, pointers: str) -> Refusal:
    """The refusal with as many of its problems as ``Store.pointers`` lets out."""
    if refusal.status != 400 or pointers == "all":
        return refusal
    first = refusal.problems[0]
    return Refusal([first if pointers == "first" else invalid("Invalid input.", "/data")], refusal.headers)


def check_count(request: Request, count: int, pointer: str) -> None:
    """Refuse more items than the operation takes.

    Raises:
        Refusal: 400.
    """
    limit = request.operation.max_items
    if limit is not None and count > limit:
        raise Refusal([invalid(f"At most {limit} items are accepted, {count} were given.", pointer)])


def check_rows(request: Request, rows: Sequence[Any], pointer: str) -> None:
    """Refuse more rows than the operation takes, and none.

    Raises:
        Refusal: 400.
    """
    check_count(request, len(rows), pointer)
    if not rows:
        raise Refusal([invalid("At least one profile is required.", pointer)])


def profile_problem(resource: Mapping[str, Any], pointer: str) -> Problem | None:
    """The first thing wrong with what identifies a profile, whose attributes ``pointer`` points to."""
    attributes = resource["attributes"]
    if not identifiers.has_identifier(resource):
        return invalid(identifiers.NO_IDENTIFIER, pointer)
    if attributes.get("email") and not identifiers.is_email(attributes["email"]):
        return invalid(identifiers.BAD_EMAIL, f"{pointer}/email")
    if attributes.get("phone_number") and not identifiers.is_phone(attributes["phone_number"]):
        return invalid(identifiers.BAD_PHONE, f"{pointer}/phone_number")
    # The profile of a single event has ``meta`` among its attributes, every other beside them.
    place = pointer if "meta" in attributes else pointer.removesuffix("/attributes")
    meta = attributes.get("meta") or resource.get("meta") or {}
    for operation, change in (meta.get("patch_identifiers") or {}).items():
        if not _is_email_patch(change):
            detail = f"{operation} takes one e-mail address or several, as email."
            return invalid(detail, f"{place}/meta/patch_identifiers/{operation}")
    return None


def _is_email_patch(change: Mapping[str, Any]) -> bool:
    given = change.get("email", [])
    addresses = given if isinstance(given, list) else [given]
    return change.keys() <= {"email"} and all(
        isinstance(address, str) and identifiers.is_email(address) for address in addresses
    )


def without_bad_phone(resource: Mapping[str, Any], pointer: str) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """The profile without a phone number that is none, and the header that says that it was dropped.

    Raises:
        Refusal: 400 for anything else, and when nothing but the phone number says who it is.
    """
    problem = profile_problem(resource, pointer)
    if problem is None:
        return resource, {}
    attributes = {name: value for name, value in resource["attributes"].items() if name != "phone_number"}
    rest = {**resource, "attributes": attributes}
    if problem.source["pointer"] != f"{pointer}/phone_number" or not identifiers.has_identifier(rest):
        raise Refusal([problem])
    other = profile_problem(rest, pointer)
    if other is not None:
        raise Refusal([other])
    return rest, PHONE_DROPPED


def _first_of_each_row(problems: Iterator[Problem]) -> list[Problem]:
    kept: dict[str, Problem] = {}
    for problem in problems:
        pointer = problem.source["pointer"]
        row = _ROW.match(pointer)
        kept.setdefault(row[0] if row else pointer, problem)
    return list(kept.values())


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large")
    return number
