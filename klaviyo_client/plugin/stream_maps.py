"""Says which stream, property and expression made a stream map fail. The SDK's errors name the last at most.

What it was about stands in the SDK's own frames, which the traceback has. No value of a record is quoted.
"""

from __future__ import annotations

import ast
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from klaviyo_client.errors import SettingsError

# Where the SDK has its stream maps, and the functions that begin with an entry of the setting or an expression of it.
_MODULE = ("singer_sdk", "mapper.py")
_STREAM, _MAKING, _EVALUATING = "register_raw_stream_schema", "_init_functions_and_schema", "_eval"
_FILTER = "__filter__"
# What expressions call the whole record.
_RECORD = ("_", "record")
# How an expression fails on a null.
_ON_NULL = ("AttributeError", "AttributeDoesNotExist", "TypeError")
# Longer expressions are cut.
_MAX_LENGTH = 200


@contextmanager
def setting_errors(beginning: str) -> Iterator[None]:
    """Turns what goes wrong while stream maps are made into a SettingsError that begins with these words.

    Raises:
        SettingsError: a stream map cannot be made.
    """
    try:
        yield
    except Exception as error:
        if not is_failure(error):
            raise
        raise SettingsError(f"{beginning}: {describe_failure(error)}") from error


def is_failure(error: BaseException) -> bool:
    """Whether it was raised by a stream map, or while one was made."""
    return bool(_frames(error))


def describe_failure(error: BaseException) -> str:
    """What failed, in words: ``the stream map of profiles fails: email: float(email) (ValueError)``.

    Where columns of the expression are null, it says which, and how to write it.

    Args:
        error: for which ``is_failure`` holds.
    """
    frames = _frames(error)
    stream = _stream(frames)
    beginning = f"the stream map of {stream} fails" if stream else "a stream map fails"
    entry = _entry(frames)
    if entry is None or _explains_itself(error):
        detail = str(error) if _explains_itself(error) else type(error).__name__
        return f"{beginning}: {detail}"
    name, expression = entry
    text = _shortened(expression)
    nulls = _nulls(frames) if _kind(error) in _ON_NULL else []
    return f"{beginning}: {name}: {text or 'no expression'} ({_kind(error)}){_advice(name, text, nulls)}"


def is_mistake(error: BaseException) -> bool:
    """Whether the expression itself is wrong, and not what it makes of one value."""
    return _is_sdk_error(error)


def _frames(error: BaseException) -> list[tuple[str, Mapping[str, Any]]]:
    """(function, its variables) of the SDK's module of stream maps, the outermost first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [
        (frame.f_code.co_name, frame.f_locals)
        for frame in frames
        if PurePath(frame.f_code.co_filename).parts[-2:] == _MODULE
    ]


def _stream(frames: list[tuple[str, Mapping[str, Any]]]) -> str | None:
    for function, variables in reversed(frames):
        if function == _STREAM and "stream_name" in variables:
            return str(variables["stream_name"])
        stream_map = variables.get("self")
        if name := getattr(stream_map, "stream_name", None) or getattr(stream_map, "stream_alias", None):
            return str(name)
    return None


def _entry(frames: list[tuple[str, Mapping[str, Any]]]) -> tuple[str, Any] | None:
    """(the property, its expression), None where the failure is about neither."""
    for function, variables in reversed(frames):
        if function == _EVALUATING and "property_name" in variables:
            return variables["property_name"] or _FILTER, variables["expr"]
        if function == _MAKING and "prop_key" in variables:
            return variables["prop_key"], variables["prop_def"]
        if function == _MAKING and variables.get("filter_rule") is not None:
            return _FILTER, variables["filter_rule"]
    return None


def _nulls(frames: list[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The columns that an expression reads, as it writes them, and that are null in the record that it failed with."""
    for function, variables in reversed(frames):
        if function == _EVALUATING and "record" in variables:
            record, own = variables["record"], variables["property_name"]
            read = _columns_read(str(variables["expr"]), own)
            return [text for text, column in read.items() if column in record and record[column] is None]
    return []


def _columns_read(expression: str, own: str | None) -> dict[str, str]:
    """The columns that an expression reads: as it writes them -> their names."""
    columns = {}
    for node in ast.walk(ast.parse(expression.strip())):
        match node:
            case ast.Name(id="self") if own is not None:
                columns["self"] = own
            case ast.Name(id=name):
                columns[name] = name
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(column))) if name in _RECORD:
                columns[ast.unparse(node)] = column
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[ast.Constant(value=str(column)), *_]
            ) if name in _RECORD:
                columns[ast.unparse(node)] = column
    return columns


def _advice(name: str, expression: str, nulls: list[str]) -> str:
    if not nulls:
        return ""
    condition, verb = " and ".join(nulls), "is" if len(nulls) == 1 else "are"
    said = f": {', '.join(nulls)} {verb} null in a record"
    if name == _FILTER:
        return (
            f"{said}; write ({expression}) if {condition} else False to leave such records out, else True to keep them"
        )
    return f"{said}; write {expression} if {condition} else None"


def _explains_itself(error: BaseException) -> bool:
    """Whether the error's own words name all that is to be named; they are about the setting, and quote no value."""
    return isinstance(error, NotImplementedError) or type(error).__name__ == "StreamMapConfigError"


def _is_sdk_error(error: BaseException) -> bool:
    return type(error).__module__ == "singer_sdk.exceptions"


def _kind(error: BaseException) -> str:
    cause = error.__cause__ if _is_sdk_error(error) else None
    return type(cause or error).__name__


def _shortened(expression: Any) -> str:
    text = " ".join(str(expression).split())
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}..."
