"""What is measured from end to end: what reads, what loads what was read, and how one counts what has arrived.

Programs of others are installed as they are published, each into an environment of its own, and take the sandbox for
Klaviyo. Which, and which versions: ``tests/support/outsiders.py``, and the loader in ``meltano.yml``.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import duckdb
import psycopg
import yaml
from arrivals import ALONE
from psycopg import sql
from subjects import KEY

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import environments  # noqa: E402 - the checkout's own packages
from support.klaviyo_address import klaviyo_address  # noqa: E402
from support.outsiders import INGESTR, TAP, Outsider  # noqa: E402

LAKE = ROOT / "examples" / "lake"
SCHEMA = "klaviyo"
COUNT = "select count(*), count(distinct id)"
# They cost a request for each event that somebody else's was attributed to.
LOOKED_UP = ("attribution_send_ts", "attribution_attributed_channel")
# What other people's taps call the tables that are no events.
NO_EVENTS = ("campaigns", "global_exclusions", "lists")
# The loader's settings that say what lands, and not how fast.
WHAT_LANDS = ("default_target_schema", "load_method", "hard_delete")


class Unavailable(Exception):
    """A pipe cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Place:
    """Where a pipe runs.

    Attributes:
        folder: an empty one.
        url: of the sandbox.
        since: the time from which events are read, as RFC 3339.
        database: the address of an empty PostgreSQL; "" where there is none.
        stack: what is entered into it is left when the pipe has ended.
    """

    folder: Path
    url: str
    since: str
    database: str
    stack: ExitStack


@dataclass(frozen=True)
class Job:
    """A shell's command with its environment; ``count`` gives rows and distinct ids; None: lines are counted."""

    command: str
    count: Callable[[], tuple[int, int]] | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True)
class Pipe:
    """A reader and a loader; ``make`` prepares them.

    Attributes:
        other: a reader that is not ours.
        part: which part of the account's time is read: slow ones read its end only.
    """

    other: str
    loader: str
    part: float
    make: Callable[[Place], Job]

    @property
    def reader(self) -> str:
        return self.other or "tap-klaviyo"

    def __str__(self) -> str:
        return f"{self.reader} → {self.loader}"


def pipes(part: float, small: float, *, others: bool) -> list[Pipe]:
    """All that are measured; ``part`` of the account for those that are slow, and the ``small`` one for the slowest."""
    fast, slow = _loader_settings(), {k: v for k, v in _loader_settings().items() if k in WHAT_LANDS}
    return [
        Pipe("", ALONE, 1.0, lambda place: Job(_read(place))),
        history(),
        Pipe("", "Parquet, by lines", 1.0, lambda place: _into_lake(place, batches=False)),
        Pipe("", "target-postgres", part, lambda place: _into_postgres(place, _read(place), fast)),
        Pipe("", "target-postgres by default", small, lambda place: _into_postgres(place, _read(place), slow)),
        *(_others(part, fast) if others else ()),
    ]


def history() -> Pipe:
    """The whole account into Parquet."""
    return Pipe("", "Parquet, by BATCH", 1.0, lambda place: _into_lake(place, batches=True))


def _others(part: float, settings: Mapping[str, Any]) -> list[Pipe]:
    tap, ingestr = f"singer-io's tap-klaviyo {_version(TAP)}", f"ingestr {_version(INGESTR)}"
    return [
        Pipe(tap, ALONE, part, lambda place: Job(*_read_by_their_tap(place))),
        Pipe(tap, "target-postgres", part, lambda place: _theirs_into_postgres(place, settings)),
        Pipe(ingestr, "DuckDB", part, _by_ingestr),
    ]


# Ours -----------------------------------------------------------------------------------------------------------------


@functools.cache
def _python() -> str:
    """Of an environment in which we are as our users have us: the checkout with the extra ``lake``, and no more.

    numpy, which the tests and the chart need, would be imported into each process, by the SDK and by pyarrow.
    """
    try:
        return str(
            environments.programs("ours", f"--constraint {ROOT / 'requirements.lock'}\n--editable {ROOT}[lake]\n")
            / "python"
        )
    except environments.RegistryOutOfReach:
        print("no package registry is within reach: the tap runs with all that is installed here", file=sys.stderr)
        return sys.executable


def _read(place: Place) -> str:
    return shlex.join([_python(), "-m", "tap_klaviyo", *_what_to_read(place)])


def _what_to_read(place: Place) -> list[str]:
    """Arguments of the tap: events alone, with every column that costs no request of its own."""
    # All of the budget; there are no limits to be held.
    config = {"api_key": KEY, "api_url": place.url, "start_date": place.since, "rate_limit_share": 1.0}
    return _files(place, {"config": config, "catalog": _catalog()})


@functools.cache
def _settings() -> Mapping[str, Any]:
    done = subprocess.run([_python(), "-m", "tap_klaviyo", "--about", "--format=json"], capture_output=True, check=True)
    settings: Mapping[str, Any] = json.loads(done.stdout)["settings"]["properties"]
    return settings


@functools.cache
def _catalog() -> Mapping[str, Any]:
    environment = {**os.environ, "TAP_KLAVIYO_API_KEY": KEY}
    command = [_python(), "-m", "tap_klaviyo", "--config=ENV", "--discover"]
    catalog: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, check=True, env=environment).stdout
    )
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            by_name = entry["metadata"].get("selected-by-default") is False and entry["breadcrumb"]
            left_out = by_name or entry["breadcrumb"][-1:] in [[name] for name in LOOKED_UP]
            entry["metadata"]["selected"] = stream["tap_stream_id"] == "events" and not left_out
    return catalog


def _into_lake(place: Place, *, batches: bool) -> Job:
    """Parquet files and a view of them; the tap writes them, or the lake makes them of its lines."""
    lake = place.folder / "lake"
    if not LAKE.exists() or (batches and "batch_config" not in _settings()):
        raise Unavailable("not in this version")
    # Only the whole command tells the tap to write files.
    whole = shlex.join([_python(), str(LAKE / "lake.py"), str(lake), *_what_to_read(place)])
    lines = shlex.join([_python(), str(LAKE / "land.py"), str(lake)])
    command = whole if batches else f"{_read(place)} | {lines}"
    return Job(command, lambda: _rows_in_duckdb(lake / "warehouse.duckdb"))


# PostgreSQL -----------------------------------------------------------------------------------------------------------


def _loader() -> Mapping[str, Any]:
    loaders = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))["plugins"]["loaders"]
    (found,) = (plugin for plugin in loaders if plugin["name"] == "target-postgres")
    return dict(found)


def _loader_settings() -> dict[str, Any]:
    """What ``meltano.yml`` sets."""
    loader = _loader()
    return {entry["name"]: entry["value"] for entry in loader["settings"] if "value" in entry} | loader.get(
        "config", {}
    )


def _into_postgres(place: Place, read: str, settings: Mapping[str, Any]) -> Job:
    address = urlsplit(place.database)
    host = quote(parse_qs(address.query)["host"][0])
    config = {**settings, "sqlalchemy_url": f"postgresql+psycopg://postgres:@{address.path}?host={host}"}
    program = _installed("target-postgres", _loader()["pip_url"]) / "target-postgres"
    (place.folder / "loader.json").write_text(json.dumps(config))
    load = shlex.join([str(program), f"--config={place.folder / 'loader.json'}"])
    return Job(f"{read} | {load}", lambda: _rows_in_postgres(place.database))


def _rows_in_postgres(address: str) -> tuple[int, int]:
    """Over all tables of the schema, because there are taps that have a table for each metric."""
    with psycopg.connect(address) as connection:
        query = "select table_name from information_schema.tables where table_schema = %s"
        names = [name for (name,) in connection.execute(query, [SCHEMA])]
        each = [sql.SQL("select id from {}").format(sql.Identifier(SCHEMA, name)) for name in names]
        found_ids = sql.SQL(" union all ").join(each)
        statement = sql.SQL("with found as ({}) {} from found").format(found_ids, sql.SQL(COUNT))
        found = connection.execute(statement).fetchone()
    return found or (0, 0)


def _rows_in_duckdb(path: Path) -> tuple[int, int]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(f"{COUNT} from events").fetchone() or (0, 0)


# Other people's -------------------------------------------------------------------------------------------------------


def _version(outsider: Outsider) -> str:
    return outsider.requirement.partition("==")[2]


def _installed(name: str, requirement: str) -> Path:
    try:
        return environments.programs(name, requirement)
    except environments.RegistryOutOfReach as problem:
        raise Unavailable(f"{requirement} is not installed, and no package registry is within reach") from problem


def _environment(place: Place) -> dict[str, str]:
    """In which a program finds the sandbox where it looks for Klaviyo: through a proxy, at some microseconds a row."""
    (folder := place.folder / "address").mkdir()
    variables = place.stack.enter_context(klaviyo_address(place.url, _installed("trustme", "trustme==1.2.1"), folder))
    return {**variables, "HOME": str(place.folder), "TZ": "UTC"}


def _read_by_their_tap(place: Place) -> tuple[str, None, dict[str, str]]:
    program, environment = _installed(TAP.name, TAP.requirement) / "tap-klaviyo", _environment(place)
    files = {"config": {"api_key": KEY, "start_date": place.since}}
    discover = [str(program), *_files(place, files), "--discover"]
    catalog = json.loads(subprocess.run(discover, capture_output=True, check=True, env=environment).stdout)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = stream["tap_stream_id"] not in NO_EVENTS
    return shlex.join([str(program), *_files(place, {**files, "catalog": catalog})]), None, environment


def _theirs_into_postgres(place: Place, settings: Mapping[str, Any]) -> Job:
    read, _, environment = _read_by_their_tap(place)
    job = _into_postgres(place, read, settings)
    return Job(job.command, job.count, environment)


def _by_ingestr(place: Place) -> Job:
    program, database = _installed(INGESTR.name, INGESTR.requirement) / "ingestr", place.folder / "read.duckdb"
    command = [str(program), "ingest", "--yes", "--progress=log", f"--interval-start={place.since}"]
    command += [f"--source-uri=klaviyo://?api_key={KEY}", "--source-table=events"]
    command += [f"--dest-uri=duckdb:///{database}", "--dest-table=main.events"]
    environment = {**_environment(place), **_duckdb_driver(place)}
    return Job(shlex.join(command), lambda: _rows_in_duckdb(database), environment)


def _duckdb_driver(place: Place) -> dict[str, str]:
    """Variables with which a program finds DuckDB where it would fetch it from elsewhere: in the Python package."""
    import _duckdb

    folder, name = sysconfig.get_config_vars("LIBDIR", "LDLIBRARY")
    library = Path(folder) / name
    if ".so" not in library.name or not library.exists():
        raise Unavailable("this Python is no shared library, which the driver in the package of DuckDB needs")
    manifest = 'manifest_version = 1\n[Driver]\nentrypoint = "duckdb_adbc_init"\n' + f'shared = "{_duckdb.__file__}"\n'
    (place.folder / "duckdb.toml").write_text(manifest)
    return {"ADBC_DRIVER_PATH": str(place.folder), "LD_PRELOAD": str(library)}


def _files(place: Place, contents: Mapping[str, Any]) -> list[str]:
    """Arguments that name these files, which are written."""
    for name, content in contents.items():
        (place.folder / f"{name}.json").write_text(json.dumps(content))
    return [argument for name in contents for argument in (f"--{name}", str(place.folder / f"{name}.json"))]
