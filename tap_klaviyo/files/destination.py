"""Where files go, and what they are: the setting ``batch_config``, once it is known to be usable."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from klaviyo_client.errors import SettingsError

PARQUET, JSONL = "parquet", "jsonl"
# Rows of one table, from one BATCH message to the next: a target of the SDK reads a file of lines into its memory.
BATCH_SIZES = {PARQUET: 250_000, JSONL: 10_000}
_ENDINGS = {(PARQUET, "none"): ".parquet", (JSONL, "gzip"): ".jsonl.gz", (JSONL, "none"): ".jsonl"}
# What a file system takes as a name is mostly 255 bytes.
_NAME = 120
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")
# Readers of URLs do not agree on these.
_AMBIGUOUS = "%?#"


@dataclass(frozen=True)
class Destination:
    """Where the files of one run go, and what they are.

    Attributes:
        folder: where, an absolute path.
        prefix: what their names begin with.
        run_id: what the names of this run's files, and of no other's, have in them.
        format: ``PARQUET`` or ``JSONL``.
        compression: ``gzip`` or ``none``; Parquet is compressed inside, with zstd if this says none.
        batch_size: how many rows of a table are written before they are announced.
    """

    folder: str
    prefix: str
    run_id: str
    format: str
    compression: str
    batch_size: int

    @property
    def encoding(self) -> dict[str, str]:
        """What a BATCH message says of its files."""
        # Parquet is not compressed as a whole.
        return {"format": self.format, **({} if self.format == PARQUET else {"compression": self.compression})}

    def file_name(self, stream: str, number: int) -> str:
        """The name of a finished file."""
        compression = "none" if self.format == PARQUET else self.compression
        ending = _ENDINGS[self.format, compression]
        return f"{self.prefix}{_NO_NAME.sub('_', stream)[:_NAME]}-{self.run_id}-{number:06}{ending}"

    def url(self, path: Path) -> str:
        """How a BATCH message names a file: as the SDK's targets read it, which take no escapes."""
        return f"file://{path}"


def destination(batch_config: Mapping[str, Any] | None) -> Destination | None:
    """The destination that the setting names, for a new run; None where there is no such setting.

    Raises:
        SettingsError: it cannot be used here. Whether the folder can be written to is not known yet.
    """
    if not batch_config:
        return None
    encoding, storage = batch_config.get("encoding") or {}, batch_config.get("storage") or {}
    format_ = encoding.get("format", JSONL)
    compression = encoding.get("compression") or ("none" if format_ == PARQUET else "gzip")
    if format_ == PARQUET and importlib.util.find_spec("pyarrow") is None:
        raise SettingsError(
            "batch_config.encoding.format is parquet, which needs pyarrow: install singer-klaviyo[parquet]"
        )
    began = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return Destination(
        folder=str(_folder(storage.get("root") or "")),
        prefix=storage.get("prefix") or "",
        run_id=f"{began}{secrets.token_hex(4)}",
        format=format_,
        compression=compression,
        batch_size=batch_config.get("batch_size") or BATCH_SIZES[format_],
    )


def _folder(root: str) -> Path:
    parts = urlsplit(root)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        path = Path(unquote(parts.path))
    elif "://" in root or parts.scheme == "file":
        raise SettingsError(
            f"batch_config.storage.root must be a folder of this machine, such as file:///data/klaviyo: a mounted "
            f"one, or one that is uploaded afterwards, not {parts.scheme}://"
        )
    else:
        path = Path(root)
    if not path.is_absolute():
        raise SettingsError("batch_config.storage.root must be an absolute path, such as file:///data/klaviyo")
    if any(character in str(path) for character in _AMBIGUOUS):
        raise SettingsError(f"batch_config.storage.root must have none of {_AMBIGUOUS} in it: BATCH messages hold URLs")
    return Path(os.path.normpath(path))
