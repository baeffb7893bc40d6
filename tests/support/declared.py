"""Queries that the specification allows of an operation, and queries that it forbids.

Made from the committed facts as they stand, and not from what ``klaviyo_sandbox`` reads out of them. What is forbidden
is taken from the other operations first: a sort, an include or a filter that Klaviyo has, but elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from support.conformance import raw_facts
from support.scripts import script

openapi = script("openapi")

OPERATIONS: Mapping[str, Any] = raw_facts()["operations"]
READS = tuple(name for name, operation in OPERATIONS.items() if operation["method"] == "GET")
WRITES = tuple(name for name in OPERATIONS if name not in READS)

Query = Mapping[str, str]

NOWHERE = "no-such-thing"
# The specification demands a filter of these, and its prose says which.
_DEMANDED = {
    "get_campaigns": 'equals(messages.channel,"email")',
    "get_coupon_codes": 'any(coupon.id,["10OFF"])',
}
_VALUES = {
    "date-time": "2026-01-01T00:00:00Z",
    "number": "1767225600",
    "integer": "4",
    "boolean": "true",
    "string": '"one"',
}
_MISQUOTED = {kind: "one" if kind == "string" else f'"{value}"' for kind, value in _VALUES.items()}
# A page's parameters are named without their brackets in ``source.parameter``, as recorded answers have it.
_BLAMED = {"page[size]": "page_size", "page[cursor]": "page_cursor"}
_LISTED = ("include", "fields[", "additional-fields[")


def least(operation: str) -> Query:
    """The query without which nothing is answered."""
    return {"filter": _DEMANDED[operation]} if operation in _DEMANDED else {}


def allowed(operation: str) -> Iterator[Query]:
    """Every declared value of every parameter, one at a time, and all values of those that take several."""
    for parameter, schema in _parameters(operation):
        if parameter == "filter":
            yield from ({parameter: text} for text in allowed_filters(operation))
        elif parameter == "page[size]":
            yield from (
                {**least(operation), parameter: str(schema[bound])} for bound in ("minimum", "default", "maximum")
            )
        elif parameter != "page[cursor]":
            values = openapi.choices(schema)
            yield from ({**least(operation), parameter: value} for value in values)
            if parameter != "sort":
                yield {**least(operation), parameter: ",".join(values)}


def forbidden(operation: str) -> Iterator[tuple[Query, str]]:
    """Queries that must be refused, each with what ``source.parameter`` has to say: an unknown name as it was sent."""
    declared = dict(_parameters(operation))
    yield {**least(operation), NOWHERE: "1"}, NOWHERE
    for parameter in _everywhere() - declared.keys():
        yield {**least(operation), parameter: "1"}, parameter
    for parameter, schema in declared.items():
        for value in _wrong(operation, parameter, schema):
            yield {**least(operation), parameter: value}, _BLAMED.get(parameter, parameter)
    if operation in _DEMANDED:
        yield {}, "filter"


def allowed_filters(operation: str) -> Iterator[str]:
    """Each declared operator of each field with a plausible value, or with each that the specification lists."""
    for field, rule in OPERATIONS[operation]["filters"].items():
        for form, operators in rule["operators"].items():
            for operator in operators:
                for value in _values(rule):
                    yield _with_demanded(operation, field, _clause(operator, field, form, value))


def forbidden_filters(operation: str) -> Iterator[str]:
    """Operators and forms that a field does not have, fields that cannot be filtered by, and values of a wrong type."""
    filters = OPERATIONS[operation]["filters"]
    for field, rule in filters.items():
        value = next(iter(_values(rule)))
        for form, operator in sorted(_forms_of_operators()):
            if operator not in rule["operators"].get(form, ()):
                yield _with_demanded(operation, field, _clause(operator, field, form, value))
        for form, (operator, *_) in rule["operators"].items():
            if form != "none":
                for wrong in _wrong_values(rule):
                    yield _with_demanded(operation, field, _clause(operator, field, form, wrong))
    for field, rule in _fields_anywhere().items():
        if field not in filters:
            form, (operator, *_) = next(iter(rule["operators"].items()))
            yield _with_demanded(operation, field, _clause(operator, field, form, next(iter(_values(rule)))))
    yield from (NOWHERE, "", "equals()", f'equals({NOWHERE},"one")')


def _parameters(operation: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, parameter in OPERATIONS[operation]["parameters"].items():
        if parameter["in"] == "query":
            yield name, parameter["schema"]


def _everywhere() -> set[str]:
    return {name for operation in OPERATIONS for name, _ in _parameters(operation)}


def _wrong(operation: str, parameter: str, schema: Mapping[str, Any]) -> Iterator[str]:
    if parameter == "filter":
        yield from forbidden_filters(operation)
    elif parameter == "page[size]":
        yield from (str(schema["minimum"] - 1), str(schema["maximum"] + 1), "-1", "1.5", "ten", "")
    elif parameter == "page[cursor]":
        yield from (NOWHERE, "")
    else:
        right = openapi.choices(schema)
        elsewhere = {
            value
            for other in OPERATIONS
            for name, s in _parameters(other)
            if name == parameter
            for value in openapi.choices(s)
        }
        if parameter.startswith(_LISTED):
            # An empty list asks for nothing, as JSON:API has it; a list with an empty name in it is none.
            yield from (f"{right[0]},", f",{right[0]}", ",") if right else ()
        for value in (*sorted(elsewhere.difference(right)), NOWHERE):
            yield value
            if parameter.startswith(_LISTED) and right:
                yield f"{right[0]},{value}"


def _fields_anywhere() -> dict[str, Any]:
    return {field: rule for operation in OPERATIONS.values() for field, rule in operation["filters"].items()}


def _forms_of_operators() -> set[tuple[str, str]]:
    rules = [rule for operation in OPERATIONS.values() for rule in operation["filters"].values()]
    operators = {operator for rule in rules for names in rule["operators"].values() for operator in names}
    return {(form, operator) for form in ("none", "single", "list") for operator in operators}


def _kind(rule: Mapping[str, Any]) -> str:
    value = rule.get("value", {"type": "string"})
    return str(value.get("format", value["type"]))


def _values(rule: Mapping[str, Any]) -> list[str]:
    listed = rule.get("value", {}).get("enum")
    return [f'"{value}"' for value in listed] if listed else [_VALUES[_kind(rule)]]


def _wrong_values(rule: Mapping[str, Any]) -> Iterator[str]:
    yield _MISQUOTED[_kind(rule)]
    if "enum" in rule["value"]:
        yield f'"{NOWHERE}"'
    elif _kind(rule) != "string":
        yield NOWHERE


def _clause(operator: str, field: str, form: str, value: str) -> str:
    written = {"none": "", "single": f",{value}", "list": f",[{value},{value}]"}[form]
    return f"{operator}({field}{written})"


def _with_demanded(operation: str, field: str, clause: str) -> str:
    demanded = _DEMANDED.get(operation)
    return clause if demanded is None or f"({field}," in demanded else f"and({demanded},{clause})"
