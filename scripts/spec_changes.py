"""What two OpenAPI documents of Klaviyo's say differently of the operations that this project uses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import openapi
from operation_facts import client_facts, sandbox_facts
from spec_members import Members, answer_members, body_members

Document = Mapping[str, Any]
# (path, method, what the document says of it).
Operation = tuple[str, str, dict[str, Any]]

_LIMITS = {
    "burst": "a second",
    "steady": "a minute",
    "daily": "a day",
    "max_items": "items a request",
    "max_bytes": "bytes a request",
    "max_item_bytes": "bytes an item",
}


@dataclass(frozen=True)
class Change:
    """One difference of an operation.

    Attributes:
        text: what it is, in words.
        breaks: whether a request that was right, or a reader of the answer, may fail for it.
    """

    text: str
    breaks: bool = False


@dataclass(frozen=True)
class Changes:
    """How a document differs from an older one.

    Attributes:
        gone: used operations that are in the document no more.
        renamed: operations of the older document, used or not -> the id that the same request has now.
        changed: used operations -> what is different.
        added: ids of operations that the older document does not have under any name -> the method.
    """

    gone: Sequence[str]
    renamed: Mapping[str, str]
    changed: Mapping[str, Sequence[Change]]
    added: Mapping[str, str]

    def broken(self, used: Iterable[str]) -> list[str]:
        """Those of these operations that are gone, or have another name, or may fail."""
        may_fail = {name for name, changes in self.changed.items() if any(change.breaks for change in changes)}
        return sorted({*self.gone, *self.renamed, *may_fail} & set(used))


def compare(old: Document, new: Document, used: Iterable[str]) -> Changes:
    """Compare what two documents say of these operations; one that the older document does not have is left out."""
    before, after = _operations(old), _operations(new)
    ids = {(path, method): name for name, (path, method, _) in after.items()}
    lost = {name: ids.get(before[name][:2]) for name in sorted(before.keys() - after.keys())}
    renamed = {name: other for name, other in lost.items() if other is not None}
    changed = {}
    for name in sorted(set(used) & before.keys() & after.keys()):
        if differences := list(_operation_changes(old, before[name], new, after[name])):
            changed[name] = differences
    return Changes(
        gone=sorted((lost.keys() - renamed.keys()) & set(used)),
        renamed=renamed,
        changed=changed,
        added={name: after[name][1] for name in sorted(after.keys() - before.keys() - set(renamed.values()))},
    )


def _operations(document: Document) -> dict[str, Operation]:
    return {entry["operationId"]: (path, method, entry) for path, method, entry in openapi.operations(document)}


def _operation_changes(
    old: Document, before: tuple[Any, ...], new: Document, after: tuple[Any, ...]
) -> Iterator[Change]:
    if before[:2] != after[:2]:
        yield Change(f"request: {_request(before)} is {_request(after)}", breaks=True)
    was, now = client_facts(dict(old), *before), client_facts(dict(new), *after)
    yield from _limit_changes(was, now)
    yield from _set_changes("scopes", was["scopes"], now["scopes"])
    yield from _query_string_changes(was, now)
    yield from _query_body_changes(was.get("query", {}), now.get("query", {}))
    shape_was, shape_now = sandbox_facts(dict(old), *before), sandbox_facts(dict(new), *after)
    yield from _parameter_changes(shape_was["parameters"], shape_now["parameters"])
    yield from _body_changes(body_members(old, shape_was), body_members(new, shape_now))
    yield from _answer_changes(answer_members(old, shape_was), answer_members(new, shape_now))


def _request(operation: Operation) -> str:
    path, method, _ = operation
    return f"{method.upper()} {path}"


def _limit_changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for key, unit in _LIMITS.items():
        if was.get(key) != now.get(key):
            yield Change(f"limit: {_or_none(was.get(key))} {unit} is {_or_none(now.get(key))}")
    if was.get("reduced") != now.get("reduced"):
        yield Change(f"lower limits: {_or_none(was.get('reduced'))} is {_or_none(now.get('reduced'))}")
    largest, largest_now = (facts.get("page_size", {}).get("maximum") for facts in (was, now))
    if largest != largest_now:
        is_less = largest is not None and (largest_now is None or largest_now < largest)
        yield Change(f"largest page: {_or_none(largest)} is {_or_none(largest_now)}", breaks=is_less)


def _or_none(value: Any) -> Any:
    return "none" if value is None else value


def _query_string_changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """Of filters, sorts and includes; sparse and additional fields follow from the resources."""
    yield from _set_changes("filters", was.get("filters", ()), now.get("filters", ()))
    for field in sorted(was.get("filters", {}).keys() & now.get("filters", {}).keys()):
        operators = (
            {f"{form} {operator}" for form, listed in facts["filters"][field].items() for operator in listed}
            for facts in (was, now)
        )
        yield from _set_changes(f"operators of filter {field}", *operators)
        values = (facts.get("filter_values", {}).get(field, ()) for facts in (was, now))
        yield from _set_changes(f"values of filter {field}", *values)
    for key in ("sort", "include"):
        yield from _set_changes(key, was.get(key, ()), now.get(key, ()))
    kinds = was.get("additional_fields", {}).keys() | now.get("additional_fields", {}).keys()
    for kind in sorted(kinds):
        fields = (facts.get("additional_fields", {}).get(kind, ()) for facts in (was, now))
        yield from _set_changes(f"additional fields of {kind}", *fields)


def _query_body_changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """Of a query, which reads by POST: what its prose says of its attributes."""
    values_was, values_now = was.get("values", {}), now.get("values", {})
    for name in sorted(values_was.keys() | values_now.keys()):
        yield from _set_changes(f"values of {name}", values_was.get(name, ()), values_now.get(name, ()))
    for key in sorted((was.keys() | now.keys()) - {"values", "type", "required"}):
        if was.get(key) != now.get(key):
            yield Change(f"{key}: {_or_none(was.get(key))} is {_or_none(now.get(key))}", breaks=True)


def _parameter_changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    required = [name for name, one in now.items() if one["required"] and not was.get(name, {}).get("required")]
    if required:
        yield Change(f"parameters that are required now: {', '.join(sorted(required))}", breaks=True)
    yield from _set_changes("parameters", was, now.keys() - set(required))


def _body_changes(was: Members, now: Members) -> Iterator[Change]:
    required = [
        name
        for name, (_, is_required, _) in now.items()
        if is_required and not was.get(name, ("", False))[1] and _has_parent_in(name, was)
    ]
    if required:
        yield Change(f"required of the body now: {', '.join(sorted(required))}", breaks=True)
    told = set(required) - was.keys()
    yield from _member_changes("the body", was, {name: one for name, one in now.items() if name not in told})


def _has_parent_in(name: str, members: Members) -> bool:
    """Whether what holds it was there: what is required of something new is no news for those who do not send that."""
    return "." not in name or name.rpartition(".")[0].removesuffix("[]") in members


def _answer_changes(was: Mapping[str, Members], now: Mapping[str, Members]) -> Iterator[Change]:
    yield from _set_changes("resources of the answer", was, now)
    for kind in sorted(was.keys() & now.keys()):
        yield from _member_changes(kind, was[kind], now[kind])


def _member_changes(holder: str, was: Members, now: Members) -> Iterator[Change]:
    yield from _set_changes(
        f"attributes of {holder}", _topmost(was.keys() - now.keys()), _topmost(now.keys() - was.keys())
    )
    for name in sorted(was.keys() & now.keys()):
        (kind_was, _, values_was), (kind_now, _, values_now) = was[name], now[name]
        if kind_was != kind_now:
            yield Change(f"type of {holder}.{name}: {kind_was} is {kind_now}", breaks=True)
        yield from _set_changes(f"values of {holder}.{name}", values_was, values_now)


def _topmost(names: Iterable[str]) -> set[str]:
    """Without those of which something that holds them is among the names, too."""
    names = set(names)
    return {name for name in names if not any(name[:end] in names for end, letter in enumerate(name) if letter in ".[")}


def _set_changes(what: str, was: Iterable[str], now: Iterable[str]) -> Iterator[Change]:
    before, after = set(was), set(now)
    if before - after:
        # A scope that is needed no more, or a value that comes no more, stops nobody.
        yield Change(f"{what}, gone: {', '.join(sorted(before - after))}", breaks=what != "scopes")
    if after - before:
        yield Change(f"{what}, new: {', '.join(sorted(after - before))}", breaks=what == "scopes")


# The report -----------------------------------------------------------------------------------------------------------


def report(changes: Changes, users: Mapping[str, Sequence[str]], old: str, new: str) -> Iterator[str]:
    """The changes as lines for people.

    Args:
        changes: what is different.
        users: operation -> who uses it, such as ``tap``.
        old: the revision of the older document.
        new: that of the newer one.
    """
    yield f"{new} against {old}, of the {len(users)} operations that are used:"
    for title, names in (
        ("gone", [_named(name, users) for name in changes.gone]),
        ("renamed", [f"{_named(name, users)} is {other}" for name, other in changes.renamed.items()]),
    ):
        yield f"\n{title}: {', '.join(names) or 'none'}"
    for title, wanted in (("may break", True), ("more, or moved", False)):
        changed = {
            name: [change.text for change in found if change.breaks == wanted]
            for name, found in changes.changed.items()
        }
        chosen = {name: texts for name, texts in changed.items() if texts}
        yield f"\n{title}: {'' if chosen else 'none'}".rstrip()
        for texts, names in _together(chosen).items():
            yield f"  {', '.join(_named(name, users) for name in names)}"
            yield from (f"    {text}" for text in texts)
    for title, reads in (("new operations that read", True), ("new operations that write", False)):
        added = [name for name, method in changes.added.items() if (method == "get") == reads]
        yield f"\n{title} ({len(added)}): {', '.join(added) or 'none'}"


def _named(name: str, users: Mapping[str, Sequence[str]]) -> str:
    return f"{name} ({', '.join(users.get(name, ())) or 'not used'})"


def _together(texts: Mapping[str, Sequence[str]]) -> dict[tuple[str, ...], list[str]]:
    """The same changes -> the operations that have them: a resource changes wherever it is in an answer."""
    names: dict[tuple[str, ...], list[str]] = {}
    for name, listed in texts.items():
        names.setdefault(tuple(listed), []).append(name)
    return names
