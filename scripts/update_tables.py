#!/usr/bin/env python3
"""Write docs/tables.md from the schemas, the catalogue of tables and the facts about Klaviyo's operations.

python scripts/update_tables.py            # write the page
python scripts/update_tables.py --check    # write nothing, fail when it differs
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from generated import run

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tables.md"
sys.path.insert(0, str(ROOT))

from klaviyo_client.operations import Operation, operation  # noqa: E402 - the checkout's own packages
from tap_klaviyo import schemas  # noqa: E402
from tap_klaviyo.model import Collection, Detail, Table  # noqa: E402
from tap_klaviyo.paths import sources  # noqa: E402
from tap_klaviyo.roots import ACCOUNT, INTEGRATION, led_to  # noqa: E402
from tap_klaviyo.tables import COLLECTIONS, STREAMS  # noqa: E402

INTRODUCTION = """\
# Tables

<!-- Made by scripts/update_tables.py from schemas/tap, tap_klaviyo/tables and klaviyo_client/operations.json. -->

Every table is a stream of `tap-klaviyo`. Tables of one collection are read in one pass: selecting several of them costs
what the dearest costs, and what no selected column needs is not requested. Timestamps are RFC 3339 in UTC.

**Bookmark**: the column that an incremental run goes on from; a table without one is read whole in every run. The
collections {reread} are read whole, too, unless the setting
`reread` says otherwise: they are small, and a tag added or an action edited need not move the bookmark. **Gone**: what
becomes of a row whose source is no longer in Klaviyo; the tap only adds and updates.

Tables named `esp_` are those of the V1 specification, made of today's API. They are left out unless they are selected,
all at once with `esp_*.*`. Their foreign keys are hashed as that specification has them, from bare ids, and find no
`key`; the column `_join_key` beside each does.

| Table | Key | Bookmark | Calls |
|---|---|---|---|
"""


def calls(table: Table) -> str:
    """What reading the table costs, in requests."""
    collection, op = table.collection, operation(table.collection.operation)
    text = f"1 for {op.page_size} {_plural(op)}" if op.page_size else "1 for a page, of a size that Klaviyo chooses"
    if collection.parent:
        text += f", for each of the {collection.parent}"
    if len(collection.passes) > 1:
        text += f", in {len(collection.passes)} passes"
    return text


def _plural(op: Operation) -> str:
    return op.path.rsplit("/", 1)[-1].replace("-", " ")


def extra_calls(table: Table, schema: dict[str, Any]) -> Iterator[str]:
    """Columns that cost calls of their own."""
    details = [root for root in table.roots if isinstance(root, Detail)]
    for detail in details:
        columns = _led_from(table, schema, detail.name)
        op = operation(detail.operation)
        spared = ", unless it was read shortly before" if detail.seen is not None else ""
        yield (
            f"{_names(columns)}: 1 call of `GET {op.path}` for each {detail.owners}{spared} "
            f"({op.steady} a minute)" + _scopes(op, table.collection)
        )
    op = operation(COLLECTIONS["accounts"].operation)
    for root, spared in ((ACCOUNT, ""), (INTEGRATION, ", unless `esp_integration_id` is set")):
        if columns := _led_from(table, schema, root):
            yield f"{_names(columns)}: 1 call of `GET {op.path}` in a run{spared}" + _scopes(op, table.collection)


def _scopes(op: Operation, collection: Collection) -> str:
    more = sorted(set(op.scopes) - set(operation(collection.operation).scopes))
    return f", scope {' and '.join(f'`{scope}`' for scope in more)}" if more else ""


def _led_from(table: Table, schema: dict[str, Any], root: str) -> list[str]:
    return [name for name, source in sources(schema, schema["properties"]).items() if root in led_to(table, source)]


def _names(columns: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)


def section(tables: Sequence[Table]) -> Iterator[str]:
    table = tables[0]
    schema = schemas.load(table.name)
    yield f"\n## {table.name}\n\n{schema['description']}\n\n"
    if not table.by_default:
        yield "- Selected: only when asked for\n"
    yield f"- Key: {_names(list(table.key))}\n"
    yield f"- Bookmark: {f'`{table.bookmark}`' if table.bookmark else 'none, read whole'}\n"
    for part in tables:
        op = operation(part.collection.operation)
        yield f"- Endpoint: `GET {op.path}` ({op.burst} a second, {op.steady} a minute), scope "
        yield " and ".join(f"`{scope}`" for scope in op.scopes) + "\n"
        yield f"- Calls: {calls(part)}\n"
    yield from dict.fromkeys(f"- {line}\n" for part in tables for line in extra_calls(part, schema))
    yield f"- Gone: {table.gone}\n\n"
    yield "| Column | Type | What it is |\n|---|---|---|\n"
    for name, column in schema["properties"].items():
        kinds = column["type"] if isinstance(column["type"], list) else [column["type"]]
        kind = next(kind for kind in kinds if kind != "null")
        kind = column.get("format", kind) + (" or null" if "null" in kinds else "")
        yield f"| `{name}` | {kind} | {column['description']} |\n"


def page() -> str:
    reread = [f"`{name}`" for name, found in COLLECTIONS.items() if found.reread]
    parts = [INTRODUCTION.format(reread=", ".join(reread[:-1]) + " and " + reread[-1])]
    for name, tables in STREAMS.items():
        bookmark = f"`{tables[0].bookmark}`" if tables[0].bookmark else ""
        cost = "; ".join(map(calls, tables))
        dearer = " *" if any(extra_calls(tables[0], schemas.load(name))) else ""
        parts.append(f"| [{name}](#{name}) | {_names(list(tables[0].key))} | {bookmark} | {cost}{dearer} |\n")
    parts.append("\n\\* Some columns cost calls of their own, listed with the table; deselect them to save these.\n")
    for tables in STREAMS.values():
        parts += section(tables)
    return "".join(parts)


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda: {PAGE: page()}))
