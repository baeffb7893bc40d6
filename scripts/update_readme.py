#!/usr/bin/env python3
"""Write into README.md how many tables and actions there are.

python scripts/update_readme.py            # write the numbers
python scripts/update_readme.py --check    # write nothing, fail when they differ
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from generated import run

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
sys.path.insert(0, str(ROOT))

from tap_klaviyo.tables import BY_DEFAULT, STREAMS  # noqa: E402 - the checkout's own packages
from target_klaviyo.actions import ACTIONS  # noqa: E402

COUNTS = {
    r"\*\*\d+ tables\*\*, \d+ of them by default": f"**{len(STREAMS)} tables**, {len(BY_DEFAULT)} of them by default",
    r"\*\*\d+ actions\*\*": f"**{len(ACTIONS)} actions**",
}


def readme() -> str:
    """The README with the numbers of today.

    Raises:
        SystemExit: a number stands nowhere, or twice.
    """
    text = README.read_text("utf-8")
    for pattern, phrase in COUNTS.items():
        text, found = re.subn(pattern, phrase, text)
        if found != 1:
            raise SystemExit(f"README.md must say {phrase!r} once, and says it {found} times")
    return text


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda: {README: readme()}))
