"""``tap-klaviyo`` and ``python -m tap_klaviyo``."""

from __future__ import annotations

import sys

from klaviyo_client.plugin.command import run
from tap_klaviyo.tap import TapKlaviyo
from tap_klaviyo.workers import tuning


def main() -> None:
    tuning.tune_gc()
    tuning.limit_arenas()
    sys.exit(run(lambda: TapKlaviyo.cli))


if __name__ == "__main__":
    main()
