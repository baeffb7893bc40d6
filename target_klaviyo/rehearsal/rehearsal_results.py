"""The results of a rehearsal: the outcomes that records would have. They end in the plan, not in the rejects file."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from klaviyo_client.errors import SettingsError
from klaviyo_client.http.usage import Usage
from klaviyo_client.privacy import private_files
from target_klaviyo.model.amounts import Limit
from target_klaviyo.model.records import Outcome, SourceRecord
from target_klaviyo.rehearsal.plan import Plan
from target_klaviyo.rehearsal.screen import format_counts, plan_screen
from target_klaviyo.reporting.rejects_file import RejectsFile
from target_klaviyo.reporting.results import UNREADABLE_LINES, RunResults, TooManyRejects
from target_klaviyo.reporting.run_report import RunEnd

logger = logging.getLogger("target-klaviyo")


class _RejectsInPlan(RejectsFile):
    """Rejected records that go to the plan: the files of real runs stay as they are."""

    def __init__(self, plan: Plan, path: Path) -> None:
        super().__init__(path)
        self._plan = plan

    def _write(self, message: Mapping[str, Any]) -> None:
        if message["type"] != "SCHEMA":
            self._plan.add_rejected(message)


class RehearsalResults(RunResults):
    """The results of a run that sends nothing.

    Args:
        plan: what would be done.
        path: where the plan goes, readable by its owner only; it replaces an earlier one.
        limit: how many rejected records the run bears.
    """

    def __init__(self, plan: Plan, path: Path, limit: Limit) -> None:
        super().__init__(_RejectsInPlan(plan, path), limit)
        self._plan = plan
        self._path = path
        self._complete = False

    def add(self, source: SourceRecord, action: str, outcome: Outcome) -> None:
        self._plan.add_outcome(source.stream, action, outcome, source.record)
        super().add(source, action, outcome)

    def add_line(self, line: str, outcome: Outcome, *, is_retried: bool = False) -> None:
        self._plan.add_outcome(UNREADABLE_LINES, "", outcome, {})
        super().add_line(line, outcome, is_retried=is_retried)

    def _warn(self, stream: str, outcome: Outcome) -> None:
        """Nothing: nothing became of it yet, and the plan says what would."""

    def excess_rejects(self, *, ended: bool = False) -> TooManyRejects | None:
        """As the base has it, when input has ended: all that would be rejected is told at once."""
        if not ended:
            return None
        self._complete = True
        return super().excess_rejects(ended=ended)

    def close(
        self,
        end: RunEnd | None = None,
        *,
        not_sent: int = 0,  # noqa: ARG002 - the base's signature
        usage: Mapping[str, Usage] | None = None,  # noqa: ARG002 - the same
    ) -> None:
        """Write the plan, show it on stderr for a person, and log its sum. Once: a second call does nothing.

        Raises:
            SettingsError: it cannot be written.
        """
        if self._closed:
            return
        self._closed = True
        if end is not None and end.reason:
            logger.warning("the rehearsal failed: %s", end.reason)
        sections = [section.to_json() for section in self._sections]
        left_out = self._left_out.to_json()
        fault = end.reason if end is not None else None
        plan = {
            **self._plan.to_json(complete=self._complete),
            "fails": fault,
            "left_out_values": left_out,
            "sections": sections,
        }
        try:
            private_files.write_private(self._path, json.dumps(plan, indent=2, ensure_ascii=False, default=str) + "\n")
        except OSError as error:
            raise SettingsError(f"plan_path cannot be written: {error.strerror or type(error).__name__}") from error
        _show(plan_screen(plan, str(self._path)))
        is_warning = plan["rejected"] or not self._complete
        early = "" if self._complete else " (it ended early; there may be more)"
        logger.log(
            logging.WARNING if is_warning else logging.INFO,
            "rehearsal%s: %s; nothing was sent (see %s)",
            early,
            format_counts(self._plan.totals),
            self._path,
        )


def _show(screen: str) -> None:
    """Write to stderr: stdout is Singer's. On a terminal the progress bar makes room."""
    sys.stderr.write(f"\r\x1b[2K{screen}" if sys.stderr.isatty() else screen)
    sys.stderr.flush()
