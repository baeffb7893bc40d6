"""``warehouse.duckdb``: a view for each table of the lake, of the latest row of each key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
from lake_columns import Columns
from lake_folder import DATABASE, FILE, LakeError, write_whole
from lake_tables import ACTIVE_FILE, SCHEMA_FILE

# What made the views. A run that changes none leaves the database alone, which somebody may have open.
_MADE_BY = "_views.sql"


def make_views(lake: Path) -> list[str]:
    """Make or change the views where that is needed; names of all of them.

    They name the folder, so they are made anew when it has been moved.

    Raises:
        LakeError: they must change while another program has the database open.
    """
    messages = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(lake.glob(f"*/{SCHEMA_FILE}"))]
    folders = [path.parent for path in sorted(lake.glob(f"*/{SCHEMA_FILE}"))]
    statements = [write_view(message, folder) for message, folder in zip(messages, folders, strict=True)]
    # A view does not bear other types, so it is made anew with them.
    types = [str(Columns(message["schema"]).arrow) for message in messages]
    text = "".join(f"/*\n{its}\n*/\n{statement};\n\n" for its, statement in zip(types, statements, strict=True))
    made_by, database = lake / _MADE_BY, lake / DATABASE
    if not (database.exists() and made_by.exists() and made_by.read_text(encoding="utf-8") == text):
        try:
            with duckdb.connect(str(database)) as connection:
                for statement in statements:
                    connection.execute(statement)
        except duckdb.Error as error:
            if "lock" not in str(error):
                raise LakeError(f"all is landed, but DuckDB makes no views: {str(error).splitlines()[0]}") from error
            raise LakeError(
                f"all is landed, but another program has {database} open, in which views must be made: close it there, "
                "then run `lake.py` with --views"
            ) from error
        database.chmod(0o600)
        write_whole(made_by, text)
    return [message["stream"] for message in messages]


def write_view(message: Mapping[str, Any], folder: Path) -> str:
    """The statement that makes a table's view.

    Args:
        message: of the SCHEMA: stream, schema, key_properties, bookmark_properties.
        folder: with the table's files.
    """
    columns = Columns(message["schema"])
    keys = [_name(columns.names[key]) for key in message["key_properties"] or ()]
    source = f"read_parquet({_files(folder, '*.parquet')}, union_by_name = true, filename = '_lake_file')"
    batched = "" if "_sdc_batched_at" in columns.arrow.names else f", {_landed_at()} as _sdc_batched_at"
    version = "select coalesce(max(cast(regexp_extract(file, '(\\d+)$', 1) as bigint)), -1) as version"
    active = f"({version} from glob({_files(folder, ACTIVE_FILE + '*')})) as active"
    # By name: a column that comes later is in the view when it is made anew, and does not break it before.
    selected = ", ".join(f"landed.{_name(name)}" for name in columns.arrow.names)
    begin = f"create or replace view {_name(message['stream'])} as\nselect {selected}{batched}"
    if not keys:
        return f"{begin}\nfrom {active}, {source} as landed\nwhere coalesce({_part(4)}, -1) >= active.version"
    edges = [_name(columns.names[name]) for name in (message["bookmark_properties"] or ())[:1] if name in columns.names]
    # The later run is right. Within one, workers write side by side, so a later file is not a later row.
    order = [
        f"{_part(1)} desc",
        *(f"{edge} desc nulls last" for edge in edges),
        f"{_part(2)} desc",
        "file_row_number desc",
    ]
    # The window holds keys only; whole rows pass by it. While a run lands files, what is listed first must not know of
    # rows that what is listed later does not find: so versions, then keys, then rows.
    return f"""{begin}
from (
  select _lake_file as file, file_row_number as place
  from {active}, {source}
  where coalesce({_part(4)}, -1) >= active.version
  qualify row_number() over (partition by {", ".join(keys)} order by {", ".join(order)}) = 1
) as latest
join {source} as landed on landed._lake_file = latest.file and landed.file_row_number = latest.place"""  # noqa: S608


def _part(number: int) -> str:
    """One of the numbers in a file's name; null where it has none."""
    return f"try_cast(regexp_extract(_lake_file, {_text(FILE + '$')}, {number}) as bigint)"


def _landed_at() -> str:
    return f"strptime(regexp_extract(_lake_file, {_text(FILE + '$')}, 3) || '+00', '%Y%m%dT%H%M%S%f%z')"


def _files(folder: Path, pattern: str) -> str:
    literal = re.sub(r"([*?[])", r"[\1]", str(folder.absolute()))
    return _text(f"{literal}/{pattern}")


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
