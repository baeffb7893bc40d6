#!/usr/bin/env python3
"""Write docs/reference/tables from schemas, catalogue and Klaviyo's facts: an index, and a page for each family.

python scripts/update_tables.py            # write them
python scripts/update_tables.py --check    # write nothing, fail when they differ
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from generated import run

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference" / "tables"
sys.path.insert(0, str(ROOT))

from sizes import SIZES, calls_for  # noqa: E402 - it needs the packages above

from klaviyo_client.api.operations import Operation, operation  # noqa: E402 - the checkout's own packages
from tap_klaviyo.model import Collection, Family, Lookup, Table  # noqa: E402
from tap_klaviyo.reading import selection  # noqa: E402
from tap_klaviyo.rows import schema_files  # noqa: E402
from tap_klaviyo.rows.paths import INCLUDED, OWN, sources  # noqa: E402
from tap_klaviyo.rows.roots import ACCOUNT, INTEGRATION, PARENT, requirements, roots_behind  # noqa: E402
from tap_klaviyo.settings import REREAD, is_read_whole  # noqa: E402
from tap_klaviyo.tables import BY_DEFAULT, COLLECTIONS, FAMILIES, STREAMS  # noqa: E402

MADE_BY = (
    "<!-- Made by scripts/update_tables.py from schemas/tap, tap_klaviyo/tables and "
    "klaviyo_client/api/operations.json. -->"
)
INTRODUCTION = """\
# Which tables are there, and what do they cost?

{made_by}

Every table is a stream of `tap-klaviyo`. Without a selection the tap reads the {default} tables that are marked "by
default"; it reads the others when you [select them](../../recipes/select.md). A first load of a large account is
faster without the columns that cost a request for each row: their tables are marked * on the pages below.

| Family | Tables | Read |
|---|---|---|
{families}
- **One pass for a collection.** Tables of one collection are read from the same pages. Selecting several costs no more
  than the most expensive of them. The tap does not request what no selected column needs.
- **Bookmark**: the column that an incremental run continues from. A table without one is read whole in every run. So
  are the collections {reread} and the tables {reread_tables}, because a change there (a tag
  added, an action edited, a review published, a subscription ended) need not move the bookmark. The setting
  [`reread`](../settings.md#tap-klaviyo) changes which.
- **As last read**: columns that keep the value of the day when the row was read. They are about a person, a list or a
  metric. Join `profiles`, `lists` and `metrics` by their ids for today's value.
- **Gone**: what happens to a row after its source was deleted in Klaviyo. With `emit_activate_version_messages` a
  target can remove such rows, where [a whole read](../../reliability.md#which-deletions-can-be-seen) shows them.
- **Values**: timestamps are RFC 3339 in UTC. U+0000, which PostgreSQL cannot store, becomes U+FFFD, in values and in
  names of properties.
- **Custom properties** are JSON in `properties` and `event_properties`.
  [`profile_properties` and `event_properties`](../settings.md#tap-klaviyo) make typed columns of the ones that you
  name, at no extra request.
- **Tables named `esp_`** are those of the V1 specification, made from today's API. Select all of them with `esp_*.*`.
  Their foreign keys are hashed as that specification says, from bare ids, so they match no row's `key`. The column
  `_join_key` beside each does.

**Calls in a mid-sized shop**, on the pages below, are the requests for one whole read, and the minutes that Klaviyo's
limit makes of them. The shop has {profiles:,} profiles, {events:,} events, {lists} lists and {segments} segments with
{members:,} members, {campaigns} campaigns, {flows} flows, {metrics} metrics, {items:,} catalog items and {codes:,}
coupon codes; `scripts/sizes.py` has the rest. Collections are read at the same time, so do not add up the minutes. An
incremental run takes a fraction.
"""
RAW = "attributes"
ALL_ATTRIBUTES = "; with `attributes`, sparse fields are not used, and pages are as large as Klaviyo makes them"
HEADINGS = "\n| Table | Key | Bookmark | Calls | In a mid-sized shop |\n|---|---|---|---|---|\n"


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
        f"unless `reread` says otherwise: {calls:,} calls in a mid-sized shop; Klaviyo gives at most "
        f"{rows:,} rows a minute"
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
    yield f"\n## {table.name}\n\n{schema['description']}\n\n"
    yield f"- Key: {_names(list(table.key))}\n"
    yield f"- Bookmark: {f'`{table.bookmark}`' if table.bookmark else 'none, read whole'}\n"
    yield from (f"- Whole in every run: {price(part, schema)}\n" for part in tables if part.reread)
    for part in tables:
        op = operation(part.collection.operation)
        burst, steady = rates(part, schema)
        scopes = " and ".join(f"`{scope}`" for scope in op.scopes)
        yield f"- Read from: `GET {op.path}`, 1 call {calls(part).removeprefix('1 ')} "
        yield f"(revision {op.revision}; {burst} calls a second, {steady} a minute; scope {scopes})\n"
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


def overview(names: Sequence[str]) -> Iterator[str]:
    """The table of a family's tables: keys, bookmarks and costs."""
    yield HEADINGS
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
    yield "\n\\* Some columns cost requests of their own, listed with the table. Deselect them to save these.\n"


def file_name(family: Family) -> str:
    """The name of a family's page."""
    return f"{family.name.lower().replace(' ', '-')}.md"


def page(family: Family) -> str:
    """The page of a family: an overview, and a section for each table."""
    names = streams(family.tables)
    read = "by default" if family.by_default else "when selected"
    parts = [f"# Tables: {family.name}\n\n{MADE_BY}\n\nRead {read}. [All tables](index.md) says what the words mean.\n"]
    parts += overview(names)
    for name in names:
        parts += section(STREAMS[name])
    return "".join(parts)


def index() -> str:
    """The first page: all families with their tables, and what is true of every table."""
    reread = [f"`{name}`" for name, collection in COLLECTIONS.items() if collection.reread]
    reread_tables = [f"`{name}`" for name in REREAD if name not in COLLECTIONS]
    families = "".join(
        f"| [{family.name}]({file_name(family)}) | {_names(streams(family.tables))} | "
        f"{'by default' if family.by_default else 'when selected'} |\n"
        for family in FAMILIES
    )
    return INTRODUCTION.format(
        made_by=MADE_BY,
        default=len(BY_DEFAULT),
        families=families,
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


def pages() -> dict[Path, str]:
    """The text of each page, by its file."""
    return {FOLDER / "index.md": index(), **{FOLDER / file_name(family): page(family) for family in FAMILIES}}


if __name__ == "__main__":
    sys.exit(run(__doc__, pages))
