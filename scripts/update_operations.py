#!/usr/bin/env python3
"""Turn the vendor's OpenAPI document into the two files of facts that this project commits.

    python scripts/update_operations.py                     # write both files, from the document that tests/ keeps
    python scripts/update_operations.py PATH_TO_DOCUMENT    # from a newer one, which is then kept instead
    python scripts/update_operations.py --and PATH          # with the document of another revision (``revisions.py``)
    python scripts/update_operations.py --check             # write nothing, fail when they differ

* ``klaviyo_client/api/operations.json``: for every operation its method, path, budgets, scopes, page size, filters,
  sorts, includes and sparse fields, the batch limits that only the description states, and of queries (what reads by
  POST) the attributes of the body with their values and the bounds that only their descriptions state.
* ``klaviyo_sandbox/spec/facts.json``: for every operation named in ``klaviyo_sandbox/spec/served.txt`` its parameters
  and the shapes of its bodies, without prose; of every other its method and path. The sandbox has its own file so that
  it stays an independent witness.

An operation belongs to a revision (``scripts/revisions.py``). Facts of one whose document is not given stay as they
are committed.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import openapi
import revisions
from generated import write_or_check
from operation_facts import client_facts, sandbox_facts, shape

ROOT = Path(__file__).resolve().parents[1]
OPERATIONS = ROOT / "klaviyo_client" / "api" / "operations.json"
SERVED = ROOT / "klaviyo_sandbox" / "spec" / "served.txt"
FACTS = ROOT / "klaviyo_sandbox" / "spec" / "facts.json"


def build(
    spec: dict[str, Any], served_names: list[str], others: Mapping[str, dict[str, Any]] | None = None
) -> dict[Path, str]:
    """The text of both files, by path.

    Args:
        spec: the document in whose revision most operations are asked for.
        served_names: operations that the sandbox serves.
        others: revision -> its document. What is asked for in a revision whose document is not here stays as it stands.

    Raises:
        SystemExit: an operation is in no document, or its document is needed and not here.
    """
    revision, default_schemas = spec["info"]["version"], _shapes(spec)
    names = revisions.names(revision, [operation["operationId"] for *_, operation in openapi.operations(spec)])
    known, served, schemas = _facts_of(spec, names.pop(revision), served_names)
    for other, wanted in names.items():
        if others and other in others:
            more = _in_revision(
                other, _shapes(others[other]), default_schemas, _facts_of(others[other], wanted, served_names)
            )
        else:
            more = _kept_facts(other, wanted, served_names)
        if changed := [name for name in more[2].keys() & schemas.keys() if more[2][name] != schemas[name]]:
            raise SystemExit(f"give the document of {other} with --and: {', '.join(sorted(changed))} changed")
        known, served, schemas = known | more[0], served | more[1], schemas | more[2]
    if unknown := [name for name in served_names if name not in served]:
        raise SystemExit(f"not in the specification: {', '.join(unknown)}")
    missing = {
        name: {key: facts[key] for key in ("revision", "method", "path") if key in facts}
        for name, facts in sorted(known.items())
        if name not in served
    }
    facts = {
        "revision": revision,
        "operations": dict(sorted(served.items())),
        "unserved": missing,
        "schemas": dict(sorted(schemas.items())),
    }
    return {
        OPERATIONS: one_line_each({"revision": revision, "operations": dict(sorted(known.items()))}),
        FACTS: one_line_each(facts),
    }


# By name: what the client and the sandbox know of operations, and the schemas that the latter refer to.
Facts = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def _shapes(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {name: shape(schema) for name, schema in spec["components"]["schemas"].items()}


def _facts_of(spec: dict[str, Any], names: Mapping[str, str], served_names: Collection[str]) -> Facts:
    """The facts of a document's operations.

    Args:
        spec: the document.
        names: our names of the operations -> their ids.
        served_names: our names of those that the sandbox serves.
    """
    revision = spec["info"]["version"]
    operations = {
        op["operationId"]: (path, method, revisions.as_shown(op, revision))
        for path, method, op in openapi.operations(spec)
    }
    if unknown := set(names.values()) - operations.keys():
        raise SystemExit(f"not in the specification {revision}: {', '.join(sorted(unknown))}")
    known = {name: client_facts(spec, *operations[op]) for name, op in names.items()}
    served = {name: sandbox_facts(spec, *operations[op]) for name, op in names.items() if name in served_names}
    return known, served, openapi.reachable(served, _shapes(spec).__getitem__)


def _in_revision(revision: str, shapes: Mapping[str, Any], default_schemas: Mapping[str, Any], facts: Facts) -> Facts:
    """The same facts as those of a revision: they name it, and so do their schemas where those are its own."""
    known, served, schemas = facts
    own = revisions.own_schemas(shapes, default_schemas)
    of_revision = {"revision": revision}
    return (
        {name: of_revision | operation for name, operation in known.items()},
        {name: of_revision | revisions.renamed(operation, revision, own) for name, operation in served.items()},
        {
            f"{name}@{revision}" if name in own else name: revisions.renamed(schema, revision, own)
            for name, schema in schemas.items()
        },
    )


def _kept_facts(revision: str, names: Collection[str], served_names: Collection[str]) -> Facts:
    """The facts of a revision's operations as the committed files have them."""
    operations, facts = (json.loads(path.read_text("utf-8")) for path in (OPERATIONS, FACTS))
    known, served = (
        {name: found for name, found in entries.items() if name in names and found.get("revision") == revision}
        for entries in (operations["operations"], facts["operations"])
    )
    wanted = {name for name in names if name in served_names}
    if missing := (set(names) - known.keys()) | (wanted - served.keys()):
        raise SystemExit(
            f"give the document of {revision} with --and: nothing is known of {', '.join(sorted(missing))}"
        )
    kept = {name: served[name] for name in wanted}
    return known, kept, openapi.reachable(kept, facts["schemas"].__getitem__)


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
    parser.add_argument(
        "--and",
        type=Path,
        action="append",
        default=[],
        dest="others",
        metavar="PATH",
        help="another revision's document",
    )
    parser.add_argument("--check", action="store_true", help="fail when a committed file differs")
    arguments = parser.parse_args()
    content = arguments.spec.read_bytes() if arguments.spec else lzma.decompress(openapi.kept_path().read_bytes())
    spec = json.loads(content)
    others = [json.loads(path.read_bytes()) for path in arguments.others]
    texts = build(spec, SERVED.read_text().split(), {other["info"]["version"]: other for other in others})
    if arguments.spec and not arguments.check:
        openapi.keep(content, spec["info"]["version"])
    return write_or_check(texts, check=arguments.check)


if __name__ == "__main__":
    sys.exit(main())
