#!/usr/bin/env python3
"""Write the list of operations in docs/sandbox/operations.md from the sandbox's facts.

python scripts/update_sandbox.py            # write the list
python scripts/update_sandbox.py --check    # write nothing, fail when it differs
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from generated import run

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "sandbox" / "operations.md"
sys.path.insert(0, str(ROOT))

from klaviyo_sandbox.spec.facts import Operation, load  # noqa: E402 - the checkout's own packages

PLACE = re.compile(r"(?<=facts\.json -->\n).*(?=<!-- end of operations -->)", re.DOTALL)


def operation_lines() -> Iterator[str]:
    """The list, line by line."""
    facts = load()
    served, missing = len(facts.operations), len(facts.unserved)
    others = f"Each of the other {missing} answers 501."
    yield f"Revisions {facts.revision_list}, {served} of {served + missing} operations. {others}\n\n"
    yield "| Operation | Request | A second, a minute | Scopes |\n|---|---|---|---|\n"
    for op in sorted(facts.operations.values(), key=lambda op: (op.path, op.method)):
        scopes = ", ".join(f"`{scope}`" for scope in op.scopes)
        only = f", revision {op.revision}" if op.revision else ""
        yield f"| `{op.id}` | {op.method} `{op.path}`{only} | {limits(op)} | {scopes} |\n"


def limits(op: Operation) -> str:
    """Requests a second and a minute, and a day where that is limited."""
    return f"{op.burst}, {op.steady:,}" + (f" ({op.daily:,} a day)" if op.daily else "")


def page() -> str:
    """The page with the list as it is now."""
    lines = "".join(operation_lines())
    return PLACE.sub(lambda _: lines, PAGE.read_text("utf-8"))


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda: {PAGE: page()}))
