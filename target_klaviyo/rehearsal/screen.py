"""The plan of a rehearsal on one screen, for a person. Pure.

It shows examples of people masked, as it may end in a log; names of lists and of the account are shown as they are.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from klaviyo_client.privacy.redaction import hint_at, mask
from target_klaviyo.rehearsal.examples import name_of
from target_klaviyo.rehearsal.plan_stream import LEFT_OUT, MAX_EXAMPLES, NOTHING, REJECTED, SENT

WIDTH = 100
# So many columns of a stream, reasons and lists are shown; the rest is in the plan's file.
_MAX_COLUMNS, _MAX_REASONS, _MAX_LISTS, _MAX_NAMED_LISTS = 40, 10, 20, 3
_MAX_NAME = 36
# Where what is said of a number stands.
_NUMBER = 9
_INDENT = " " * (_NUMBER + 2)
_TYPES = {
    "string": "text",
    "boolean": "yes/no",
    "array": "list",
    "integer": "whole number",
    "datetime": "date and time",
}
# Notes say what was left out before they say why.
_LEFT_OUT_BECAUSE = re.compile(r".* left out \((.*)\)")
# Mirrors' reasons for which a push does not begin.
_BEFORE_THE_PUSH = frozenset(("not_owned",))
# What would become of the people of a list -> the words.
_CHANGES = {
    "additions": "put on it",
    "removals": "removed from it",
    "subscriptions": "subscribed to it",
    "unsubscriptions": "unsubscribed from it",
}
_RESULTS = {
    SENT: "would be sent",
    REJECTED: "would be rejected",
    NOTHING: "would need nothing",
    LEFT_OUT: "would be left out",
}
_ALWAYS = (SENT, REJECTED)


def plan_screen(plan: Mapping[str, Any], path: str) -> str:
    """The screen, lines of at most ``WIDTH`` characters but for the command, which is one whatever its length.

    Args:
        plan: the plan as its file has it.
        path: of that file.
    """
    lines = [*_head(plan)]
    for part in plan["streams"]:
        lines += ["", *_stream(part, plan["left_out_values"])]
    for entry in plan["lists"][:_MAX_LISTS]:
        lines += ["", *_list(entry)]
    if len(plan["lists"]) > _MAX_LISTS:
        lines += ["", f"and {len(plan['lists']) - _MAX_LISTS:,} more lists"]
    for section in plan["sections"]:
        lines += ["", *_mirror(section)]
    return "\n".join(["", *lines, "", *_foot(plan, path), ""])


def format_counts(counts: Mapping[str, int]) -> str:
    """Counts of what would become of records, in words; what seldom happens only where it does.

    >>> format_counts({"would_be_sent": 1200, "would_be_rejected": 3})
    '1,200 would be sent, 3 would be rejected'
    """
    shown = {result: counts.get(result, 0) for result in _RESULTS if result in _ALWAYS or counts.get(result)}
    return ", ".join(f"{count:,} {_RESULTS[result]}" for result, count in shown.items())


def _head(plan: Mapping[str, Any]) -> Iterator[str]:
    account = f" for the account {_clean(plan['account'])}" if plan["account"] else ""
    yield f"PLAN{account}: nothing was sent."
    if not plan["complete"]:
        yield "It ended early; there may be more."
    for problem in plan["problems"]:
        yield from _wrap(f"- {problem}", "", "  ")


# A stream ------------------------------------------------------------------------------------------------------------


def _stream(part: Mapping[str, Any], left_out: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    names = [repr(_clean(name)) for name in part["lists"]]
    more = f" and {len(names) - _MAX_NAMED_LISTS:,} more" if len(names) > _MAX_NAMED_LISTS else ""
    lists = f", list {', '.join(names[:_MAX_NAMED_LISTS])}{more}" if names else ""
    action = f" -> {part['action']}" if part["action"] else ""
    yield from _wrap(f"{_clean(part['stream'])}{action}{lists}", "", "  ")
    yield f"  {_count(part['records'], 'record')}: {format_counts(part)}"
    yield from _columns(part["columns"])
    yield from _people(part["people"])
    reasons = [reason for reason in part["reasons"] if reason["count"]]
    for reason in reasons[:_MAX_REASONS]:
        yield from _reason(reason["count"], f"{_RESULTS[reason['result']]}: {_words(reason)}", reason["examples"])
    if len(reasons) > _MAX_REASONS:
        yield f"{_INDENT}and {len(reasons) - _MAX_REASONS:,} more reasons"
    for value in left_out:
        if value["stream"] == part["stream"]:
            names = [name for record in value["records"] if (name := name_of(record, part["columns"]))]
            text = f"sent without {mask(_clean(value['field'] or 'a part'))}: {_cause(value)}"
            yield from _reason(value["count"], text, names)


def _columns(columns: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each column that is sent under another name or as a custom property; the others stand together."""
    if not columns:
        return
    table: list[Mapping[str, Any]] = []
    same_names: list[str] = []
    not_sent: dict[str, list[str]] = {}
    for column in columns:
        if column["why_not_sent"]:
            not_sent.setdefault(column["why_not_sent"], []).append(column["column"])
        elif column["field"] and column["field"] == column["column"] and not column["type"]:
            same_names.append(column["column"])
        else:
            table.append(column)
    yield ""
    yield from _table(table)
    if same_names:
        yield from _names("fields of the same names", same_names)
    for why, names in not_sent.items():
        yield from _names(f"not sent ({_clean(why)})", names)
    yield ""


def _table(columns: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    shown = [(_column_name(column), _becomes(column)) for column in columns[:_MAX_COLUMNS]]
    width = max((len(name) for name, _ in shown), default=0)
    for name, becomes in shown:
        yield from _wrap(becomes, f"  {name:{width}}  ", " " * (width + 6))
    if len(columns) > _MAX_COLUMNS:
        yield f"  and {len(columns) - _MAX_COLUMNS:,} more columns"


def _names(words: str, names: Sequence[str]) -> list[str]:
    more = f" and {len(names) - _MAX_COLUMNS:,} more" if len(names) > _MAX_COLUMNS else ""
    return _wrap(f"{words}: {', '.join(map(_short, names[:_MAX_COLUMNS]))}{more}", "  ", "    ")


def _column_name(column: Mapping[str, Any]) -> str:
    if column["column"] is not None:
        return _short(column["column"])
    return "(same for all)" if column["field"] else "(within an object)"


def _becomes(column: Mapping[str, Any]) -> str:
    stated = _TYPES.get(column["type"], column["type"])
    if stated and column["format"]:
        stated += f", written as {_short(column['format'])}"
    if column["field"]:
        return f"{column['field']}{f', read as {stated}' if stated else ''}"
    name = "" if column["property"] == column["column"] else f" {_short(column['property'])}"
    return f"custom property{name}, {_type(stated, column['seen_types'])}"


def _type(stated: str | None, seen: Mapping[str, int]) -> str:
    kinds = [f"{_TYPES.get(kind, kind)}" for kind in seen]
    if stated is not None:
        return f"{stated}{'' if seen else ' (no value)'}"
    if len(kinds) > 1:
        return " and ".join(f"{_TYPES.get(kind, kind)} ({count:,} times)" for kind, count in seen.items())
    return kinds[0] if kinds else "no value"


def _people(people: Mapping[str, Any]) -> Iterator[str]:
    if people["asked"]:
        yield from _some(people["new"], "new to Klaviyo")
        yield from _some(people["known"], "there already, would be updated")
    elif people["why_not_asked"]:
        yield f"{'?':>{_NUMBER}}  new to Klaviyo: not asked ({people['why_not_asked']})"


def _words(reason: Mapping[str, Any]) -> str:
    text = mask(_clean(reason["reason"] or "")).rstrip(".")
    return f"{text} ({reason['code']})" if reason["code"] and text else text or reason["code"] or "no reason given"


def _cause(value: Mapping[str, Any]) -> str:
    """Why a value is left out; that it is, and of which column, stands before it."""
    text = _clean(value["reason"])
    found = _LEFT_OUT_BECAUSE.fullmatch(text)
    return mask(found[1] if found is not None else text).rstrip(".")


# A list --------------------------------------------------------------------------------------------------------------


def _list(entry: Mapping[str, Any]) -> Iterator[str]:
    name = repr(_clean(entry["name"])) if entry["name"] else _clean(entry["id"])
    which = "would be made" if entry["would_be_made"] else _clean(entry["id"])
    yield from _wrap(f"list {name} ({which})", "", "  ")
    is_known = entry["would_be_made"] or entry["already_on_it"] is not None
    for change, words in _CHANGES.items():
        if change in entry:
            unsure = "" if is_known or change != "additions" else ", unless they are on it already"
            yield from _some(entry[change], f"would be {words}{unsure}")
    if entry["already_on_it"] is not None:
        yield f"{entry['already_on_it']:>{_NUMBER},}  on it already"


def _mirror(section: Mapping[str, Any]) -> Iterator[str]:
    """What a mirror does: those who would leave, every reason for nobody to, and whose records came twice."""
    yield from _wrap(_clean(section["title"]), "", "  ")
    for note in section["notes"]:
        yield from _wrap(mask(_clean(note)), "  - ", "    ")
    twice = section.get("facts", {}).get("repeated_examples", ())
    names = [next(iter(person.values())) for person in twice if person]
    if names:
        examples = ", ".join(_clean(hint_at(name)) for name in names[:MAX_EXAMPLES])
        yield from _wrap(f"Duplicates: {examples}", "  - ", "    ")


def _mirror_reasons(plan: Mapping[str, Any]) -> set[str]:
    """The codes of what keeps mirrors from removing anybody; it is told where the list is."""
    return {reason["code"] for section in plan["sections"] for reason in section.get("facts", {}).get("reasons", ())}


# The end -------------------------------------------------------------------------------------------------------------


def _foot(plan: Mapping[str, Any], path: str) -> Iterator[str]:
    requests = sum(entry["requests"] for entry in plan["requests"])
    reads = sum(entry["requests"] for entry in plan["reads"])
    cost = f"{_count(requests, 'request')} that {'writes' if requests == 1 else 'write'} and {reads:,} that read"
    yield f"It takes {cost}: {format_minutes(plan['minutes'])}."
    yield from _wrap(f"All people and rejected records: {path}", "", "  ")
    obstacles = _mirror_reasons(plan)
    if obstacles:
        yield "The push would fail: it removes nobody from a list, for the reasons above."
    elif plan["fails"]:
        yield from _wrap(f"The push would fail: {_clean(plan['fails'])}", "", "  ")
    if plan["problems"] or not plan["complete"] or obstacles & _BEFORE_THE_PUSH:
        yield "Fix this first, and rehearse again."
    elif plan["command"]:
        yield f"To push{' anyway' if plan['fails'] else ''}: {_clean(plan['command'])}"


def format_minutes(minutes: float) -> str:
    """How long something takes at least, in words.

    >>> format_minutes(0.4), format_minutes(12.3), format_minutes(150)
    ('less than a minute', '13 minutes or more', '2 hours 30 minutes or more')
    """
    whole = -int(-minutes // 1)
    if minutes < 1:
        return "less than a minute"
    hours, rest = divmod(whole, 60)
    parts = [_count(hours, "hour")] if hours else []
    parts += [_count(rest, "minute")] if rest else []
    return f"{' '.join(parts)} or more"


# Lines ---------------------------------------------------------------------------------------------------------------


def _some(people: Mapping[str, Any], words: str) -> Iterator[str]:
    yield from _reason(people["count"], words, people["identifiers"])


def _reason(count: int, words: str, names: Sequence[str]) -> Iterator[str]:
    """A number, what it is of, and examples."""
    examples = ", ".join(_clean(hint_at(name)) for name in names[:MAX_EXAMPLES])
    more = ", ..." if examples and count > len(names[:MAX_EXAMPLES]) else ""
    yield from _wrap(f"{words}{f': {examples}{more}' if examples else ''}", f"{count:>{_NUMBER},}  ", _INDENT)


def _wrap(text: str, first: str, others: str | None = None) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=first if others is None else others) or [
        first.rstrip()
    ]


def _short(name: str) -> str:
    """A name of a column; it may hold anything, and somebody's address where a file has no first line."""
    text = mask(_clean(name))
    return text if len(text) <= _MAX_NAME else f"{text[: _MAX_NAME - 3]}..."


def _clean(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
