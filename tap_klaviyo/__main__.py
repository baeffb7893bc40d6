"""``tap-klaviyo`` and ``python -m tap_klaviyo``."""

from __future__ import annotations

import sys

from klaviyo_client.plugin import tuning
from klaviyo_client.plugin.command import run
from tap_klaviyo import memory
from tap_klaviyo.tap import TapKlaviyo


def main() -> None:
    tuning.tune_gc(tuning.PAGES)
    memory.small_heaps()
    sys.exit(run(lambda: TapKlaviyo.cli))


if __name__ == "__main__":
    main()
