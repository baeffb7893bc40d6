"""Runs a plugin's command line. Every failure becomes one line that says what to do, without secrets.

Exit codes: 0 done, 1 failed or incomplete, 2 a setting or the key (or what is piped in) must
change, 3 a cap on removals stopped them.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import click

from klaviyo_client.errors import CapExceeded, InvalidKey, KlaviyoError, NotAllowed, RevisionRetired, SettingsError
from klaviyo_client.privacy.redaction import mask
from klaviyo_client.privacy.uncaught import mask_process

FAILED = 1
CONFIG_ERROR = 2
CAPPED = 3

logger = logging.getLogger("singer-klaviyo")


def _nothing() -> None:
    pass


def run(command: Callable[[], click.Command], before_the_end: Callable[[], None] = _nothing) -> int:
    """Run the command with this process's arguments; returns the exit code.

    Args:
        command: makes the command. What is logged or printed of errors meanwhile and afterwards is masked.
        before_the_end: called before the last line is logged, which says why a run failed: ends what would log more.
    """
    mask_process()
    try:
        failure, code = _run(command)
    finally:
        # The SDK has put a hook of its own in place of ours.
        mask_process()
    before_the_end()
    if failure is not None:
        logger.debug("The traceback follows.", exc_info=failure)
        logger.critical("%s", error_message(failure))
    return code


def _run(command: Callable[[], click.Command]) -> tuple[Exception | None, int]:
    """(what ended the command and is to be told, the exit code)."""
    try:
        group = command()
        return None, int(group.main(standalone_mode=False) or 0)
    except click.exceptions.Abort:
        return None, FAILED
    except (click.ClickException, SettingsError, InvalidKey, NotAllowed, RevisionRetired) as error:
        return error, CONFIG_ERROR
    except CapExceeded as error:
        return error, CAPPED
    except BrokenPipeError:
        # The process that reads our output has ended, and says why itself. Without this, Python would log an error when
        # it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return None, FAILED
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback may reach a user's log
        return error, FAILED


def error_message(error: BaseException) -> str:
    """One line about what went wrong, without secrets."""
    if isinstance(error, click.ClickException):
        message = error.format_message()
    elif isinstance(error, KlaviyoError):
        message = str(error)
    else:
        # Its text may quote a value, such as a name in a stream map, that no mask knows for personal data.
        frames = traceback.extract_tb(error.__traceback__)
        place = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        message = f"unexpected {type(error).__name__}{place} (set LOGLEVEL=DEBUG for the traceback)"
    return mask(" ".join(message.split()))
