#!/usr/bin/env python3
"""Move the project to another document of Klaviyo's API, a newer revision or another edition of the same.

    make revision SPEC=path/to/stable.json                     # without SPEC the vendor's newest, from its repository
    make revision SPEC=path/to/stable.json FOLLOW="create_event get_form"

Prints what changed among the operations that we use. Nothing is written until it is said of each of them that is gone
or may break what becomes of it: it stays on the revision before, by its name in ``scripts/revisions.py``, or the code
follows it (``FOLLOW``). Then the document is kept in place of the one before, everything that is generated is made
anew, and the dates of the revision that are typed by hand move. A document that is not Klaviyo's stable one, or is
older than the one that is kept, changes nothing.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import generate
import openapi
import revisions
import spec_changes
import update_operations
from generated import write_or_check

ROOT = Path(__file__).resolve().parents[1]
README = openapi.FOLDER / "README.md"
VENDOR = "https://raw.githubusercontent.com/klaviyo/openapi/main/openapi/stable.json"
# Who uses an operation: what it is called -> where its id stands as a text.
USERS = {
    "tap": ("tap_klaviyo", "klaviyo_client/plugin"),
    "target": ("target_klaviyo", "klaviyo_client/plugin"),
}
# A revision where it is asked for: in a header, a constant, a command. Prose may tell of the past, and stays.
_TYPED = r"((?i:revision)[\"']?\s*[:=]\s*[\"'`]?){}(?![-.T\w])"
SUFFIXES = {".py", ".md", ".yml", ".yaml", ".toml", ".json", ".jsonl", ".sh"}
# The facts are made here, of the new document and the one before.
GENERATORS = [name for name in generate.names() if name != generate.FACTS]


@dataclass(frozen=True)
class Move:
    """What a move comes to.

    Attributes:
        lines: the report.
        lost: used operations that are not in the newer document, and that nothing keeps on the revision before.
        broken: the other used operations that may fail, and that nothing keeps.
    """

    lines: Sequence[str]
    lost: Sequence[str]
    broken: Sequence[str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", nargs="?", help="Klaviyo's OpenAPI document (stable, JSON); by default the newest")
    parser.add_argument("--follow", nargs="*", default=[], help="operations that may break, and need no being kept")
    arguments = parser.parse_args()
    content, old = _read(arguments.spec), openapi.load()
    before = old["info"]["version"]
    new = checked(content, before)
    after = new["info"]["version"]
    move = compared(old, new, operation_users(), revisions.OTHERS.get(before, ()))
    print("\n".join(move.lines))
    undecided = [*move.lost, *(name for name in move.broken if after != before and name not in arguments.follow)]
    if undecided:
        print(_undecided(before, undecided, move.lost), file=sys.stderr)
        return 1
    texts = update_operations.build(new, update_operations.SERVED.read_text("utf-8").split(), {before: old})
    texts |= moved(typed_texts(), before, after)
    texts[README] = described(README.read_text("utf-8"), content, after)
    openapi.keep(content, after)
    print()
    write_or_check(texts, check=False)
    failed = [name for name in GENERATORS if not _generates(name)]
    if failed:
        print(f"not made anew: {', '.join(failed)}; run them again when the code has followed", file=sys.stderr)
    return int(bool(failed))


def compared(
    old: Mapping[str, Any], new: Mapping[str, Any], users: Mapping[str, Sequence[str]], kept: Iterable[str]
) -> Move:
    """Compare two documents, of which the older one is kept for some operations.

    Args:
        old: the older document.
        new: the newer one.
        users: operation -> who uses it.
        kept: operations that stay on the older document's revision, whatever the newer one says of them.
    """
    before, after = old["info"]["version"], new["info"]["version"]
    kept = set() if before == after else set(kept) & users.keys()
    asked = {name: who for name, who in users.items() if name not in kept}
    changes = spec_changes.compare(old, new, asked)
    lines = list(spec_changes.report(changes, asked, before, after))
    if kept:
        lines += ["", f"kept on {before}: {', '.join(sorted(kept))}"]
    lost = sorted({*changes.gone, *changes.renamed} & asked.keys())
    return Move(lines, lost, [name for name in changes.broken(asked) if name not in lost])


def _undecided(revision: str, names: Iterable[str], lost: Iterable[str]) -> str:
    """What to do about operations that are gone or may break: the entry that keeps them, to be pasted."""
    listed = "".join(f'\n        "{name}",' for name in names)
    follow = " ".join(name for name in names if name not in lost)
    other = f"\n\nor, where our code need not or does follow:\n\n    FOLLOW={follow!r}" if follow else ""
    return (
        f"\nNothing was written. Keep what is gone or may break on {revision}, in OTHERS of scripts/revisions.py,\n\n"
        f'    "{revision}": ({listed}\n    ),{other}'
    )


def _generates(name: str) -> bool:
    """Run another script; of what it says of a failure, the last line is told."""
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    print(done.stdout, end="")
    if done.returncode:
        print(f"{name}: {(done.stderr.strip() or 'failed').splitlines()[-1]}", file=sys.stderr)
    return done.returncode == 0


def typed_texts() -> dict[Path, str]:
    """The files under version control in which somebody may have typed the revision."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    generated = {update_operations.OPERATIONS, update_operations.FACTS, README}
    return {
        path: path.read_text("utf-8")
        for path in paths
        if path.suffix in SUFFIXES and path not in generated and path.is_file() and not path.is_symlink()
    }


def described(readme: str, content: bytes, revision: str) -> str:
    """The page about the kept document, of another one: its name, its revision, its hash as git has it."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    text = re.sub(r"klaviyo-\d{4}-\d\d-\d\d", f"klaviyo-{revision}", readme)
    text = re.sub(r"(revision )\d{4}-\d\d-\d\d", rf"\g<1>{revision}", text)
    return re.sub(r"(git blob `)[0-9a-f]{40}", rf"\g<1>{blob}", text)


def _read(source: str | None) -> bytes:
    """The document's bytes.

    Raises:
        SystemExit: there are none.
    """
    try:
        if source:
            return Path(source).read_bytes()
        with urllib.request.urlopen(VENDOR, timeout=60) as answer:
            content: bytes = answer.read()
            return content
    except OSError as error:
        advice = "" if source else "; give a document with SPEC=path/to/stable.json"
        raise SystemExit(f"{source or VENDOR} cannot be read: {error}{advice}") from error


def checked(content: bytes, kept: str) -> dict[str, Any]:
    """Klaviyo's document of the kept revision or a newer one.

    Raises:
        SystemExit: it is none.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SystemExit("the document is no JSON: Klaviyo's is openapi/stable.json, a proxy's a page") from error
    info = document.get("info") if isinstance(document, dict) else None
    if not isinstance(info, dict) or not isinstance(document.get("paths"), dict):
        raise SystemExit("the document is JSON, but no OpenAPI document")
    title, version = str(info.get("title")), str(info.get("version"))
    if not title.startswith("Klaviyo API"):
        raise SystemExit(f"the document is that of another API, {title}")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", version):
        raise SystemExit(f"the document is of revision {version}: a stable one is wanted, which is a date")
    if version < kept:
        raise SystemExit(f"the document is of revision {version}, which is older than {kept}, the one that is kept")
    entries = list(openapi.operations(document))
    if not entries or any("operationId" not in one or "x-klaviyo-ratelimit" not in one for *_, one in entries):
        raise SystemExit("the document is not Klaviyo's own: operations are without an id or without limits")
    return document


def operation_users() -> dict[str, list[str]]:
    """Operation -> who uses it: whose code holds its id as a text, and the sandbox if it serves it."""
    known = json.loads(update_operations.OPERATIONS.read_text("utf-8"))["operations"]
    users: dict[str, list[str]] = {}
    for user, folders in USERS.items():
        files = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
        for name in sorted(known.keys() & {text for file in files for text in _texts(file)}):
            users.setdefault(name, []).append(user)
    for name in update_operations.SERVED.read_text("utf-8").split():
        users.setdefault(name, []).append("sandbox")
    return users


def _texts(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text("utf-8"))
    yield from (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def moved(texts: Mapping[Path, str], old: str, new: str) -> dict[Path, str]:
    """The texts in which the revision is asked for by its date, with the new one."""
    typed = re.compile(_TYPED.format(re.escape(old)))
    changed = {path: typed.sub(rf"\g<1>{new}", text) for path, text in texts.items()}
    return {path: text for path, text in changed.items() if text != texts[path]}


if __name__ == "__main__":
    sys.exit(main())
