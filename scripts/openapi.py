"""Reads OpenAPI documents, above all the vendor's: the repository keeps a copy, so that everybody's tests have it.

Scripts make the committed facts of it, and tests hold the sandbox's answers to it. Both read the document with this
module; what they conclude from it is their own.
"""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "specification"
METHODS = ("get", "post", "patch", "put", "delete")

Schema = dict[str, Any]
Schemas = Mapping[str, Schema]


def kept_path() -> Path:
    """The file with the vendor's document, compressed; there is exactly one."""
    (path,) = FOLDER.glob("*.json.xz")
    return path


def load() -> dict[str, Any]:
    """The vendor's document, decoded; the caller may edit it."""
    document: dict[str, Any] = json.loads(lzma.decompress(kept_path().read_bytes()))
    return document


def others() -> dict[str, dict[str, Any]]:
    """Revision -> its document, for those that are at hand: at the paths that KLAVIYO_OPENAPI lists."""
    paths = os.environ.get("KLAVIYO_OPENAPI", "").split(os.pathsep)
    documents = [json.loads(Path(path).read_bytes()) for path in paths if path]
    return {document["info"]["version"]: document for document in documents}


def keep(content: bytes, revision: str) -> None:
    """Keep the bytes of another document in place of the one that is kept."""
    kept_path().unlink()
    (FOLDER / f"klaviyo-{revision}.json.xz").write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (path, method, operation) for every operation of the document."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def responses(document: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Schema | None]:
    """Status -> schema of the answer's body; None for an answer that has no body."""
    named = document["components"]["responses"]
    return {status: body_schema(resolve(response, named)) for status, response in operation["responses"].items()}


def body_schema(holder: Mapping[str, Any]) -> Schema | None:
    """The schema of the body of a request or of an answer. All media types of a body have the same schema."""
    return next((media["schema"] for media in holder.get("content", {}).values()), None)


def choices(schema: Mapping[str, Any]) -> list[str]:
    """The values that a schema lists for itself or for its items; empty if it lists none."""
    return list(schema.get("enum") or schema.get("items", {}).get("enum") or ())


def referenced_name(reference: str) -> str:
    """The name that a ``$ref`` points to: the last part of its path."""
    return reference.rpartition("/")[2]


def resolve(node: dict[str, Any], named: Schemas) -> dict[str, Any]:
    """The node itself, or the named one in whose place it stands."""
    return named[referenced_name(node["$ref"])] if "$ref" in node else node


def references(node: Any) -> Iterator[str]:
    """Names of the schemas that a part of a document points to directly."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield referenced_name(node["$ref"])
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def reachable(node: Any, schema_of: Callable[[str], Schema]) -> dict[str, Schema]:
    """All named schemas to which references lead from a part of a document.

    Args:
        node: the part of the document.
        schema_of: gives the schema of a name; references are followed in what it gives.
    """
    reached: dict[str, Schema] = {}
    waiting = set(references(node))
    while waiting:
        name = waiting.pop()
        reached[name] = schema_of(name)
        waiting |= set(references(reached[name])) - reached.keys()
    return reached
