"""Parses the bodies of requests, and checks those of writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account import identifiers
from klaviyo_sandbox.spec.body_schema import find_violations
from klaviyo_sandbox.spec.errors import Problem, Refusal, invalid
from klaviyo_sandbox.spec.exchange import Request
from klaviyo_sandbox.spec.facts import Schema

# Klaviyo sends this header when it accepted a profile but dropped its phone number, which was invalid.
PHONE_DROPPED = {"X-Klaviyo-Partial-Failure": "phone_number"}
# Members that hold the rows of a bulk request.
BULK_ROWS = ("profiles", "coupon-codes", "items", "variants", "categories", "data-source-records")
# The pointer to a row, at the beginning of a pointer into it.
_ROW = re.compile(r".*/data/\d+(?=/|$)")


def parse_json(body: bytes) -> object:
    """The JSON document of a body, as Python's decoder reads it: with NaN, 1e400, and halves of surrogate pairs.

    Raises:
        ValueError: the body is not JSON, or is nested too deep.
    """
    try:
        document: object = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return document


def count_items(body: Any) -> int:
    """How many profiles, events, members or other rows the body of a write holds; its shape has been checked."""
    data = body["data"]
    if isinstance(data, list):
        return len(data)
    attributes = data.get("attributes") or {}
    if "events-bulk-create" in attributes:
        entries = attributes["events-bulk-create"]["data"]
        return sum(len(entry["attributes"]["events"]["data"]) for entry in entries)
    # A suppression of a whole list names no profiles.
    if "object-records" in data.get("relationships", {}):
        return len(data["relationships"]["object-records"].get("data") or ())
    rows = next((attributes[name]["data"] for name in BULK_ROWS if attributes.get(name)), None)
    return 1 if rows is None else len(rows)


def check_body(request: Request, schemas: Mapping[str, Schema]) -> None:
    """Refuse a body that is too large or not of the declared shape.

    Raises:
        Refusal: 400, with the first problem of each row of a bulk request, and of each other place of the body.
    """
    operation = request.operation
    if operation.max_bytes is not None and request.body_bytes > operation.max_bytes:
        raise Refusal([invalid(f"The payload must not be larger than {operation.max_bytes} bytes.", "/data")])
    violations = list(find_violations(operation.body or {}, request.body, schemas))
    if violations:
        raise Refusal(_first_of_each_row(invalid(detail, pointer or "/data") for pointer, detail in violations))


def limit_pointers(refusal: Refusal, pointers: str) -> Refusal:
    """The refusal with "all" its problems, the "first" or "none", as ``Store.pointers`` says; only for a 400."""
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
    """Refuse more rows than the operation takes, and a request without rows.

    Raises:
        Refusal: 400.
    """
    check_count(request, len(rows), pointer)
    if not rows:
        raise Refusal([invalid("At least one row is required.", pointer)])


def profile_problem(resource: Mapping[str, Any], pointer: str) -> Problem | None:
    """The first problem of a profile's identifiers; ``pointer`` points to its attributes."""
    attributes = resource["attributes"]
    if not identifiers.has_identifier(resource):
        return invalid(identifiers.NO_IDENTIFIER, pointer)
    if attributes.get("email") and not identifiers.is_email(attributes["email"]):
        return invalid(identifiers.BAD_EMAIL, f"{pointer}/email")
    if attributes.get("phone_number") and not identifiers.is_phone(attributes["phone_number"]):
        return invalid(identifiers.BAD_PHONE, f"{pointer}/phone_number")
    # The profile of a single event has ``meta`` among its attributes, every other beside them.
    meta_owner = pointer if "meta" in attributes else pointer.removesuffix("/attributes")
    meta = attributes.get("meta") or resource.get("meta") or {}
    for operation, change in (meta.get("patch_identifiers") or {}).items():
        if not _is_email_patch(change):
            detail = f"{operation} takes one e-mail address or several, as email."
            return invalid(detail, f"{meta_owner}/meta/patch_identifiers/{operation}")
    return None


def _is_email_patch(change: Mapping[str, Any]) -> bool:
    email = change.get("email", [])
    addresses = email if isinstance(email, list) else [email]
    return change.keys() <= {"email"} and all(
        isinstance(address, str) and identifiers.is_email(address) for address in addresses
    )


def without_bad_phone(resource: Mapping[str, Any], pointer: str) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """The profile without an invalid phone number, and the header that says that the number was dropped.

    Raises:
        Refusal: 400 for any other problem, and when the phone number is the profile's only identifier.
    """
    problem = profile_problem(resource, pointer)
    if problem is None:
        return resource, {}
    attributes = {name: value for name, value in resource["attributes"].items() if name != "phone_number"}
    rest = {**resource, "attributes": attributes}
    if problem.source["pointer"] != f"{pointer}/phone_number" or not identifiers.has_identifier(rest):
        raise Refusal([problem])
    other_problem = profile_problem(rest, pointer)
    if other_problem is not None:
        raise Refusal([other_problem])
    return rest, PHONE_DROPPED


def _first_of_each_row(problems: Iterator[Problem]) -> list[Problem]:
    first_problems: dict[str, Problem] = {}
    for problem in problems:
        pointer = problem.source["pointer"]
        row = _ROW.match(pointer)
        first_problems.setdefault(row[0] if row else pointer, problem)
    return list(first_problems.values())
