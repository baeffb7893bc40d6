"""What was left out of records that were sent: counted by field and reason, with the first records of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from klaviyo_client.privacy.redaction import mask
from target_klaviyo.model.pointers import from_pointer
from target_klaviyo.model.records import Outcome, Record
from target_klaviyo.reporting.run_report import Section

# The records of a field and a reason that are shown; the rest is counted.
MAX_RECORDS = 5


@dataclass
class _LeftOut:
    reason: str
    count: int = 0
    records: list[Record] = field(default_factory=list)


class LeftOutValues:
    """Counts the notes of outcomes."""

    def __init__(self) -> None:
        # (stream, field, code) -> what is known of it.
        self._values: dict[tuple[str, str, str], _LeftOut] = {}

    def add(self, stream: str, outcome: Outcome, record: Record) -> None:
        """Count what was left out of one record."""
        for note in outcome.left_out:
            for pointer in (note.pointer, *note.others):
                key = (stream, ".".join(from_pointer(pointer)), note.code)
                value = self._values.setdefault(key, _LeftOut(mask(note.reason)))
                value.count += 1
                if len(value.records) < MAX_RECORDS:
                    value.records.append(record)

    def to_json(self) -> list[dict[str, Any]]:
        """An entry for each field and reason, the most frequent first; it repeats records whole."""
        ordered = sorted(self._values.items(), key=lambda entry: -entry[1].count)
        return [
            {
                "stream": stream,
                "field": name,
                "code": code,
                "count": value.count,
                "reason": value.reason,
                "records": value.records,
            }
            for (stream, name, code), value in ordered
        ]

    def log_lines(self) -> Iterator[str]:
        """The same in words, without records."""
        for entry in self.to_json():
            records = "1 record" if entry["count"] == 1 else f"{entry['count']:,} records"
            yield f"{entry['stream']}: left out of {records}: {entry['field']} ({entry['code']}: {entry['reason']})"


def unchanged_section(stream: str, count: int, path: Path) -> Section:
    """The part of the report about the records of a stream that were left out as unchanged."""
    are = "record was" if count == 1 else "records were"
    note = f"{count:,} {are} unchanged and skipped. To send them again, delete {path.absolute()}."
    return Section(f"Unchanged in {stream}", [note], facts={"stream": stream, "unchanged": count})
