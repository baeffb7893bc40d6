"""``target-klaviyo`` and ``python -m target_klaviyo``."""

from __future__ import annotations

import gc
import sys

from klaviyo_client.plugin.command import run
from target_klaviyo.target import TargetKlaviyo


def main() -> None:
    # A batch is a hundred thousand objects and no cycle: looking them over again and again costs a third of the time.
    gc.set_threshold(50_000, 20, 100)
    sys.exit(run(lambda: TargetKlaviyo.cli))


if __name__ == "__main__":
    main()
