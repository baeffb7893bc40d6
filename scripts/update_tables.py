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

from sizes import SIZES, calls_for  # noqa: E402 - it needs the packages above

from klaviyo_client.api.operations import Operation, operation  # noqa: E402 - the checkout's own packages
from tap_klaviyo.model import Collection, Lookup, Table  # noqa: E402
from tap_klaviyo.reading import selection  # noqa: E402
from tap_klaviyo.rows import schema_files  # noqa: E402
from tap_klaviyo.rows.paths import INCLUDED, OWN, sources  # noqa: E402
from tap_klaviyo.rows.roots import ACCOUNT, INTEGRATION, PARENT, requirements, roots_behind  # noqa: E402
from tap_klaviyo.settings import REREAD, is_read_whole  # noqa: E402
from tap_klaviyo.tables import BY_DEFAULT, COLLECTIONS, FAMILIES, STREAMS  # noqa: E402

INTRODUCTION = """\
# Tables

<!-- Made by scripts/update_tables.py from schemas/tap, tap_klaviyo/tables and klaviyo_client/api/operations.json. -->

Every table is a stream of `tap-klaviyo`. Tables of one collection are read in one pass: selecting several of them costs
what the dearest costs, and what no selected column needs is not requested. Timestamps are RFC 3339 in UTC.
U+0000, which PostgreSQL takes in no text and no JSON, is U+FFFD, also in names of properties.

**Bookmark**: the column that an incremental run goes on from; a table without one is read whole in every run. The
collections {reread} are read whole, too, and so are
the tables {reread_tables}, unless the setting `reread` says otherwise: a tag added, an
action edited, a review published or a subscription ended need not move the bookmark. **As last read**: columns that
stay as they were when the row came, whatever becomes of the person, list or metric that they speak of; join `profiles`,
`lists` and `metrics` by their ids for what holds today. **Gone**: what becomes of a row whose source is no longer in
Klaviyo; `emit_activate_version_messages` lets a target take it out where
[a whole read](reliability.md#which-deletions-can-be-seen) shows that it is gone.

The settings [`profile_properties` and `event_properties`](settings.md#tap-klaviyo) add columns to `profiles` and
`events`, one for each custom property that they name; they cost no request.

**What to read first.** Without a selection the tap reads the families from People to Events, 27 tables, for which the
scopes in the README are enough. For a first sync of a large account leave out the columns that cost calls of their own
(marked *), as the entry `tap-klaviyo-quick` in [meltano.md](meltano.md#what-to-select) does, and `stg_member_lists` and
`member_lists`, which hold `list_profiles` in the form of older tables. The other families are read when they are
selected: most are a handful of calls, those of a call for each metric, job or profile are not.

**Calls in a shop of middle size**: requests, and the minutes that Klaviyo's limit makes of them, for a whole read of
{profiles:,} profiles, {events:,} events, {lists} lists and {segments} segments with {members:,} members, {campaigns}
campaigns, {flows} flows, {metrics} metrics, {items:,} catalog items and {codes:,} coupon codes; `scripts/sizes.py` has
all of it. Collections are read at the same time, so that the minutes do not add up, and an incremental run takes a
fraction.

Tables named `esp_` are those of the V1 specification, made of today's API. They are left out unless they are selected,
all at once with `esp_*.*`. Their foreign keys are hashed as that specification has them, from bare ids, and find no
`key`; the column `_join_key` beside each does.
"""
RAW = "attributes"
ALL_ATTRIBUTES = "; with `attributes`, sparse fields are not used, and pages are as large as Klaviyo makes them"
HEADINGS = "\n| Table | Key | Bookmark | Calls | In a shop of middle size |\n|---|---|---|---|---|\n"


def default_columns(schema: dict[str, Any]) -> list[str]:
    """The columns that need not be asked for by name."""
    optional = schema_files.optional_columns(schema)
    return [name for name in schema["properties"] if name not in optional]


def calls(table: Table) -> str:
    """The requests that reading the table takes, in words."""
    collection, op = table.collection, operation(table.collection.operation)
    text = f"1 for {op.page_size} {_plural(op)}" if op.page_size else "1 for a page, of a size that Klaviyo chooses"
    if collection.supplements:
        text += " suppressed" if table.name in REREAD else " suppressed since the last run"
    if collection.parent:
        text += f", for each of the {collection.parent}"
    if len(collection.filter_sets) > 1:
        text += f", in {len(collection.filter_sets)} passes"
    return text


def rates(table: Table, schema: dict[str, Any]) -> tuple[int, int]:
    """Requests a second and a minute that Klaviyo takes when every column is selected that need not be asked for."""
    op = operation(table.collection.operation)
    needs = requirements(table, sources(schema, default_columns(schema)).values())
    return op.rates(selection.query(op, table.collection.resource, needs, needs))


def price(table: Table, schema: dict[str, Any]) -> str:
    """What a table costs that is read whole in every run for its own sake, in words."""
    op = operation(table.collection.operation)
    rows = rates(table, schema)[1] * (op.page_size or 0)
    calls = calls_for(table.collection, COLLECTIONS)
    return (
        f"unless `reread` says otherwise, by {calls:,} calls in the shop of middle size; Klaviyo gives "
        f"{rows:,} rows a minute at the most"
    )


def cost_in_a_shop(tables: Sequence[Table], schema: dict[str, Any]) -> str:
    """Calls and minutes of a stream in the shop of ``sizes.py``, with all columns but those that are looked up."""
    # A whole read has no need of what only supplements it.
    names = {table.collection.name for table in tables}
    whole = [table for table in tables if table.collection.supplements not in names]
    costs = [(calls_for(table.collection, COLLECTIONS), rates(table, schema)[1]) for table in whole]
    minutes = max(count / a_minute for count, a_minute in costs)
    text = f"{sum(count for count, _ in costs):,}"
    return text if minutes < 1 else f"{text}, {minutes:,.0f} min"


def _plural(op: Operation) -> str:
    return op.path.rsplit("/", 1)[-1].replace("-", " ")


def extra_calls(table: Table, schema: dict[str, Any]) -> Iterator[str]:
    """Columns that cost calls of their own, in words."""
    yield from (text for _, text in columns_with_calls(table, schema))


def costs_calls(table: Table, schema: dict[str, Any]) -> bool:
    """Whether some of them are read without being asked for."""
    optional = schema_files.optional_columns(schema)
    return any(not optional.issuperset(columns) for columns, _ in columns_with_calls(table, schema))


def columns_with_calls(table: Table, schema: dict[str, Any]) -> Iterator[tuple[list[str], str]]:
    """Columns that cost calls of their own, and which."""
    lookups = [root for root in table.roots if isinstance(root, Lookup) and not root.optional]
    for lookup in lookups:
        columns = _columns_behind(table, schema, lookup.name)
        op = operation(lookup.operation)
        spared = ", unless it was read shortly before" if lookup.own_page_paths is not None else ""
        yield (
            columns,
            f"{_names(columns)}: 1 call of `GET {op.path}` for each {lookup.owner_kind}{spared} "
            f"({op.rates(lookup.query)[1]} a minute)" + _scopes(op, table.collection),
        )
    op = operation(COLLECTIONS["accounts"].operation)
    for root, spared in ((ACCOUNT, ""), (INTEGRATION, ", unless `esp_integration_id` is set")):
        if columns := _columns_behind(table, schema, root):
            scopes = _scopes(op, table.collection)
            yield columns, f"{_names(columns)}: 1 call of `GET {op.path}` in a run{spared}{scopes}"


def aging_columns(table: Table, schema: dict[str, Any]) -> Iterator[str]:
    """Columns whose source may change without a move of the bookmark: of whatever the row names, or of a member."""
    if table.bookmark is None or is_read_whole(table, REREAD):
        return
    is_of_members = table.collection.bookmark == "joined_group_at"
    for name, source in sources(schema, schema["properties"]).items():
        is_joining = source.tokens[1:] == ("joined_group_at",)
        is_others = source.root in (INCLUDED, PARENT) or (is_of_members and source.root == OWN and not is_joining)
        if is_others and source.tokens[:1] == ("attributes",):
            yield name


def _scopes(op: Operation, collection: Collection) -> str:
    more = sorted(set(op.scopes) - set(operation(collection.operation).scopes))
    return f", scope {' and '.join(f'`{scope}`' for scope in more)}" if more else ""


def _columns_behind(table: Table, schema: dict[str, Any], root: str) -> list[str]:
    return [
        name for name, source in sources(schema, schema["properties"]).items() if root in roots_behind(table, source)
    ]


def _names(columns: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)


def section(tables: Sequence[Table]) -> Iterator[str]:
    table = tables[0]
    schema = schema_files.load(table.name)
    yield f"\n### {table.name}\n\n{schema['description']}\n\n"
    if table.name not in BY_DEFAULT:
        yield "- Selected: only when asked for\n"
    yield f"- Key: {_names(list(table.key))}\n"
    yield f"- Bookmark: {f'`{table.bookmark}`' if table.bookmark else 'none, read whole'}\n"
    yield from (f"- Whole in every run: {price(part, schema)}\n" for part in tables if part.reread)
    for part in tables:
        op = operation(part.collection.operation)
        burst, steady = rates(part, schema)
        yield f"- Endpoint: `GET {op.path}` in revision {op.revision} ({burst} a second, {steady} a minute), scope "
        yield " and ".join(f"`{scope}`" for scope in op.scopes) + "\n"
        yield f"- Calls: {calls(part)}\n"
    yield from dict.fromkeys(f"- {line}\n" for part in tables for line in extra_calls(part, schema))
    if optional := schema_files.optional_columns(schema):
        names = [name for name in schema["properties"] if name in optional]
        yield f"- Only when asked for by name: {_names(names)}{ALL_ATTRIBUTES if RAW in names else ''}\n"
    aging = dict.fromkeys(name for part in tables for name in aging_columns(part, schema))
    if aging:
        yield f"- As last read: {_names(list(aging))}; what changes there moves no bookmark\n"
    yield f"- Gone: {table.deletion_note}\n\n"
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
        schema = schema_files.load(name)
        dearer, shop = " *" if costs_calls(table, schema) else "", cost_in_a_shop(STREAMS[name], schema)
        yield f"| [{name}](#{name}) | {_names(list(table.key))} | {bookmark} | {cost}{dearer} | {shop} |\n"


def page() -> str:
    reread = [f"`{name}`" for name, collection in COLLECTIONS.items() if collection.reread]
    reread_tables = [f"`{name}`" for name in REREAD if name not in COLLECTIONS]
    introduction = INTRODUCTION.format(
        reread=", ".join(reread[:-1]) + " and " + reread[-1],
        reread_tables=", ".join(reread_tables[:-1]) + " and " + reread_tables[-1],
        profiles=SIZES["profiles"],
        events=SIZES["events"],
        lists=SIZES["lists"],
        segments=SIZES["segments"],
        members=SIZES["list_profiles"] + SIZES["segment_profiles"],
        campaigns=SIZES["campaigns"],
        flows=SIZES["flows"],
        metrics=SIZES["metrics"],
        items=SIZES["catalog_items"],
        codes=SIZES["coupon_codes"],
    )
    parts = [introduction]
    parts.append("\n\\* Some columns cost calls of their own, listed with the table; deselect them to save these.\n")
    for family in FAMILIES:
        parts += overview(family.name, streams(family.tables))
        for name in streams(family.tables):
            parts += section(STREAMS[name])
    return "".join(parts)


def readme() -> str:
    """The README with its list of families brought up to date."""
    lines = ["| Family | Tables | Read |\n|---|---|---|\n"]
    for family in FAMILIES:
        read = "by default" if family.by_default else "when selected"
        place = family.name.lower().replace(" ", "-")
        lines.append(f"| [{family.name}](docs/tables.md#{place}) | {_names(streams(family.tables))} | {read} |\n")
    marked = re.compile(r"(?<=<!-- tables -->\n).*?(?=<!-- end of tables -->)", re.DOTALL)
    text, count = marked.subn(lambda _: "".join(lines), README.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError("the README has no place for the list of tables")
    return text


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda: {PAGE: page(), README: readme()}))
