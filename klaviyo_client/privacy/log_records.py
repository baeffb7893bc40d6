"""Masked log records: nothing personal is in them from the moment they are made, whatever writes them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

from klaviyo_client.privacy.redaction import mask

# How the Singer SDK logs a metric; its structured log takes the fields from the argument.
_METRIC = "METRIC: %s"


def mask_log_records() -> None:
    """Mask keys, tokens and personal data in whatever this process logs from now on, tracebacks and causes included.

    A filter on a handler would see only what that handler writes, and each further handler would need its own.
    """
    make = logging.getLogRecordFactory()
    if not isinstance(make, _MaskingFactory):
        logging.setLogRecordFactory(_MaskingFactory(make))


class _MaskingFactory:
    """Makes records as ``make`` does, and masks them."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **named: Any) -> logging.LogRecord:
        record = self._make(*args, **named)
        if _is_metric(record):
            record.args = (_masked_metric(record.args[0]),)  # type: ignore[index]
        else:
            record.msg, record.args = mask(_message(record)), ()
        if record.exc_info and record.exc_info[1]:
            error = masked_error(record.exc_info[1])
            record.exc_info = (type(error), error, record.exc_info[2])
        record.stack_info = record.stack_info and mask(record.stack_info)
        record.__dict__ = _MaskedFields(record.__dict__)
        return record


class _MaskedFields(dict[str, Any]):
    """The fields of a record. A logger adds what it is given as ``extra`` once the record is made, by item."""

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, _masked_value(value))


def masked_error(error: BaseException) -> BaseException:
    """A stand-in for an error, with its name, traceback, notes, members and causes, and with masked texts.

    Formatters print an error by its class and its text, and those that write fields follow its causes themselves.
    """
    stand_ins: dict[int, BaseException | None] = {}
    return _stand_in_with_causes(error, stand_ins)


def _masked_cause(error: BaseException | None, stand_ins: dict[int, BaseException | None]) -> BaseException | None:
    if error is None:
        return None
    if id(error) in stand_ins:
        return stand_ins[id(error)]
    return _stand_in_with_causes(error, stand_ins)


def _stand_in_with_causes(error: BaseException, stand_ins: dict[int, BaseException | None]) -> BaseException:
    # None while it is being made: a circle of causes, which the SDK would follow for ever, ends where it closes.
    stand_ins[id(error)] = None
    stand_in = _stand_in(error, stand_ins)
    stand_in.__traceback__ = error.__traceback__
    stand_in.__cause__ = _masked_cause(error.__cause__, stand_ins)
    stand_in.__context__ = _masked_cause(error.__context__, stand_ins)
    stand_in.__suppress_context__ = error.__suppress_context__
    for note in getattr(error, "__notes__", ()):
        stand_in.add_note(mask(_text(note)))
    stand_ins[id(error)] = stand_in
    return stand_in


def _stand_in(error: BaseException, stand_ins: dict[int, BaseException | None]) -> BaseException:
    text, kind = mask(_text(error)), type(error)
    members = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__str__": lambda _: text}
    stand_in: BaseException
    if isinstance(error, BaseExceptionGroup):
        parts = [_stand_in_with_causes(part, stand_ins) for part in error.exceptions]
        stand_in = type(kind.__name__, (BaseExceptionGroup,), members)(text, parts)
    else:
        stand_in = type(kind.__name__, (BaseException,), members)(text)
    return stand_in


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a log call whose arguments do not fit must not end a run
        return f"{_text(record.msg)} {_text(record.args)}"


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - any object may be logged
        return f"<{type(value).__name__}>"


def _is_metric(record: logging.LogRecord) -> bool:
    return (
        record.msg == _METRIC
        and isinstance(record.args, tuple)
        and len(record.args) == 1
        and dataclasses.is_dataclass(record.args[0])
        and hasattr(record.args[0], "tags")
    )


def _masked_metric(point: Any) -> Any:
    # Its numbers are counts and seconds, and stay whatever they look like.
    return dataclasses.replace(point, tags={name: _masked_value(value) for name, value in point.tags.items()})


def _masked_value(value: Any) -> Any:
    """A value with its texts masked; what is neither plain nor a container becomes its text."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if mask(str(value)) == str(value) else mask(str(value))
    if isinstance(value, dict):
        return {_masked_value(name): _masked_value(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked_value(entry) for entry in value]
    return mask(_text(value))
