"""``target-klaviyo`` and ``python -m target_klaviyo``."""

from __future__ import annotations

import sys

from klaviyo_client.command import run
from target_klaviyo.target import TargetKlaviyo


def main() -> None:
    sys.exit(run(lambda: TargetKlaviyo.cli))


if __name__ == "__main__":
    main()
