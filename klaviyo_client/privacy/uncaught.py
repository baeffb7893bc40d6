"""What Python itself prints of warnings, and of errors that nobody caught: masked, and logged as the rest is."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from klaviyo_client.privacy.log_records import mask_log_records
from klaviyo_client.privacy.redaction import mask

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

logger = logging.getLogger("singer-klaviyo")


def mask_process() -> None:
    """Mask whatever this process says of itself from now on: what it logs, and what Python would print."""
    mask_log_records()
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_ignored
    threading.excepthook = _log_uncaught_in_thread
    warnings.showwarning = _log_warning


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    _log(logging.CRITICAL, "unexpected error", _traceback(kind, error, trace))


def _log_uncaught_in_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit:  # it ends its thread only, and Python says nothing
        return
    name = "one that is gone" if ended.thread is None else ended.thread.name
    trace = _traceback(ended.exc_type, ended.exc_value, ended.exc_traceback)
    _log(logging.ERROR, f"unexpected error in a thread, {name}", trace)


def _log_ignored(ignored: UnraisableHookArgs) -> None:
    trace = _traceback(ignored.exc_type, ignored.exc_value, ignored.exc_traceback)
    _log(logging.WARNING, f"{ignored.err_msg or 'an error was ignored in'} {_repr(ignored.object)}", trace)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    # As text: a message may be any object.
    text = mask(warnings.formatwarning(_text(message), category, filename, lineno, line))
    if file is None:
        _log(logging.WARNING, "", text)
    else:
        file.write(text)


def _traceback(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> str:
    if error is None:
        return "" if kind is None else kind.__name__
    return "".join(traceback.format_exception(kind, error, trace))


def _log(level: int, what: str, text: str) -> None:
    """Log it as one text, for a source line in a traceback may hold an address, too.

    Whatever goes wrong with that is nobody's: Python would print the error itself, unmasked.
    """
    with contextlib.suppress(Exception):  # stderr is closed, or the interpreter ends
        logger.log(level, "%s", mask(f"{what}:\n{text}" if what else text).rstrip())


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - any object may be warned of
        return f"<{type(value).__name__}>"


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - any object may have been finalised
        return f"<{type(value).__name__}>"
