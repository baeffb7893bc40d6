"""``tap-klaviyo`` and ``python -m tap_klaviyo``."""

from __future__ import annotations

import sys

from klaviyo_client.plugin.command import run
from klaviyo_client.plugin.tuning import PAGES, tune_gc
from tap_klaviyo.reading.page_reader import close_readers
from tap_klaviyo.tap import TapKlaviyo
from tap_klaviyo.workers.tuning import limit_arenas


def main() -> None:
    tune_gc(PAGES)
    limit_arenas()
    sys.exit(run(lambda: TapKlaviyo.cli, before_the_end=close_readers))


if __name__ == "__main__":
    main()
