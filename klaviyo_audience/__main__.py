"""``klaviyo-audience`` and ``python -m klaviyo_audience``."""

from __future__ import annotations

import sys

import click

from klaviyo_audience.command import audience
from klaviyo_audience.log import set_up_log
from klaviyo_client.plugin import tuning
from klaviyo_client.plugin.command import run


def main() -> None:
    tuning.tune_gc(tuning.BATCHES)
    sys.exit(run(_make_command))


def _make_command() -> click.Command:
    set_up_log()
    return audience


if __name__ == "__main__":
    main()
