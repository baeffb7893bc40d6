"""Where a run's files go: tried before the first record is read, since nothing can be done about it afterwards."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from klaviyo_client.errors import SettingsError
from klaviyo_client.privacy import private_files
from target_klaviyo.settings import SETTINGS

logger = logging.getLogger("target-klaviyo")

_FOLDER = "target-klaviyo"


def place(config: Mapping[str, Any], setting: str, environment: Mapping[str, str]) -> Path:
    """Where the file of a setting goes; its folder is there afterwards.

    The default is a name in the working directory. Where that cannot be written, as in a container, the file goes to
    the user's folder for such things, or to the machine's for passing ones, and a warning says where.

    Args:
        config: the settings, with their defaults.
        setting: one of them that names a file.
        environment: where ``XDG_STATE_HOME`` and ``HOME`` are looked for.

    Raises:
        SettingsError: nothing can be written where the setting says, or anywhere.
    """
    path = Path(config[setting])
    fault = _fault(path)
    if fault is None:
        return path
    if config[setting] == SETTINGS["properties"][setting].get("default"):
        for folder in _others(environment):
            if _fault(folder / path) is None:
                logger.warning(
                    "the working directory cannot be written, so %s is in %s; name a place that outlasts this machine",
                    setting,
                    folder,
                )
                return folder / path
    raise SettingsError(f"{setting} cannot be written: {path.absolute()}: {fault}")


def document(config: Mapping[str, Any], setting: str) -> Path | None:
    """Where a document goes that has a page in ``.html`` beside it; None when the setting names no place.

    Raises:
        SettingsError: one of both cannot be written there.
    """
    if not config.get(setting):
        return None
    path = Path(config[setting])
    for each in (path, path.with_suffix(".html")):
        if (fault := _fault(each)) is not None:
            raise SettingsError(f"{setting} cannot be written: {each.absolute()}: {fault}")
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


def _others(environment: Mapping[str, str]) -> Iterator[Path]:
    """Folders of the user's or of the machine's that mostly can be written."""
    if home := environment.get("XDG_STATE_HOME"):
        yield Path(home) / _FOLDER
    elif home := environment.get("HOME"):
        yield Path(home) / ".local" / "state" / _FOLDER
    with suppress(OSError):  # it finds no folder at all
        yield Path(tempfile.gettempdir())
