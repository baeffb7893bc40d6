#!/usr/bin/env python3
"""Write docs/reference/actions from the catalogue, its contracts and the facts about Klaviyo's operations.

python scripts/update_actions.py            # write an index, and a page for each action
python scripts/update_actions.py --check    # write nothing, fail when one differs
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from action_groups import GROUPS
from generated import run

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference" / "actions"
sys.path.insert(0, str(ROOT))

from klaviyo_client.api.operations import Operation, operation  # noqa: E402 - the checkout's own packages
from tap_klaviyo.rows import schema_files  # noqa: E402
from tap_klaviyo.tables import TABLES  # noqa: E402
from target_klaviyo.actions import ACTIONS  # noqa: E402
from target_klaviyo.delivery.action import Action  # noqa: E402
from target_klaviyo.intake import contracts  # noqa: E402

Schema = Mapping[str, Any]

MADE_BY = (
    "<!-- Made by scripts/update_actions.py from target_klaviyo/actions, schemas/target and "
    "klaviyo_client/api/operations.json. -->"
)
INTRODUCTION = """\
# Which actions are there, and what do they need?

{made_by}

An action is what `target-klaviyo` does with a record. The setting `streams` names the action of each stream. Some
streams get theirs by name, so they need no setting. Consent, suppression, deletion and removal are never chosen by a
stream's name.
{actions}
## How do I give a stream its action?

```yaml
streams:
  audience-vip_customers:            # tap-postgres names a view SCHEMA-VIEW
    action: list_members
    list: VIP customers              # its name, or Klaviyo's id
    create_list: true                # create it if it is missing
    unknown_columns: drop            # the default, `properties`, makes custom properties of them
    mapping:                         # Klaviyo's field: a column, a path into one, or {{value: a constant}}
      external_id: customer_number
      properties.vip_orders: orders
```

Columns with the names of Klaviyo's fields (`email`, `phone_number`, `external_id`, `first_name`, `location_city`, ...)
need no mapping. A record about a person needs an e-mail address, a phone number or an external id.

## Options of every action

| Option | What it does |
|---|---|
| `mapping` | where each field comes from: field -> column, path into a column, or `{{"value": constant}}` |
| `unknown_columns` | columns that are no field: `properties` (default) makes them custom properties, `drop` omits |
| `default_region` | country of the stream's phone numbers, in place of the setting of the same name |
| `on_bad_value` | a value that does not fit: `drop` (default) sends the record without it, `reject` rejects it |
| `types` | the type of a column or property, see below |

`on_bad_value: drop` can leave out fields that are marked `optional`, custom properties, and an identifier beside
another valid one; the log counts them. Any other value that does not fit rejects the record.

`types` maps a column or property to `string`, `number`, `integer`, `boolean`, `date`, `datetime` or `list`, or to a
type with a format: `{{"type": "date", "format": "%d.%m.%Y"}}` (a `strptime` format) or
`{{"type": "number", "format": "1.234,50"}}` (an example that shows the separators).

- The target never guesses between two readings. Without a format, a date must be ISO 8601 and a number has no
  thousands separators.
- A date is sent as `2026-01-31`, a datetime with its time zone (UTC if it has none).
- A boolean is one of true, yes, y, t, on, 1, false, no, n, f, off, 0.
- A list is a JSON array, or text separated by commas.
- A blank value is not sent.

Klaviyo's conditions on numbers, dates and booleans do not work on text, so declare the types.

## Words on the pages of actions

- **Columns**: a column with one of these names fills the field without a mapping; the first in the record counts. A
  field marked `by mapping` needs one.
- **Never sent**: columns that are left out unless a mapping reads them. `_sdc_*` columns always are.
- **At once**: the most rows in one batch; bytes are those of one request.
- **Example**: Singer lines that you can pipe into the target. [examples/streams.json](../../../examples/streams.json)
  is the setting `streams` for all of them, and [examples/README.md](../../../examples/README.md) says how to try them
  without an account.
"""


def section(action: Action) -> Iterator[str]:
    """What a user has to know of an action."""
    contract = contracts.load(action.name).schema
    op = operation(action.operation)
    yield f"# {action.name}\n\n{MADE_BY}\n\n{action.summary}\n\n"
    yield f"- Stream: {_quoted(action.streams) or 'any that the setting `streams` gives this action'}\n"
    if action.steps is not None:
        yield "- Made of other actions, which are done with a record one after the other, each within its own limits\n"
    yield f"- Operation: `{op.method} {op.path}` ({_rates(op)}), {_scopes(op)}\n"
    if action.steps is None:
        yield f"- At once: {size(action)}\n"
    yield from (f"- {line}\n" for line in requirements(action, contract))
    yield from (f"- {line}\n" for line in defaults_by_table(action))
    if (ROOT / example(action)).exists():
        yield f"- Example: [{example(action)}](../../../{example(action)})\n"
    if action.options:
        yield "\n## Options\n\n| Option | Type | Default | What it does |\n|---|---|---|---|\n"
        yield from (_line(*cells) for cells in options(action))
    yield f"\n## Fields\n\n{contract['description']}\n\n"
    yield "| Field | Type | Columns | What it is |\n|---|---|---|---|\n"
    yield from (_line(*cells) for cells in fields(contract["properties"]))
    if action.other_operations:
        yield "\n## Other requests\n\n| Request | What for | When | Scope |\n|---|---|---|---|\n"
        yield from (_line(*cells) for cells in other_calls(action))


def example(action: Action) -> str:
    """The file of records to try the action with, where there is one."""
    return f"examples/{action.name}.jsonl"


def size(action: Action) -> str:
    """What is sent at once, at most."""
    request = min(operation(action.operation).max_items or 1, action.max_items)
    rows = "1 row" if action.max_items == 1 else f"{action.max_items:,} rows"
    if request < action.max_items:
        rows += f" in requests of {request:,}"
    whole = f", {action.max_bytes:,} bytes" if action.max_bytes else ""
    each = f", {action.max_item_bytes:,} bytes for each row" if action.max_item_bytes else ""
    return rows + whole + each


def other_calls(action: Action) -> Iterator[tuple[str, ...]]:
    """Calls beside the action's own: request, purpose, the option or field that asks for it, and scopes."""
    for call in action.other_operations:
        op = operation(call.operation)
        kind = "with" if call.option else "for records with"
        when = f"{kind} `{call.used_when}`" if call.used_when else ""
        yield f"`{op.method} {op.path}`", call.purpose, when, _scope_names(op)


def requirements(action: Action, contract: Schema) -> Iterator[str]:
    """What a record must have, and what is never sent of it."""
    if required := required_fields(contract):
        yield f"Needs: {'; '.join(required)}"
    if action.needs_list:
        yield "Needs a list: the record's own, or the option `list`"
    if ignored := contract.get("x-ignored-columns"):
        yield f"Never sent: {_quoted(ignored)}"


def required_fields(schema: Schema) -> list[str]:
    """The fields that a schema requires, in words."""
    required = [f"`{name}`" for name in schema.get("required", ())]
    for part in schema.get("allOf", ()):
        required += required_fields(part)
    for rule, words in (("anyOf", "one or more of"), ("oneOf", "exactly one of")):
        choices = [" with ".join(required_fields(choice)) for choice in schema.get(rule, ())]
        if choices and all(choices):
            required.append(f"{words} {', '.join(choices)}" if len(choices) > 1 else choices[0])
    for name, others in schema.get("dependentRequired", {}).items():
        required.append(f"{_quoted(others)} beside `{name}`")
    return required


def defaults_by_table(action: Action) -> Iterator[str]:
    """The options that a stream has by default when its columns are those of a table of the tap."""
    for table in TABLES:
        if defaults := action.column_defaults(frozenset(schema_files.load(table.name)["properties"])):
            texts = ", ".join(f"`{name}: {_json(value)}`" for name, value in defaults.items())
            yield f"A stream with the columns of tap-klaviyo's `{table.name}`: {texts}, unless its entry says otherwise"


def options(action: Action) -> Iterator[tuple[str, ...]]:
    """Name, type, default and description of each option."""
    for name, schema in action.options.items():
        default = f"`{_json(schema['default'])}`" if "default" in schema else ""
        yield f"`{name}`", kind_of(schema), default, schema["description"]


def fields(properties: Schema, above: tuple[str, ...] = (), *, by_name: bool = True) -> Iterator[tuple[str, ...]]:
    """Name, type, columns and description of each field, those inside of others after these."""
    for name, entry in properties.items():
        path = (*above, name)
        reached = by_name and entry.get("x-by-name", True)
        columns = _quoted(("_".join(path), *entry.get("x-names", ()))) if reached else "by mapping"
        optional = ", optional" if entry.get("x-optional") is True and not above else ""
        yield f"`{'.'.join(path)}`", kind_of(entry) + optional, columns, entry.get("description", "")
        yield from fields(entry.get("properties", {}), path, by_name=reached)
        elements = entry.get("items", {}).get("properties", {})
        for cells in fields(elements, (*above, f"{name}[]")):
            yield *cells[:2], "in each element", cells[3]


def kind_of(schema: Schema) -> str:
    """A schema's type, in words."""
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kinds = schema.get("type", "any")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    words = [f"list of {kind_of(schema['items'])}" if kind == "array" and "items" in schema else kind for kind in kinds]
    return " or ".join(words)


def _rates(op: Operation) -> str:
    daily = f", {op.daily} a day" if op.daily else ""
    return f"{op.burst} a second, {op.steady} a minute{daily}"


def _scopes(op: Operation) -> str:
    return f"scope {_scope_names(op)}" if op.scopes else "no scope"


def _scope_names(op: Operation) -> str:
    return " and ".join(f"`{scope}`" for scope in op.scopes)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def index() -> str:
    """The first page: all actions in groups, and what is true of every one."""
    grouped = {name for names in GROUPS.values() for name in names}
    others = tuple(name for name in ACTIONS if name not in grouped)
    groups = {**GROUPS, "Others": others} if others else GROUPS
    return INTRODUCTION.format(made_by=MADE_BY, actions="".join(map(group, groups, groups.values())))


def group(heading: str, names: Iterable[str]) -> str:
    """The table of some actions."""
    lines = (_line(f"[{name}]({name}.md)", ACTIONS[name].summary, _quoted(ACTIONS[name].streams)) for name in names)
    return f"\n## {heading}\n\n| Action | What it does | Streams that get it by name |\n|---|---|---|\n{''.join(lines)}"


def pages() -> dict[Path, str]:
    """The text of each page, by its file."""
    return {
        FOLDER / "index.md": index(),
        **{FOLDER / f"{name}.md": "".join(section(action)) for name, action in ACTIONS.items()},
    }


if __name__ == "__main__":
    sys.exit(run(__doc__, pages))
