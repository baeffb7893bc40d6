"""Schema files and the catalogue."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from tap_klaviyo.model import Table
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.paths import CONSTANT, MD5, PATH, sources
from tap_klaviyo.rows.projection import singer_schema
from tap_klaviyo.rows.roots import required_roots, requirements
from tap_klaviyo.rows.values import converter
from tap_klaviyo.tables import BY_DEFAULT, STREAMS, TABLES
from tap_klaviyo.tap import TapKlaviyo

FILES = {path.stem for path in (Path(__file__).parents[2] / "schemas" / "tap").glob("*.json")}


def test_every_file_has_its_table() -> None:
    """And every table its file."""
    assert {table.name for table in TABLES} == FILES


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_schema_file_is_whole(table: Table) -> None:
    """Type, description and one source for each column; key and bookmark are columns, and the key is never null."""
    schema = schema_files.load(table.name)
    shown = singer_schema(schema)
    jsonschema.Draft202012Validator.check_schema(shown)
    assert list(shown["properties"]) == list(schema["properties"])
    for part in (shown, *shown["properties"].values()):
        assert [name for name in part if name.startswith("x-")] == []
    for column in schema["properties"].values():
        assert column["description"].endswith((".", ")."))
        assert callable(converter(column))
        assert len({PATH, MD5, CONSTANT} & column.keys()) == 1
    columns = sources(schema, schema["properties"]).values()
    # every root that is declared is read, and every path starts from one that is
    assert required_roots(table, columns) == table.roots
    assert requirements(table, columns)
    assert table.deletion_note.endswith(".")
    # What Klaviyo declares as required can be missing nevertheless, and a row without it is a row.
    assert {name for name, column in schema["properties"].items() if "null" not in column["type"]} == set(table.key)
    if table.bookmark:
        assert schema["properties"][table.bookmark]["format"] == "date-time"
    assert (table.bookmark is None) == (table.collection.bookmark is None)


def test_discovery_tells_keys_and_replication() -> None:
    """Without settings, as Singer's --discover allows; in the catalogue's order, parents first."""
    catalog = TapKlaviyo(config={}, validate_config=False, setup_mapper=False).catalog_dict
    found = {entry["tap_stream_id"]: entry for entry in catalog["streams"]}
    assert list(found) == list(STREAMS)
    for table, *others in STREAMS.values():
        assert {(other.key, other.bookmark) for other in (table, *others)} == {(table.key, table.bookmark)}
        entry = found[table.name]
        assert list(entry["key_properties"]) == list(table.key)
        assert entry.get("replication_key") == table.bookmark
        assert entry["replication_method"] == ("INCREMENTAL" if table.bookmark else "FULL_TABLE")
        inclusion = {tuple(m["breadcrumb"]): m["metadata"]["inclusion"] for m in entry["metadata"]}
        assert inclusion["properties", table.key[0]] == "automatic"
        (root,) = [m["metadata"] for m in entry["metadata"] if not m["breadcrumb"]]
        assert root["selected"] == root["selected-by-default"] == (table.name in BY_DEFAULT)
