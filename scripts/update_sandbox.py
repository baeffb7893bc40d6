#!/usr/bin/env python3
"""Write the list of operations in docs/sandbox.md from the sandbox's facts.

python scripts/update_sandbox.py            # write the list
python scripts/update_sandbox.py --check    # write nothing, fail when it differs
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "sandbox.md"
sys.path.insert(0, str(ROOT))

from klaviyo_sandbox.facts import Operation, load  # noqa: E402 - the checkout's own packages

PLACE = re.compile(r"(?<=facts\.json -->\n).*(?=<!-- end of operations -->)", re.DOTALL)


def listed() -> Iterator[str]:
    """The list, line by line."""
    found = load()
    yield f"Revision {found.revision}, {len(found.operations)} operations.\n\n"
    yield "| Operation | Request | A second, a minute | Scopes |\n|---|---|---|---|\n"
    for op in sorted(found.operations.values(), key=lambda one: (one.path, one.method)):
        scopes = ", ".join(f"`{scope}`" for scope in op.scopes)
        yield f"| `{op.id}` | {op.method} `{op.path}` | {limits(op)} | {scopes} |\n"


def limits(op: Operation) -> str:
    """Requests a second and a minute, and a day where that is limited."""
    return f"{op.burst}, {op.steady:,}" + (f" ({op.daily:,} a day)" if op.daily else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail when the list differs")
    before = PAGE.read_text("utf-8")
    made = "".join(listed())
    after = PLACE.sub(lambda _: made, before)
    if parser.parse_args().check:
        return int(before != after)
    PAGE.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
