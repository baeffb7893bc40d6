"""The house's import rules: which package, which folder and which module may import which."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = {"klaviyo_client", "tap_klaviyo", "target_klaviyo"}

# Package -> the packages of ours that it may import.
MAY_IMPORT = {
    "klaviyo_client": {"klaviyo_client"},
    "tap_klaviyo": {"tap_klaviyo", "klaviyo_client"},
    "target_klaviyo": {"target_klaviyo", "klaviyo_client"},
    "klaviyo_audience": {"klaviyo_audience", "target_klaviyo", "klaviyo_client"},
    "klaviyo_sandbox": {"klaviyo_sandbox"},
}
# Package -> what it opens on, from the floor up; a folder, or a module on top, may import those of earlier lines only.
FLOORS = {
    "klaviyo_client": ("privacy", "errors", "api", "http", "auth", "client", "queries permissions", "plugin"),
    "tap_klaviyo": (
        *("model", "rows", "files", "tables", "workers", "reading", "reports", "settings", "streams", "tap"),
        "__main__",
    ),
    "target_klaviyo": (
        *("model", "delivery", "endpoints", "reporting", "rehearsal", "audience", "actions", "intake", "settings"),
        *("target", "__main__"),
    ),
    "klaviyo_audience": ("headers guesses reading", "feed entry", "words", "log push", "command", "__main__"),
    "klaviyo_sandbox": (
        *("spec", "account", "reads", "reports", "writes", "manners", "http", "browser", "server"),
        "pytest_plugin __main__",
    ),
}
# Beside ``__init__`` and ``__main__``: more than these nobody reads from top to bottom.
ENTRIES = 10
# Foreign package -> the only files, or folders, that may import it.
ONLY_IN = {
    "singer_sdk": {"tap_klaviyo/tap.py", "tap_klaviyo/streams/", "target_klaviyo/target.py", "target_klaviyo/intake/"},
    "requests": {"klaviyo_client/http/transport.py"},
    "oauthlib": {"klaviyo_client/auth/oauth.py"},
    "klaviyo_api": set(),
    "jinja2": {"klaviyo_sandbox/browser/html.py", "target_klaviyo/reporting/html.py"},
    "starlette": {"klaviyo_sandbox/http/"},
    "uvicorn": {"klaviyo_sandbox/http/"},
    "openpyxl": {"klaviyo_audience/reading/excel.py"},
    "sqlalchemy": {"klaviyo_audience/reading/queries.py"},
}
# They take time, randomness and configuration as arguments, and do no input or output.
PURE = {
    "klaviyo_audience/entry.py",
    "klaviyo_audience/guesses.py",
    "klaviyo_audience/headers.py",
    "klaviyo_audience/reading/rows.py",
    "klaviyo_audience/words.py",
    "klaviyo_client/api/filters.py",
    "klaviyo_client/api/json_text.py",
    "klaviyo_client/api/metric_names.py",
    "klaviyo_client/api/pages.py",
    "klaviyo_client/api/protocol.py",
    "klaviyo_client/api/reply.py",
    "klaviyo_client/auth/oauth.py",
    "klaviyo_client/errors.py",
    "klaviyo_client/http/windows.py",
    "klaviyo_client/plugin/booleans.py",
    "klaviyo_client/privacy/redaction.py",
    "klaviyo_sandbox/account/consent.py",
    "klaviyo_sandbox/account/rows.py",
    "klaviyo_sandbox/browser/chart.py",
    "klaviyo_sandbox/browser/html.py",
    "klaviyo_sandbox/browser/live.py",
    "klaviyo_sandbox/browser/model.py",
    "klaviyo_sandbox/manners/judge.py",
    "klaviyo_sandbox/manners/writes.py",
    "klaviyo_sandbox/reports/statistics.py",
    "klaviyo_sandbox/reports/timeframes.py",
    "klaviyo_sandbox/spec/body_schema.py",
    "klaviyo_sandbox/spec/documents.py",
    "klaviyo_sandbox/spec/errors.py",
    "klaviyo_sandbox/spec/exchange.py",
    "klaviyo_sandbox/spec/filters.py",
    "klaviyo_sandbox/spec/times.py",
    "klaviyo_sandbox/writes/event_rules.py",
    "tap_klaviyo/files/columns.py",
    "tap_klaviyo/files/rows.py",
    "tap_klaviyo/model.py",
    "tap_klaviyo/reading/drift.py",
    "tap_klaviyo/reading/event_metrics.py",
    "tap_klaviyo/reading/frontier.py",
    "tap_klaviyo/reading/linked_query.py",
    "tap_klaviyo/reading/selection.py",
    "tap_klaviyo/reading/slices.py",
    "tap_klaviyo/reports/call_log.py",
    "tap_klaviyo/reports/declaration.py",
    "tap_klaviyo/reports/rows.py",
    "tap_klaviyo/reports/settings.py",
    "tap_klaviyo/reports/windows.py",
    "tap_klaviyo/rows/compiler.py",
    "tap_klaviyo/rows/lookup_protocol.py",
    "tap_klaviyo/rows/page_rows.py",
    "tap_klaviyo/rows/paths.py",
    "tap_klaviyo/rows/projection.py",
    "tap_klaviyo/rows/record_lines.py",
    "tap_klaviyo/rows/roots.py",
    "tap_klaviyo/rows/shapes.py",
    "tap_klaviyo/rows/slice_rows.py",
    "tap_klaviyo/rows/typed_rows.py",
    "tap_klaviyo/rows/values.py",
    "tap_klaviyo/streams/look_back.py",
    "tap_klaviyo/streams/permissions.py",
    "tap_klaviyo/streams/reading_plan.py",
    "target_klaviyo/audience/completeness.py",
    "target_klaviyo/audience/feed.py",
    "target_klaviyo/audience/reasons.py",
    "target_klaviyo/delivery/batches.py",
    "target_klaviyo/delivery/ledger.py",
    "target_klaviyo/delivery/refusals.py",
    "target_klaviyo/delivery/responses.py",
    "target_klaviyo/actions/person_fields.py",
    "target_klaviyo/intake/column_checks.py",
    "target_klaviyo/intake/column_fates.py",
    "target_klaviyo/intake/field_values.py",
    "target_klaviyo/intake/mapping.py",
    "target_klaviyo/intake/mapping_compiler.py",
    "target_klaviyo/intake/records.py",
    "target_klaviyo/intake/regions.py",
    "target_klaviyo/intake/route_settings.py",
    "target_klaviyo/intake/routes.py",
    "target_klaviyo/intake/schema_dialects.py",
    "target_klaviyo/actions/form_fields.py",
    "target_klaviyo/model/amounts.py",
    "target_klaviyo/model/identifiers.py",
    "target_klaviyo/model/names.py",
    "target_klaviyo/model/records.py",
    "target_klaviyo/model/texts.py",
    "target_klaviyo/model/times.py",
    "target_klaviyo/rehearsal/examples.py",
    "target_klaviyo/rehearsal/push_command.py",
    "target_klaviyo/rehearsal/screen.py",
    "target_klaviyo/reporting/html.py",
    "target_klaviyo/reporting/rejected_people.py",
}
IMPURE = {
    "klaviyo_client/api/filters.py",
    "klaviyo_client/api/metric_names.py",
    "klaviyo_client/api/reply.py",
    "klaviyo_client/http/windows.py",
    "klaviyo_client/plugin/booleans.py",
    "klaviyo_sandbox/account/rows.py",
    "klaviyo_sandbox/spec/exchange.py",
    "klaviyo_sandbox/spec/times.py",
    *("asyncio", "concurrent", "multiprocessing", "queue", "subprocess", "threading"),
    *("http", "requests", "select", "selectors", "socket", "socketserver", "ssl", "urllib3"),
    *("os", "pathlib", "random", "secrets", "shutil", "tempfile", "time"),
}

# Of these a pure module knows nothing, not even by way of a module that it imports.
FRAMEWORKS = {"click", "singer_sdk", "starlette", "uvicorn"}


# What imports what ----------------------------------------------------------------------------------------------------


def house() -> dict[str, str]:
    """Path below the root -> source text, of every module of ours."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for package in MAY_IMPORT
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def imported_names(source: str) -> tuple[str, ...]:
    """Every name that a source text imports, in functions and under ``TYPE_CHECKING`` too: ``package.module.name``."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(names)


def arrows(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Module of ours -> the modules of ours that it imports."""
    modules = {module_name(path) for path in files}
    graph: dict[str, set[str]] = {}
    for path, source in files.items():
        module = module_name(path)
        parents = (name if name in modules else name.rpartition(".")[0] for name in imported_names(source))
        graph[module] = {parent for parent in parents if parent in modules} - {module}
    return graph


def floor_of(module: str) -> int | None:
    """How high in its package a module stands; None for the package's own ``__init__``."""
    package, _, rest = module.partition(".")
    place = rest.split(".")[0]
    return next((floor for floor, names in enumerate(FLOORS[package]) if place in names.split()), None)


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of one circle, the first of them at the end too; empty when there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def far_imports(module: str, graph: Mapping[str, set[str]], sources: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every (module, name) that this module, or one that it imports, or one that those import, imports."""
    seen, waiting = {module}, [module]
    while waiting:
        current = waiting.pop()
        yield from ((current, name) for name in imported_names(sources[current]))
        waiting += graph[current] - seen
        seen |= graph[current]


def upward(module: str, graph: Mapping[str, set[str]]) -> Iterator[str]:
    """The modules of other places in the package that this one imports although they do not stand below it."""
    package, _, rest = module.partition(".")
    floor = floor_of(module)
    for name in graph[module]:
        is_elsewhere = name.startswith(f"{package}.") and not f"{name}.".startswith(f"{package}.{rest.split('.')[0]}.")
        its_floor = floor_of(name) if is_elsewhere else None
        if floor is not None and its_floor is not None and its_floor >= floor:
            yield name


def breaches(files: Mapping[str, str]) -> list[str]:
    """Every import that breaks a rule, for {path below the root: source text}."""
    graph, sources = arrows(files), {module_name(path): source for path, source in files.items()}
    found: list[str] = []
    for path, source in files.items():
        package, module = path.split("/")[0], module_name(path)
        for name in imported_names(source):
            top = name.split(".")[0]
            if top in MAY_IMPORT and top not in MAY_IMPORT[package]:
                found.append(f"{path} imports {name}: {package} may import {sorted(MAY_IMPORT[package])}")
            if top in ONLY_IN and not path.startswith(tuple(ONLY_IN[top])):
                found.append(f"{path} imports {name}: only {sorted(ONLY_IN[top])} may")
        found += (f"{path} imports {name}, which stands above it: {FLOORS[package]}" for name in upward(module, graph))
        if path in PURE:
            far = far_imports(module, graph, sources)
            found += (
                f"{path} is pure and imports {name} in {by}"
                for by, name in far
                if name.split(".")[0] in (IMPURE | FRAMEWORKS if by == module else FRAMEWORKS)
            )
    if modules := circle(graph):
        found.append(f"a circle: {' -> '.join(modules)}")
    return found


# The tests ------------------------------------------------------------------------------------------------------------


def test_the_house_keeps_its_rules() -> None:
    """No module of ours imports what its place may not, and none is in a circle."""
    assert breaches(house()) == []


@pytest.mark.parametrize("package", FLOORS)
def test_a_package_opens_on_few_entries(package: str) -> None:
    """Whoever opens a package sees at most ten entries, and each of them has a floor in the order of imports."""
    files = [path.split("/")[1] for path in house() if path.startswith(f"{package}/")]
    entries = {entry.removesuffix(".py") for entry in files} - {"__init__"}
    assert sorted(" ".join(FLOORS[package]).split()) == sorted(entries)
    assert len(entries - {"__main__"}) <= ENTRIES


def test_every_place_of_the_rules_exists() -> None:
    """A rule about a file that was renamed would keep nothing."""
    files = house()
    places = [place for allowed in ONLY_IN.values() for place in allowed]
    assert [place for place in places if not any(path.startswith(place) for path in files)] == []
    assert sorted(PURE - files.keys()) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("tap_klaviyo/streams/table.py", "from target_klaviyo.model.records import Outcome"),
        ("target_klaviyo/delivery/ledger.py", "import tap_klaviyo.reading.slices"),
        ("klaviyo_client/plugin/settings.py", "from tap_klaviyo import model"),
        ("klaviyo_client/client.py", "import singer_sdk"),
        ("klaviyo_sandbox/account/store.py", "from klaviyo_client.api import protocol"),
        ("target_klaviyo/target.py", "from klaviyo_audience.feed import Feed"),
        ("klaviyo_audience/push.py", "from tap_klaviyo.tap import TapKlaviyo"),
        ("klaviyo_audience/headers.py", "import time"),
        ("tap_klaviyo/tap.py", "    from klaviyo_sandbox import serve"),
        ("tap_klaviyo/reading/account_reader.py", "from singer_sdk import Stream"),
        ("target_klaviyo/delivery/lists.py", "import requests"),
        ("tap_klaviyo/reading/page_reader.py", "import klaviyo_api"),
        ("tap_klaviyo/reading/slices.py", "import time"),
        ("klaviyo_client/auth/oauth.py", "import socket"),
        ("tap_klaviyo/reports/windows.py", "import time"),
        ("tap_klaviyo/reports/session.py", "import singer_sdk"),
        # Upwards: from a floor to one above it, and to the other module of the same floor.
        ("klaviyo_client/auth/token_file.py", "from klaviyo_client.client import KlaviyoClient"),
        ("klaviyo_client/permissions.py", "from klaviyo_client import queries"),
        ("tap_klaviyo/workers/worker.py", "import tap_klaviyo.reading.selection"),
        ("klaviyo_sandbox/account/jobs.py", "if TYPE_CHECKING:\n        from klaviyo_sandbox.reads import paging"),
        # In a circle of one folder.
        ("tap_klaviyo/rows/values.py", "from tap_klaviyo.rows.compiler import compile_rows"),
    ],
)
def test_a_deliberate_breach_is_found(path: str, line: str) -> None:
    """One forbidden import, also inside a function or for a type only, is found, and the module is named."""
    files = house()
    files[path] += f"\ndef breach():\n    {line.strip()}\n"

    found = breaches(files)

    assert any(breach.startswith(path) or module_name(path) in breach for breach in found)


def test_a_pure_module_answers_for_what_it_imports() -> None:
    """A module without input or output does not get a framework by way of another one."""
    files = house()
    files["tap_klaviyo/rows/values.py"] += "\nimport click\n"
    assert "tap_klaviyo/rows/projection.py is pure and imports click in tap_klaviyo.rows.values" in breaches(files)
