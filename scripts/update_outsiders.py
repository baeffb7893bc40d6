#!/usr/bin/env python3
"""Write the table of programs that read the sandbox into docs/sandbox/fidelity.md, with what an account has for them.

python scripts/update_outsiders.py            # write the table
python scripts/update_outsiders.py --check    # write nothing, fail when it differs
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from generated import run

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "sandbox" / "fidelity.md"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.outsiders import ACCOUNT, table_of_counts  # noqa: E402 - the checkout's own packages
from support.second_path import Witness  # noqa: E402

from klaviyo_sandbox import serve  # noqa: E402

PLACE = re.compile(r"(?<=outsiders\.py -->\n).*(?=<!-- end of programs -->)", re.DOTALL)


def page() -> str:
    """The page with the table as it is now."""
    with serve(**ACCOUNT) as account:
        lines = "".join(f"{line}\n" for line in table_of_counts(Witness(account.url)))
    return PLACE.sub(lambda _: lines, PAGE.read_text("utf-8"))


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda: {PAGE: page()}))
