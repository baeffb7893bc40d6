"""What the dbt project does for the package: amounts on PostgreSQL, rows that were deleted, columns passed through."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import yaml
from support.environments import programs
from support.lake import land as fill_lake

PROJECT = Path(__file__).parents[1] / "examples" / "dbt"
TYPES = {"json": "jsonb", "double": "double precision"}
DAY = "2026-06-01T00:00:00"

# As version 0.4 has it: on PostgreSQL a whole number, or null.
THEIR_TRY_CAST = """
{% macro try_cast(field, type) %}{{ adapter.dispatch('try_cast', 'fivetran_utils')(field, type) }}{% endmacro %}
{% macro postgres__try_cast(field, type) %}
  case when replace(cast({{ field }} as varchar), ' ', '') ~ '^(0|[1-9][0-9]*)$'
  then replace(cast({{ field }} as varchar), ' ', '') else null end::{{ type }}
{% endmacro %}
"""
AMOUNTS = {
    "7": Decimal(7),
    "1234.50": Decimal("1234.5"),
    ".50": Decimal("0.5"),
    "-3.25": Decimal("-3.25"),
    " 12.30 ": Decimal("12.3"),
    "1.2.3": None,
    ".": None,
    "": None,
    None: None,
}
ROWS: dict[str, list[dict[str, Any]]] = {
    "campaigns": [
        {"campaign_id": "C", "name": "Sale", "channel": "email", "_sdc_deleted_at": None},
        {"campaign_id": "D", "name": "Gone", "channel": "sms", "_sdc_deleted_at": DAY},
    ],
    "campaign_messages": [
        {"campaign_message_id": "1", "campaign_data_id": "C", "content_subject": "Old", "_sdc_deleted_at": DAY},
        {"campaign_message_id": "2", "campaign_data_id": "C", "content_subject": "New", "_sdc_deleted_at": None},
    ],
    "metrics": [{"metric_id": "M", "name": "Placed Order", "_sdc_deleted_at": None}],
    "flows": [{"flow_id": "F", "name": "Welcome", "_sdc_deleted_at": DAY}],
    "profiles": [
        {"profile_id": "P", "properties": {"Favorite Colors": "blue", "tier": "gold"}, "_sdc_deleted_at": None},
        {"profile_id": "Q", "properties": None, "_sdc_deleted_at": DAY},
    ],
    "events": [
        {
            "id": "E",
            "metric_data_id": "M",
            "profile_data_id": "P",
            "event_datetime": DAY,
            "timestamp": 1780272000,
            "event_properties": {"$value": "1234.50", "Order's ID": "A-1", "channel": "web"},
            "_sdc_deleted_at": None,
        }
    ],
}
PASSED = {
    "klaviyo__event_pass_through_columns": [
        {"name": "property_order_id", "alias": "order_id", "property": "Order's ID"},
        {"name": "property_channel"},
        {"name": "metric_name"},
    ],
    "klaviyo__person_pass_through_columns": [
        {"name": "custom_favorite_colors", "property": "Favorite Colors"},
        {"name": "custom_tier"},
        {"name": "custom_nowhere"},
    ],
}


@pytest.fixture(scope="module")
def dbt() -> Path:
    """The folder with dbt's programs."""
    return programs("dbt", (PROJECT / "requirements.txt").read_text())


def tables() -> list[dict[str, Any]]:
    (source,) = yaml.safe_load((PROJECT / "models" / "sources.yml").read_text())["sources"]
    found: list[dict[str, Any]] = source["tables"]
    return found


def land(address: str, *, without: tuple[str, ...] = ()) -> None:
    """The rows as target-postgres lands them; ``without`` these columns."""
    with psycopg.connect(address) as connection:
        connection.execute("create schema klaviyo")
        for table in tables():
            declared = {column["name"]: column["data_type"] for column in table["columns"]}
            kinds = {name: TYPES.get(kind, kind) for name, kind in declared.items() if name not in without}
            columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
            connection.execute(f"create table klaviyo.{table['name']} ({columns})")  # type: ignore[call-overload]
            for row in ROWS[table["name"]]:
                values = {"_sdc_batched_at": DAY, **row}
                landed = {name: value for name, value in values.items() if name not in without}
                places = ", ".join("%s" for _ in landed)
                connection.execute(
                    f"insert into klaviyo.{table['name']} ({', '.join(landed)}) values ({places})",  # type: ignore[call-overload]
                    [json.dumps(value) if isinstance(value, dict) else value for value in landed.values()],
                )


def build(dbt: Path, address: str, folder: Path, variables: dict[str, Any], *, target: str = "postgres") -> None:
    """``dbt build`` in a copy of the project that has the package's macro, and a model that calls it."""
    made = shutil.ignore_patterns(".venv", "target", "logs", "dbt_packages", "packages.yml", "*.duckdb")
    shutil.copytree(PROJECT, folder, ignore=made)
    theirs = folder / "theirs"
    amounts = " union all ".join(
        f"select cast({'null' if text is None else repr(text)} as text) as said" for text in AMOUNTS
    )
    if target == "postgres":
        (theirs / "macros").mkdir(parents=True)
        (theirs / "dbt_project.yml").write_text("name: fivetran_utils\nversion: '0.4.0'\nconfig-version: 2\n")
        (theirs / "macros" / "try_cast.sql").write_text(THEIR_TRY_CAST)
        (folder / "packages.yml").write_text("packages:\n  - local: theirs\n")
        (folder / "models" / "amounts.sql").write_text(
            f"select said, {{{{ fivetran_utils.try_cast('said', 'numeric') }}}} as amount from ({amounts}) as texts"
        )
    parts = urlsplit(address)
    environment = {
        **os.environ,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "KLAVIYO_PG_HOST": parse_qs(parts.query).get("host", [""])[0],
        "KLAVIYO_PG_DATABASE": parts.path.removeprefix("/"),
        "KLAVIYO_LAKE": str(folder.parent / "lake"),
    }
    for command in (["deps"], ["build", "--target", target, "--vars", json.dumps(variables)]):
        done = subprocess.run(
            [dbt / "dbt", *command, "--profiles-dir", ".", "--no-use-colors"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def read(address: str, table: str) -> list[dict[str, Any]]:
    with psycopg.connect(address) as connection:
        cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
        return cursor.execute(f"select * from analytics_fivetran.{table}").fetchall()  # type: ignore[call-overload,no-any-return]


@pytest.mark.exhaustive
def test_amounts_deletions_and_columns_passed_through(
    dbt: Path, make_database: Callable[[], str], tmp_path: Path
) -> None:
    """An amount is a number, a row that the loader marked is deleted, and columns the package asks for are there."""
    address = make_database()
    land(address)
    build(dbt, address, tmp_path / "dbt", PASSED)
    assert {row["said"]: row["amount"] for row in read(address, "amounts")} == AMOUNTS
    deleted = {
        table: {row["id"]: row["_fivetran_deleted"] for row in read(address, table)}
        for table in ("campaign", "metric", "flow", "person", "event")
    }
    assert deleted == {
        "campaign": {"C": False, "D": True},
        "metric": {"M": False},
        "flow": {"F": True},
        "person": {"P": False, "Q": True},
        "event": {"E": False},
    }
    # A message that is gone is not a campaign's first.
    assert {row["id"]: row["subject"] for row in read(address, "campaign")} == {"C": "New", "D": None}
    (event,) = read(address, "event")
    assert (event["property_order_id"], event["property_channel"], event["metric_name"]) == ("A-1", "web", None)
    people = {row["id"]: row for row in read(address, "person")}
    passed = ("custom_favorite_colors", "custom_tier", "custom_nowhere")
    assert [people["P"][name] for name in passed] == ["blue", "gold", None]
    assert [people["Q"][name] for name in passed] == [None, None, None]


@pytest.mark.exhaustive
def test_a_loader_that_marks_nothing(dbt: Path, make_database: Callable[[], str], tmp_path: Path) -> None:
    """Without the column nobody knows what was deleted, and the contract holds."""
    address = make_database()
    land(address, without=("_sdc_deleted_at",))
    build(dbt, address, tmp_path / "dbt", {})
    assert {row["_fivetran_deleted"] for row in read(address, "person")} == {None}


@pytest.mark.exhaustive
def test_columns_are_passed_through_on_duckdb(dbt: Path, tmp_path: Path) -> None:
    """The project builds with them there, too."""
    messages: list[dict[str, Any]] = []
    for table in tables():
        name = table["name"]
        schema = json.loads((PROJECT.parents[1] / "schemas" / "tap" / f"{name}.json").read_text())
        key = next(iter(schema["properties"]))
        messages.append({"type": "SCHEMA", "stream": name, "schema": schema, "key_properties": [key]})
        kept = [{k: value for k, value in row.items() if k in schema["properties"]} for row in ROWS[name]]
        messages += [{"type": "RECORD", "stream": name, "record": row} for row in kept]
    assert fill_lake(tmp_path / "lake", *messages).returncode == 0
    build(dbt, "postgresql:///", tmp_path / "dbt", PASSED, target="duckdb")


def test_the_readme_selects_no_column_that_costs_and_is_not_read() -> None:
    """The columns that are looked up event by event are left out, as no model reads them."""
    text = (PROJECT / "README.md").read_text()
    models = "".join(path.read_text() for path in (PROJECT / "models").iterdir())
    for column in ("attribution_send_ts", "attribution_attributed_channel"):
        assert f'"!events.{column}"' in text
        assert column not in models
