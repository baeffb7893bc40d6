"""Queries that the specification allows of an operation, and queries that it forbids.

Made from the committed facts as they stand, and not from what ``klaviyo_sandbox`` reads out of them. What is forbidden
is taken from the other operations first: a sort, an include or a filter that Klaviyo has, but elsewhere. Of these,
each operation is tried with a quarter, and each of them at a quarter of the operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from support.conformance import raw_facts
from support.scripts import script

openapi = script("openapi")

OPERATIONS: Mapping[str, Any] = raw_facts()["operations"]


def _has_more_fields_only(name: str) -> bool:
    """Whether all that an operation has in a revision, and not in the one of most, is fields to ask for."""
    operation, other = OPERATIONS[name], OPERATIONS.get(name.partition("@")[0])
    return (
        other is not None
        and other is not operation
        and operation["parameters"].keys() == other["parameters"].keys()
        and all(operation.get(member) == other.get(member) for member in ("body", "filters"))
    )


# Those that a walk shows nothing new of; `test_sandbox_revisions` asks for their fields.
WITH_MORE_FIELDS = tuple(name for name in OPERATIONS if _has_more_fields_only(name))
READS = tuple(name for name in OPERATIONS if OPERATIONS[name]["method"] == "GET" and name not in WITH_MORE_FIELDS)
WRITES = tuple(name for name in OPERATIONS if name not in (*READS, *WITH_MORE_FIELDS))
_PLACES = {name: place for place, name in enumerate(OPERATIONS)}

Query = Mapping[str, str]

UNDECLARED = "no-such-thing"
# Operations that must be given a filter, and one that the prose of the specification names.
_REQUIRED_FILTERS = {
    "get_campaigns": 'equals(messages.channel,"email")',
    **dict.fromkeys(("get_coupon_codes", "get_coupon_codes@2026-10-15"), 'any(coupon.id,["10OFF"])'),
}
_VALUES = {
    "date-time": "2026-01-01T00:00:00Z",
    "number": "1767225600",
    "integer": "4",
    "boolean": "true",
    "string": '"one"',
}
_WRONGLY_QUOTED = {kind: "one" if kind == "string" else f'"{value}"' for kind, value in _VALUES.items()}
# A page's parameters are named without their brackets in ``source.parameter``, as recorded answers have it.
_NAMES_IN_ERRORS = {"page[size]": "page_size", "page[cursor]": "page_cursor"}
_TAKES_A_LIST = ("include", "fields[", "additional-fields[")


def in_revision(operation: str, revision: str) -> str | None:
    """Our name for what the path of an operation is in another revision; None where that has no such operation."""
    endpoint = operation.partition("@")[0]
    for name in (f"{endpoint}@{revision}", endpoint):
        if name in OPERATIONS and OPERATIONS[name].get("revision", revision) == revision:
            return name
    return None


def minimal_query(operation: str) -> Query:
    """The query that the operation must have at least."""
    return {"filter": _REQUIRED_FILTERS[operation]} if operation in _REQUIRED_FILTERS else {}


def allowed_queries(operation: str) -> Iterator[Query]:
    """Every declared value of every parameter, one at a time, and all values of those that take several."""
    for parameter, schema in _parameters(operation):
        if parameter == "filter":
            yield from ({parameter: text} for text in allowed_filters(operation))
        elif parameter == "page[size]":
            yield from (
                {**minimal_query(operation), parameter: str(schema[bound])}
                for bound in ("minimum", "default", "maximum")
            )
        elif parameter != "page[cursor]":
            values = openapi.choices(schema)
            yield from ({**minimal_query(operation), parameter: value} for value in values)
            if parameter != "sort":
                yield {**minimal_query(operation), parameter: ",".join(values)}


def forbidden_queries(operation: str) -> Iterator[tuple[Query, str]]:
    """Queries that must be refused, each with what ``source.parameter`` must be: an unknown name as it was sent."""
    declared = dict(_parameters(operation))
    yield {**minimal_query(operation), UNDECLARED: "1"}, UNDECLARED
    for parameter in _a_quarter(_all_parameter_names() - declared.keys(), operation):
        yield {**minimal_query(operation), parameter: "1"}, parameter
    for parameter, schema in declared.items():
        for value in _forbidden_values(operation, parameter, schema):
            yield {**minimal_query(operation), parameter: value}, _NAMES_IN_ERRORS.get(parameter, parameter)
    if operation in _REQUIRED_FILTERS:
        yield {}, "filter"


def allowed_filters(operation: str) -> Iterator[str]:
    """Each declared operator of each field with a plausible value, or with each that the specification lists."""
    for field, rule in OPERATIONS[operation]["filters"].items():
        for form in ("none", "single", "list"):
            for operator in dict.fromkeys((*rule["operators"].get(form, ()), *also_taken(rule, form))):
                for value in _filter_values(rule):
                    yield _with_required_filter(operation, field, _clause(operator, field, form, value))


def forbidden_filters(operation: str) -> Iterator[str]:
    """Operators and forms that a field does not have, fields that cannot be filtered by, and values of a wrong type."""
    filters = OPERATIONS[operation]["filters"]
    for field, rule in filters.items():
        value = next(iter(_filter_values(rule)))
        for form, operator in sorted(_all_operator_forms()):
            if operator not in (*rule["operators"].get(form, ()), *also_taken(rule, form)):
                yield _with_required_filter(operation, field, _clause(operator, field, form, value))
        for form, (operator, *_) in rule["operators"].items():
            if form != "none":
                for wrong in _wrong_filter_values(rule):
                    yield _with_required_filter(operation, field, _clause(operator, field, form, wrong))
    others = _all_filter_fields()
    for field in _a_quarter(others.keys() - filters.keys(), operation):
        rule = others[field]
        form, (operator, *_) = next(iter(rule["operators"].items()))
        yield _with_required_filter(operation, field, _clause(operator, field, form, next(iter(_filter_values(rule)))))
    yield from (UNDECLARED, "", "equals()", f'equals({UNDECLARED},"one")')


def also_taken(rule: Mapping[str, Any], form: str) -> tuple[str, ...]:
    """Operators that live Klaviyo takes and the specification does not declare: what equals a list equals one."""
    return ("equals",) if form == "single" and "equals" in rule["operators"].get("list", ()) else ()


def _parameters(operation: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, parameter in OPERATIONS[operation]["parameters"].items():
        if parameter["in"] == "query":
            yield name, parameter["schema"]


def _a_quarter(names: Iterable[str], operation: str) -> list[str]:
    """Every fourth of what only other operations have; operations in a row begin at different ones.

    An operation knows its own names only, so it takes none of the others for what it is.
    """
    return sorted(names)[_PLACES[operation] % 4 :: 4]


@cache
def _all_parameter_names() -> set[str]:
    return {name for operation in OPERATIONS for name, _ in _parameters(operation)}


def _forbidden_values(operation: str, parameter: str, schema: Mapping[str, Any]) -> Iterator[str]:
    if parameter == "filter":
        yield from forbidden_filters(operation)
    elif parameter == "page[size]":
        yield from (str(schema["minimum"] - 1), str(schema["maximum"] + 1), "-1", "1.5", "ten", "")
    elif parameter == "page[cursor]":
        yield from (UNDECLARED, "")
    elif schema != {"type": "string"}:  # which takes any text
        right = openapi.choices(schema)
        elsewhere = {
            value
            for other in OPERATIONS
            for name, s in _parameters(other)
            if name == parameter
            for value in openapi.choices(s)
        }
        if parameter.startswith(_TAKES_A_LIST):
            # An empty list asks for nothing, as JSON:API has it; a list with an empty name in it is none.
            yield from (f"{right[0]},", f",{right[0]}", ",") if right else ()
        for value in (*_a_quarter(elsewhere.difference(right), operation), UNDECLARED):
            yield value
            if parameter.startswith(_TAKES_A_LIST) and right:
                yield f"{right[0]},{value}"


@cache
def _all_filter_fields() -> dict[str, Any]:
    return {field: rule for operation in OPERATIONS.values() for field, rule in operation["filters"].items()}


@cache
def _all_operator_forms() -> set[tuple[str, str]]:
    rules = [rule for operation in OPERATIONS.values() for rule in operation["filters"].values()]
    operators = {operator for rule in rules for names in rule["operators"].values() for operator in names}
    return {(form, operator) for form in ("none", "single", "list") for operator in operators}


def _value_type(rule: Mapping[str, Any]) -> str:
    value = rule.get("value", {"type": "string"})
    return str(value.get("format", value["type"]))


def _filter_values(rule: Mapping[str, Any]) -> list[str]:
    listed = rule.get("value", {}).get("enum")
    return [f'"{value}"' for value in listed] if listed else [_VALUES[_value_type(rule)]]


def _wrong_filter_values(rule: Mapping[str, Any]) -> Iterator[str]:
    yield _WRONGLY_QUOTED[_value_type(rule)]
    if "enum" in rule["value"]:
        yield f'"{UNDECLARED}"'
    elif _value_type(rule) != "string":
        yield UNDECLARED


def _clause(operator: str, field: str, form: str, value: str) -> str:
    written = {"none": "", "single": f",{value}", "list": f",[{value},{value}]"}[form]
    return f"{operator}({field}{written})"


def _with_required_filter(operation: str, field: str, clause: str) -> str:
    required = _REQUIRED_FILTERS.get(operation)
    return clause if required is None or f"({field}," in required else f"and({required},{clause})"
