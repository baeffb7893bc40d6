#!/usr/bin/env python3
"""Turn the vendor's OpenAPI document into the two files of facts that this project commits.

    python scripts/update_operations.py                     # write both files, from the document that tests/ keeps
    python scripts/update_operations.py PATH_TO_DOCUMENT    # from a newer one, which is then kept instead
    python scripts/update_operations.py --check             # write nothing, fail when they differ

* ``klaviyo_client/api/operations.json``: for every operation its method, path, budgets, scopes, page size, filters,
  sorts, includes and sparse fields, the batch limits that only the description states, and of queries (what reads by
  POST) the attributes of the body with their values and the bounds that only their descriptions state.
* ``klaviyo_sandbox/spec/facts.json``: for every operation named in ``klaviyo_sandbox/spec/served.txt`` its parameters
  and the shapes of its bodies, without prose; of every other its method and path. The sandbox has its own file so that
  it stays an independent witness.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
from pathlib import Path
from typing import Any

import openapi
from generated import write_or_check
from operation_facts import client_facts, sandbox_facts, shape

ROOT = Path(__file__).resolve().parents[1]
OPERATIONS = ROOT / "klaviyo_client" / "api" / "operations.json"
SERVED = ROOT / "klaviyo_sandbox" / "spec" / "served.txt"
FACTS = ROOT / "klaviyo_sandbox" / "spec" / "facts.json"


def build(spec: dict[str, Any], served_names: list[str]) -> dict[Path, str]:
    """The text of both files, by path.

    Raises:
        SystemExit: an operation that the sandbox wants to serve is not in the document.
    """
    operations = {op["operationId"]: (path, method, op) for path, method, op in openapi.operations(spec)}
    if unknown := [name for name in served_names if name not in operations]:
        raise SystemExit(f"not in the specification: {', '.join(unknown)}")
    revision = spec["info"]["version"]
    known = {name: client_facts(spec, *operations[name]) for name in sorted(operations)}
    served = {name: sandbox_facts(spec, *operations[name]) for name in sorted(served_names)}
    schemas = openapi.reachable(served, lambda name: shape(spec["components"]["schemas"][name]))
    missing = {
        name: {"method": method.upper(), "path": path}
        for name, (path, method, _) in sorted(operations.items())
        if name not in served
    }
    facts = {
        "revision": revision,
        "operations": served,
        "unserved": missing,
        "schemas": dict(sorted(schemas.items())),
    }
    return {OPERATIONS: one_line_each({"revision": revision, "operations": known}), FACTS: one_line_each(facts)}


def one_line_each(document: dict[str, Any]) -> str:
    """JSON with one line per entry of each top-level object, so that a diff names what changed."""
    parts = []
    for key, value in document.items():
        if isinstance(value, dict):
            lines = ",\n".join(
                f"  {json.dumps(name)}: {json.dumps(entry, separators=(',', ':'))}" for name, entry in value.items()
            )
            parts.append(f"{json.dumps(key)}: {{\n{lines}\n}}")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=Path, nargs="?", help="the vendor's OpenAPI document (JSON)")
    parser.add_argument("--check", action="store_true", help="fail when a committed file differs")
    arguments = parser.parse_args()
    content = arguments.spec.read_bytes() if arguments.spec else lzma.decompress(openapi.kept_path().read_bytes())
    spec = json.loads(content)
    texts = build(spec, SERVED.read_text().split())
    if arguments.spec and not arguments.check:
        openapi.keep(content, spec["info"]["version"])
    return write_or_check(texts, check=arguments.check)


if __name__ == "__main__":
    sys.exit(main())
