"""The dbt project: the tap's tables become those of fivetran/dbt_klaviyo, on PostgreSQL and on DuckDB."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import yaml
from support.catalogs import discovered, select
from support.demo import load
from support.demo import meltano as with_plugins
from support.environments import programs
from support.fivetran import AMOUNTS, COLUMNS, rows
from support.lake import fill, land
from support.second_path import witness

from klaviyo_sandbox.server import RunningSandbox

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "examples" / "dbt"
SCHEMA = "analytics_fivetran"
DATABASES = ("postgres", "duckdb")
TYPES = {
    "text": ("text", "VARCHAR"),
    "timestamp": ("timestamp without time zone", "TIMESTAMP"),
    "boolean": ("boolean", "BOOLEAN"),
    "float": ("double precision", "DOUBLE"),
}
LOADER = {"_fivetran_synced": "timestamp", "_fivetran_deleted": "boolean"}
NOT_READ = ("!events.attribution_send_ts", "!events.attribution_attributed_channel")
# Run by the Python that has dbt: tests have no DuckDB of their own.
READ = """
import duckdb, json, sys
path, schema, *tables = sys.argv[1:]
connection = duckdb.connect(path, read_only=True)
found = {}
for table in tables:
    answer = connection.execute(f'select * from {schema}."{table}"')
    columns = {name: str(kind) for name, kind, *_ in answer.description}
    found[table] = [columns, [dict(zip(columns, row)) for row in answer.fetchall()]]
print(json.dumps(found, default=lambda it: {"moment": it.isoformat()}))
"""


class Built(NamedTuple):
    """What a database holds after ``dbt build``."""

    columns: dict[str, dict[str, str]]
    rows: dict[str, list[dict[str, Any]]]
    log: str


class Warehouse(NamedTuple):
    """What a database holds, and within which moments it was landed."""

    database: str
    built: Built
    begun: datetime
    ended: datetime


def sources() -> list[dict[str, Any]]:
    """The tap's tables that the models read."""
    (source,) = yaml.safe_load((PROJECT / "models" / "sources.yml").read_text())["sources"]
    tables: list[dict[str, Any]] = source["tables"]
    return tables


@pytest.fixture(scope="module")
def dbt() -> Path:
    """The folder with dbt's programs: an environment of its own below ours, made once for each requirements.txt."""
    return programs("dbt", (PROJECT / "requirements.txt").read_text())


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    """With each way in which an amount may be written, and somebody with two lines of address."""
    account = make_shared_sandbox(profiles=80, events=500, seed=5, limits=False)
    events, profiles = account.store.events, account.store.profiles
    someone = next(row for row in profiles.rows.values() if row["location"])
    profiles.put({**someone, "location": {**someone["location"], "address2": "Flat 2"}})
    orders = [row for row in events.rows.values() if "$value" in (row["event_properties"] or {})]
    values = [*AMOUNTS, {"amount": 5}, [5], True]
    for row, value in zip(orders, values, strict=False):
        events.put({**row, "event_properties": {**row["event_properties"], "$value": value}})
    assert len(orders) >= len(values)
    return account


@pytest.fixture(scope="module", params=DATABASES)
def warehouse(
    request: pytest.FixtureRequest,
    dbt: Path,
    account: RunningSandbox,
    database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Warehouse:
    """The account in a database, landed by Meltano as the README says, and built by dbt."""
    folder = tmp_path_factory.mktemp("dbt")
    lake = folder / "lake"
    if request.param == "duckdb":
        begun, ended = fill_lake(lake, account, folder)
    else:
        meltano = with_plugins(load(), folder, account.url, database, "tap-klaviyo", "target-postgres")
        meltano.environment["TAP_KLAVIYO__SELECT"] = json.dumps([*(f"{t['name']}.*" for t in sources()), *NOT_READ])
        begun = datetime.now(UTC)
        meltano.run("run", "tap-klaviyo", "target-postgres", log="extract.log")
        ended = datetime.now(UTC)
    address = urlsplit(database)
    environment = {
        "KLAVIYO_PG_HOST": parse_qs(address.query)["host"][0],
        "KLAVIYO_PG_DATABASE": address.path.removeprefix("/"),
        "KLAVIYO_LAKE": str(lake),
    }
    log = build(dbt, request.param, folder / request.param, environment)
    built = (
        read_postgres(database, log)
        if request.param == "postgres"
        else read_duckdb(dbt, str(lake / "warehouse.duckdb"), log)
    )
    return Warehouse(request.param, built, begun, ended)


def fill_lake(lake: Path, account: RunningSandbox, folder: Path) -> tuple[datetime, datetime]:
    """The account in a lake, where a run before has left the same people under other names; when it was filled."""
    catalog = discovered()
    schemas = {stream["tap_stream_id"]: stream for stream in catalog["streams"]}
    people = schemas["profiles"]["schema"]
    known = [{"profile_id": key, "first_name": "Formerly"} for key in list(account.store.profiles.rows)[:10]]
    done = land(
        lake,
        {"type": "SCHEMA", "stream": "profiles", "schema": people, "key_properties": ["profile_id"]},
        *({"type": "RECORD", "stream": "profiles", "record": row} for row in known),
    )
    assert done.returncode == 0, done.stderr
    columns = {table: set(schemas[table]["schema"]["properties"]) for table in (it["name"] for it in sources())}
    columns["events"] -= {name.removeprefix("!events.") for name in NOT_READ}
    (folder / "catalog.json").write_text(json.dumps(select(catalog, columns)))
    begun = datetime.now(UTC)
    done = fill(lake, account.url, "--catalog", str(folder / "catalog.json"))
    assert done.returncode == 0, done.stderr
    return begun, datetime.now(UTC)


def build(dbt: Path, database: str, folder: Path, environment: dict[str, str], code: int = 0) -> str:
    """``dbt build`` in a copy of the project; what it said, and it ends with that code."""
    made = shutil.ignore_patterns(".venv", "target", "logs", "dbt_packages", "packages.yml", "*.duckdb")
    shutil.copytree(PROJECT, folder, ignore=made)
    done = subprocess.run(
        [dbt / "dbt", "build", "--target", database, "--profiles-dir", ".", "--no-use-colors"],
        cwd=folder,
        env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def read_postgres(uri: str, log: str) -> Built:
    query = "select column_name, data_type from information_schema.columns where table_schema = %s and table_name = %s"
    columns, found = {}, {}
    with psycopg.connect(uri) as connection:
        for table in COLUMNS:
            columns[table] = dict(connection.execute(query, (SCHEMA, table)).fetchall())
            cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
            found[table] = cursor.execute(f'select * from {SCHEMA}."{table}"').fetchall()
    return Built(columns, found, log)


def read_duckdb(dbt: Path, path: str, log: str) -> Built:
    command = [dbt / "python", "-c", READ, path, SCHEMA, *COLUMNS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    def moments(value: dict[str, Any]) -> Any:
        return datetime.fromisoformat(value["moment"]) if set(value) == {"moment"} else value

    found = json.loads(done.stdout, object_hook=moments)
    return Built({t: it[0] for t, it in found.items()}, {t: it[1] for t, it in found.items()}, log)


@pytest.mark.exhaustive
@pytest.mark.parametrize("table", COLUMNS)
def test_columns_are_those_of_the_package(warehouse: Warehouse, table: str) -> None:
    """Each table has the columns that the package reads and no others, of the types that it expects."""
    place = DATABASES.index(warehouse.database)
    expected = {name: TYPES[kind][place] for name, kind in {**COLUMNS[table], **LOADER}.items()}
    assert warehouse.built.columns[table] == expected


@pytest.mark.exhaustive
@pytest.mark.parametrize("table", COLUMNS)
def test_rows_are_those_of_the_account(warehouse: Warehouse, account: RunningSandbox, table: str) -> None:
    """Each row is there once, and each of its values is what the account says when it is asked without our code."""
    expected = rows(witness(account), table)
    found = warehouse.built.rows[table]
    assert len(found) == len(expected) > 0
    values = {row["id"]: {name: it for name, it in row.items() if name not in {"id", *LOADER}} for row in found}
    if table == "event":
        values = {key: as_the_package_reads(row) for key, row in values.items()}
    assert values == expected


def as_the_package_reads(event: dict[str, Any]) -> dict[str, Any]:
    """The value as a number, the attribution as an object."""
    value, attribution = event["property_value"], event["property_attribution"]
    return {
        **event,
        "property_value": None if value is None else Decimal(value),
        "property_attribution": None if attribution is None else json.loads(attribution),
    }


@pytest.mark.exhaustive
def test_synced_is_when_the_loader_wrote(warehouse: Warehouse) -> None:
    """The package finds new events by the time of loading, so it lies within the run and not at the event."""
    second = timedelta(seconds=1)  # what a loader that writes whole seconds cuts off
    for table, found in warehouse.built.rows.items():
        synced = [row["_fivetran_synced"].replace(tzinfo=UTC) for row in found]
        assert warehouse.begun - second <= min(synced), table
        assert max(synced) <= warehouse.ended + second, table
        # What has ended is not in the lake's views.
        assert {row["_fivetran_deleted"] for row in found} == {False if warehouse.database == "postgres" else None}


def test_the_account_has_what_the_contract_is_about(account: RunningSandbox) -> None:
    """Every column that Klaviyo can fill has a value somewhere, so that none is compared to nothing."""
    for table in COLUMNS:
        expected = rows(witness(account), table).values()
        empty = {name for name in COLUMNS[table] if name != "id" and all(row[name] is None for row in expected)}
        assert empty == ({"status_id"} if table == "campaign" else set())


@pytest.mark.exhaustive
def test_deleted_flows_and_campaigns_are_warnings(warehouse: Warehouse) -> None:
    """Events of a flow or a campaign that is gone do not fail the build, and are told."""
    assert "WARN=2 ERROR=0" in warehouse.built.log
    assert "relationships_event_flow_id" in warehouse.built.log
    assert "relationships_event_campaign_id" in warehouse.built.log


def messages(*tables: str, rows: bool) -> list[dict[str, Any]]:
    """SCHEMAs of the tap, and of each table a row."""
    found: list[dict[str, Any]] = []
    for name in tables:
        schema = json.loads((ROOT / "schemas" / "tap" / f"{name}.json").read_text())
        key = next(iter(schema["properties"]))
        found.append({"type": "SCHEMA", "stream": name, "schema": schema, "key_properties": [key]})
        found += [{"type": "RECORD", "stream": name, "record": {key: "X", "name": "X"}}] if rows else []
    return found


@pytest.mark.exhaustive
def test_a_lake_that_is_none_ends_the_build(dbt: Path, tmp_path: Path) -> None:
    """A wrong folder, a lake that lacks a table, and one without rows are no green build of empty tables."""
    tables = [table["name"] for table in sources()]
    (tmp_path / "wrong").mkdir()
    land(tmp_path / "part", *messages(*tables[:3], rows=True))
    land(tmp_path / "empty", *messages(*tables, rows=False))
    said = {
        name: build(dbt, "duckdb", tmp_path / f"dbt-{name}", {"KLAVIYO_LAKE": str(tmp_path / name)}, code=2)
        for name in ("wrong", "part", "empty", "nowhere")
    }
    assert "there is no table `" in said["wrong"]
    assert f"there is no table `{tables[3]}`" in said["part"]
    assert "no table has a row" in said["empty"]
    assert all(str(tmp_path / name) in text for name, text in said.items())


@pytest.mark.exhaustive
def test_a_table_without_rows_is_an_empty_view(dbt: Path, tmp_path: Path) -> None:
    """What an account has none of has the columns of the contract, beside tables that have rows."""
    lake = tmp_path / "lake"
    land(
        lake,
        *messages("metrics", rows=True),
        *messages(*(t["name"] for t in sources() if t["name"] != "metrics"), rows=False),
    )
    built = read_duckdb(
        dbt, str(lake / "warehouse.duckdb"), build(dbt, "duckdb", tmp_path / "dbt", {"KLAVIYO_LAKE": str(lake)})
    )
    assert {table: len(found) for table, found in built.rows.items()} == {t: int(t == "metric") for t in COLUMNS}
    assert {table: set(columns) for table, columns in built.columns.items()} == {
        table: {*columns, *LOADER} for table, columns in COLUMNS.items()
    }


def test_sources_are_columns_of_the_tap() -> None:
    """Each column that the models read is one of the tap's tables, or the loader's."""
    for table in sources():
        schema = json.loads((ROOT / "schemas" / "tap" / f"{table['name']}.json").read_text())
        names = {column["name"] for column in table["columns"]} - {"_sdc_batched_at", "_sdc_deleted_at"}
        assert names <= set(schema["properties"]), table["name"]
