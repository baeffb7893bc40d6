"""What all writes share: the answer that they give, and the checks that their bodies must pass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from klaviyo_sandbox import identity
from klaviyo_sandbox.collections import Request
from klaviyo_sandbox.errors import Problem, Refusal, invalid
from klaviyo_sandbox.facts import Schema
from klaviyo_sandbox.shapes import faults

# What a profile is sent for: Klaviyo says so when it dropped a phone number that is none.
PHONE_DROPPED = {"X-Klaviyo-Partial-Failure": "phone_number"}
_ROW = re.compile(r".*/data/\d+(?=/|$)")


@dataclass(frozen=True)
class Answer:
    """What a request is answered with; ``document`` may be JSON already, and is None where the answer has no body."""

    status: int
    document: dict[str, Any] | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def check_body(request: Request, schemas: Mapping[str, Schema]) -> None:
    """Refuse a body that is too large or not of the declared shape.

    Raises:
        Refusal: 400; in a bulk request one problem for each bad row, and nothing else when the request is at fault.
    """
    operation = request.operation
    if operation.max_bytes is not None and request.body_bytes > operation.max_bytes:
        raise Refusal([invalid(f"The payload must not be larger than {operation.max_bytes} bytes.", "/data")])
    found = list(faults(operation.body or {}, request.body, schemas))
    if found:
        raise Refusal(_first_of_each_row(invalid(detail, pointer or "/data") for pointer, detail in found))


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


def profile_problem(resource: Mapping[str, Any], pointer: str, *, is_named: bool = False) -> Problem | None:
    """The first thing wrong with what identifies a profile, whose attributes ``pointer`` points to.

    With ``is_named`` something else than the usual identifiers says who it is.
    """
    attributes = resource["attributes"]
    if not (is_named or identity.names_someone(resource)):
        return invalid(identity.NOBODY, pointer)
    if attributes.get("email") and not identity.is_email(attributes["email"]):
        return invalid(identity.BAD_EMAIL, f"{pointer}/email")
    if attributes.get("phone_number") and not identity.is_phone(attributes["phone_number"]):
        return invalid(identity.BAD_PHONE, f"{pointer}/phone_number")
    return None


def without_bad_phone(
    resource: Mapping[str, Any], pointer: str, *, is_named: bool = False
) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """The profile without a phone number that is none, and the header that says that it was dropped.

    Raises:
        Refusal: 400 for anything else, and when nothing but the phone number says who it is.
    """
    problem = profile_problem(resource, pointer, is_named=is_named)
    if problem is None:
        return resource, {}
    attributes = {name: value for name, value in resource["attributes"].items() if name != "phone_number"}
    rest = {**resource, "attributes": attributes}
    if problem.source["pointer"] != f"{pointer}/phone_number" or not (is_named or identity.names_someone(rest)):
        raise Refusal([problem])
    return rest, PHONE_DROPPED


def _first_of_each_row(problems: Iterator[Problem]) -> list[Problem]:
    kept: dict[str, Problem] = {}
    for problem in problems:
        pointer = problem.source["pointer"]
        row = _ROW.match(pointer)
        kept.setdefault(row[0] if row else pointer, problem)
    return list(kept.values())
