"""``target-klaviyo`` and ``python -m target_klaviyo``."""

from __future__ import annotations

import sys

from klaviyo_client.plugin import tuning
from klaviyo_client.plugin.command import run
from target_klaviyo.intake.reading_on import read_rest
from target_klaviyo.target import TargetKlaviyo


def main() -> None:
    tuning.tune_gc(tuning.BATCHES)
    code = run(lambda: TargetKlaviyo.cli)
    if code and TargetKlaviyo.input is not None:
        read_rest(TargetKlaviyo.input, code)
    sys.exit(code)


if __name__ == "__main__":
    main()
