#!/usr/bin/env python3
"""Write docs/tables.md, and the list of tables in the README, from schemas, catalogue and Klaviyo's facts.

python scripts/update_tables.py            # write them
python scripts/update_tables.py --check    # write nothing, fail when they differ
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from generated import run

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tables.md"
README = ROOT / "README.md"
sys.path.insert(0, str(ROOT))

from klaviyo_client.operations import Operation, operation  # noqa: E402 - the checkout's own packages
from tap_klaviyo import schemas, selection  # noqa: E402
from tap_klaviyo.model import Collection, Detail, Table  # noqa: E402
from tap_klaviyo.paths import sources  # noqa: E402
from tap_klaviyo.roots import ACCOUNT, INTEGRATION, led_to, requirements  # noqa: E402
from tap_klaviyo.tables import COLLECTIONS, FAMILIES, STREAMS  # noqa: E402

INTRODUCTION = """\
# Tables

<!-- Made by scripts/update_tables.py from schemas/tap, tap_klaviyo/tables and klaviyo_client/operations.json. -->

Every table is a stream of `tap-klaviyo`. Tables of one collection are read in one pass: selecting several of them costs
what the dearest costs, and what no selected column needs is not requested. Timestamps are RFC 3339 in UTC.

**Bookmark**: the column that an incremental run goes on from; a table without one is read whole in every run. The
collections {reread} are read whole, too, unless the setting
`reread` says otherwise: a tag added, an action edited or a review published need not move the bookmark. **Gone**: what
becomes of a row whose source is no longer in Klaviyo; the tap only adds and updates.

Tables named `esp_` are those of the V1 specification, made of today's API. They are left out unless they are selected,
all at once with `esp_*.*`. Their foreign keys are hashed as that specification has them, from bare ids, and find no
`key`; the column `_join_key` beside each does.
"""
HEADINGS = "\n| Table | Key | Bookmark | Calls |\n|---|---|---|---|\n"


def calls(table: Table) -> str:
    """What reading the table costs, in requests."""
    collection, op = table.collection, operation(table.collection.operation)
    text = f"1 for {op.page_size} {_plural(op)}" if op.page_size else "1 for a page, of a size that Klaviyo chooses"
    if collection.parent:
        text += f", for each of the {collection.parent}"
    if len(collection.passes) > 1:
        text += f", in {len(collection.passes)} passes"
    return text


def rates(table: Table, schema: dict[str, Any]) -> tuple[int, int]:
    """Requests a second and a minute that Klaviyo takes when every column is selected."""
    op = operation(table.collection.operation)
    needs = requirements(table, sources(schema, schema["properties"]).values())
    return op.rates(selection.query(op, table.collection.resource, needs, needs))


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
    yield f"\n### {table.name}\n\n{schema['description']}\n\n"
    if not table.by_default:
        yield "- Selected: only when asked for\n"
    yield f"- Key: {_names(list(table.key))}\n"
    yield f"- Bookmark: {f'`{table.bookmark}`' if table.bookmark else 'none, read whole'}\n"
    for part in tables:
        op = operation(part.collection.operation)
        burst, steady = rates(part, schema)
        yield f"- Endpoint: `GET {op.path}` ({burst} a second, {steady} a minute), scope "
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


def streams(tables: Sequence[Table]) -> list[str]:
    """The names of a family's streams, each once."""
    return list(dict.fromkeys(table.name for table in tables))


def overview(family: str, names: Sequence[str]) -> Iterator[str]:
    yield f"\n## {family}\n" + HEADINGS
    for name in names:
        table = STREAMS[name][0]
        bookmark = f"`{table.bookmark}`" if table.bookmark else ""
        costs = Counter(map(calls, STREAMS[name]))
        cost = "; ".join(
            f"{text}, in each of {lists} collections" if lists > 1 else text for text, lists in costs.items()
        )
        dearer = " *" if any(extra_calls(table, schemas.load(name))) else ""
        yield f"| [{name}](#{name}) | {_names(list(table.key))} | {bookmark} | {cost}{dearer} |\n"


def page() -> str:
    reread = [f"`{name}`" for name, found in COLLECTIONS.items() if found.reread]
    parts = [INTRODUCTION.format(reread=", ".join(reread[:-1]) + " and " + reread[-1])]
    parts.append("\n\\* Some columns cost calls of their own, listed with the table; deselect them to save these.\n")
    for family, tables in FAMILIES.items():
        parts += overview(family, streams(tables))
        for name in streams(tables):
            parts += section(STREAMS[name])
    return "".join(parts)


def readme() -> str:
    """The README with its list of families brought up to date."""
    lines = ["| Family | Tables | Read |\n|---|---|---|\n"]
    for family, tables in FAMILIES.items():
        read = "by default" if tables[0].by_default else "when selected"
        place = family.lower().replace(" ", "-")
        lines.append(f"| [{family}](docs/tables.md#{place}) | {_names(streams(tables))} | {read} |\n")
    marked = re.compile(r"(?<=<!-- tables -->\n).*?(?=<!-- end of tables -->)", re.DOTALL)
    text, count = marked.subn(lambda _: "".join(lines), README.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError("the README has no place for the list of tables")
    return text


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda: {PAGE: page(), README: readme()}))
