"""Where the mapping takes a field from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from target_klaviyo.model.records import Record


@dataclass(frozen=True)
class ValueSource:
    """Where a mapped value comes from: a column, a path into one, or a constant."""

    path: str | None = None
    constant: Any = None

    @property
    def column(self) -> str:
        return (self.path or "").partition(".")[0]

    def read(self, record: Record) -> Any:
        if self.path is None:
            return self.constant
        if self.path in record:  # a column name may hold dots
            return record[self.path]
        value: Any = record
        for step in self.path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        return value
