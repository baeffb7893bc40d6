"""What this process logs, for a person: the target's own words, without those of its framework."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath

from klaviyo_audience.words import in_options
from target_klaviyo.target import TargetKlaviyo

_VARIABLES = ("LOGLEVEL", "TARGET_KLAVIYO_LOGLEVEL", "SINGER_SDK_LOG_CONFIG")
_FRAMEWORK = "singer_sdk"


def set_up_log(environment: Mapping[str, str] = os.environ) -> None:
    """Log to stderr: as the target does where the environment says how, else line by line for a person."""
    if any(name in environment for name in _VARIABLES):
        assert TargetKlaviyo.cli is not None  # noqa: S101 - making the target's command sets up its log
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain())
    handler.addFilter(_is_ours)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)


@contextmanager
def warnings_only() -> Iterator[None]:
    """Meanwhile nothing below a warning is logged: what is said otherwise stands on the screen."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


class _Plain(logging.Formatter):
    """The message in this command's options, behind its level where something is wrong."""

    def format(self, record: logging.LogRecord) -> str:
        text = in_options(super().format(record))
        if record.levelno < logging.WARNING:
            return text
        return f"{'Warning' if record.levelno < logging.ERROR else 'Error'}: {text}"


def _is_ours(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or _FRAMEWORK not in PurePath(record.pathname).parts
