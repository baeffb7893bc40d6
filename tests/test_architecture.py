"""The house's import rules."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("klaviyo_client", "tap_klaviyo", "target_klaviyo", "klaviyo_sandbox")
PLUGINS = {"klaviyo_client", "tap_klaviyo", "target_klaviyo"}

# Package -> the packages of ours that it may import.
MAY_IMPORT = {
    "klaviyo_client": {"klaviyo_client"},
    "tap_klaviyo": {"tap_klaviyo", "klaviyo_client"},
    "target_klaviyo": {"target_klaviyo", "klaviyo_client"},
    "klaviyo_sandbox": {"klaviyo_sandbox"},
}
# Foreign package -> the only files that may import it.
ONLY_IN = {
    "singer_sdk": {
        "tap_klaviyo/tap.py",
        "tap_klaviyo/streams/base.py",
        "tap_klaviyo/streams/report.py",
        "tap_klaviyo/streams/run.py",
        "tap_klaviyo/streams/table.py",
        "tap_klaviyo/streams/writer.py",
        "target_klaviyo/target.py",
        "target_klaviyo/intake/run.py",
        "target_klaviyo/intake/sink.py",
        "target_klaviyo/intake/message_reader.py",
    },
    "requests": {"klaviyo_client/http/transport.py"},
    "oauthlib": {"klaviyo_client/auth/oauth.py"},
    "klaviyo_api": set(),
    "starlette": {"klaviyo_sandbox/http/app.py", "klaviyo_sandbox/http/control_app.py"},
    "uvicorn": {"klaviyo_sandbox/http/web_server.py"},
}
PURE = {
    "klaviyo_client/errors.py",
    "klaviyo_client/auth/oauth.py",
    "klaviyo_client/api/pages.py",
    "klaviyo_client/privacy/redaction.py",
    "klaviyo_client/api/protocol.py",
    "tap_klaviyo/rows/compiler.py",
    "tap_klaviyo/reading/frontier.py",
    "tap_klaviyo/rows/record_lines.py",
    "tap_klaviyo/reading/event_metrics.py",
    "tap_klaviyo/model.py",
    "tap_klaviyo/rows/paths.py",
    "tap_klaviyo/rows/projection.py",
    "tap_klaviyo/reports/call_log.py",
    "tap_klaviyo/reports/declaration.py",
    "tap_klaviyo/reports/windows.py",
    "tap_klaviyo/reports/rows.py",
    "tap_klaviyo/reports/settings.py",
    "tap_klaviyo/rows/roots.py",
    "tap_klaviyo/streams/permissions.py",
    "tap_klaviyo/reading/selection.py",
    "tap_klaviyo/rows/page_rows.py",
    "tap_klaviyo/rows/lookup_protocol.py",
    "tap_klaviyo/rows/slice_rows.py",
    "tap_klaviyo/reading/slices.py",
    "tap_klaviyo/rows/values.py",
    "target_klaviyo/model/amounts.py",
    "target_klaviyo/audience/completeness.py",
    "target_klaviyo/delivery/batches.py",
    "target_klaviyo/model/identifiers.py",
    "target_klaviyo/intake/records.py",
    "target_klaviyo/delivery/ledger.py",
    "target_klaviyo/intake/field_values.py",
    "target_klaviyo/intake/mapping.py",
    "target_klaviyo/intake/mapping_compiler.py",
    "target_klaviyo/model/records.py",
    "target_klaviyo/model/times.py",
    "target_klaviyo/delivery/responses.py",
    "target_klaviyo/reporting/html.py",
    "target_klaviyo/intake/route_settings.py",
    "target_klaviyo/intake/routes.py",
    "klaviyo_sandbox/account/consent.py",
    "klaviyo_sandbox/spec/documents.py",
    "klaviyo_sandbox/spec/errors.py",
    "klaviyo_sandbox/writes/event_rules.py",
    "klaviyo_sandbox/spec/filters.py",
    "klaviyo_sandbox/page/html.py",
    "klaviyo_sandbox/page/live.py",
    "klaviyo_sandbox/page/model.py",
    "klaviyo_sandbox/reports/statistics.py",
    "klaviyo_sandbox/reports/timeframes.py",
    "klaviyo_sandbox/spec/body_schema.py",
}
IMPURE = {
    *("asyncio", "concurrent", "multiprocessing", "queue", "subprocess", "threading"),
    *("http", "requests", "select", "selectors", "socket", "socketserver", "ssl", "urllib3"),
    *("os", "pathlib", "random", "secrets", "shutil", "tempfile", "time"),
}


@cache
def imported(source: str, package: str) -> list[str]:
    """Full names of the modules that a source text imports at run time."""
    tree = ast.parse(source)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found: list[str] = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or package if not node.level else package)
    return found


def breaches(files: dict[str, str]) -> list[str]:
    """Every import that breaks a rule, for {path below the root: source text}."""
    found = []
    for path, source in files.items():
        package = path.split("/")[0]
        for name in imported(source, package):
            top = name.split(".")[0]
            if top in OURS and top not in MAY_IMPORT[package]:
                found.append(f"{path} imports {name}: {package} may import {sorted(MAY_IMPORT[package])}")
            if top in ONLY_IN and path not in ONLY_IN[top]:
                found.append(f"{path} imports {name}: only {sorted(ONLY_IN[top])} may")
            if path in PURE and top in IMPURE:
                found.append(f"{path} is pure and imports {name}")
    return found


def house() -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for package in OURS
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def test_the_house_keeps_its_rules() -> None:
    """No module of ours imports what its room may not."""
    assert breaches(house()) == []


def test_every_room_of_the_rules_exists() -> None:
    """A rule about a file that was renamed would keep nothing."""
    files = house()
    assert [path for paths in ONLY_IN.values() for path in paths if path not in files] == []
    assert sorted(PURE - files.keys()) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("tap_klaviyo/reading/account_reader.py", "from target_klaviyo.model.records import Outcome"),
        ("target_klaviyo/endpoints/profile_imports.py", "import tap_klaviyo.reading.slices"),
        ("klaviyo_client/client.py", "from tap_klaviyo import model"),
        ("klaviyo_client/client.py", "import singer_sdk"),
        ("klaviyo_sandbox/account/store.py", "from klaviyo_client import protocol"),
        ("tap_klaviyo/tap.py", "    from klaviyo_sandbox import serve"),
        ("tap_klaviyo/reading/account_reader.py", "from singer_sdk import Stream"),
        ("target_klaviyo/delivery/lists.py", "import requests"),
        ("tap_klaviyo/reading/page_reader.py", "import klaviyo_api"),
        ("tap_klaviyo/reading/slices.py", "import time"),
        ("klaviyo_client/api/protocol.py", "import socket"),
        ("tap_klaviyo/reports/windows.py", "import time"),
        ("tap_klaviyo/reports/session.py", "import singer_sdk"),
    ],
)
def test_a_deliberate_breach_is_found(path: str, line: str) -> None:
    """One forbidden import, also inside a function, is one finding that names the file."""
    files = house()
    files[path] += f"\ndef breach():\n    {line.strip()}\n"

    (found,) = breaches(files)

    assert found.startswith(path)
