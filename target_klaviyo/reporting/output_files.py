"""Paths of a run's files, tried before the first record is read: afterwards nothing can be done about a bad path."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from klaviyo_client.errors import SettingsError
from klaviyo_client.privacy import private_files

logger = logging.getLogger("target-klaviyo")

_FOLDER = "target-klaviyo"


def writable_path(setting: str, value: str, environment: Mapping[str, str], *, default: str | None = None) -> Path:
    """The path of a setting's file; its folder exists afterwards.

    The default is a name in the working directory. Where that cannot be written, as in a container, the file goes to
    the user's state folder, or to the machine's temporary one, and a warning says where.

    Args:
        setting: the name of the setting.
        value: what it says.
        environment: where ``XDG_STATE_HOME`` and ``HOME`` are looked for.
        default: the setting's default. Only that may be replaced by another folder.

    Raises:
        SettingsError: nothing can be written where the setting says, or anywhere.
    """
    path = Path(value)
    fault = _fault(path)
    if fault is None:
        return path
    if value == default:
        for folder in _fallback_folders(environment):
            if _fault(folder / path) is None:
                logger.warning(
                    "the working directory is not writable, so %s is in %s; set a permanent place",
                    setting,
                    folder,
                )
                return folder / path
    raise SettingsError(f"{setting} cannot be written: {path.absolute()}: {fault}")


def writable_report_path(setting: str, value: str | None) -> Path | None:
    """The path of a report that gets a page in ``.html`` beside it; None when the setting is empty.

    Raises:
        SettingsError: one of the two files cannot be written there.
    """
    if not value:
        return None
    path = Path(value)
    for file in (path, path.with_suffix(".html")):
        if (fault := _fault(file)) is not None:
            raise SettingsError(f"{setting} cannot be written: {file.absolute()}: {fault}")
    return path


def _fault(path: Path) -> str | None:
    """Why a file cannot be written there, None when it can."""
    try:
        private_files.check_writable(path)
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError:  # a NUL in it
        return "it is no path"
    return None


def _fallback_folders(environment: Mapping[str, str]) -> Iterator[Path]:
    """Folders of the user or of the machine that can mostly be written."""
    if home := environment.get("XDG_STATE_HOME"):
        yield Path(home) / _FOLDER
    elif home := environment.get("HOME"):
        yield Path(home) / ".local" / "state" / _FOLDER
    with suppress(OSError):  # there is no temporary folder at all
        yield Path(tempfile.gettempdir())
