"""A rehearsal: with the setting ``dry_run`` a run reads Klaviyo, sends nothing, and writes what it would send.

The delivery code is that of a real run. Three parts of the target are other ones: the client, the dispatcher and the
results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klaviyo_client.errors import SettingsError
from klaviyo_client.plugin.booleans import parse_boolean_setting
from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.delivery.dispatch import Dispatcher
from target_klaviyo.model.amounts import Limit
from target_klaviyo.rehearsal.plan import Plan
from target_klaviyo.rehearsal.rehearsal_client import RehearsalClient
from target_klaviyo.rehearsal.rehearsal_results import RehearsalResults

_VARIABLE = "TARGET_KLAVIYO_DRY_RUN"


def is_rehearsal(config: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Whether the run is a rehearsal.

    Raises:
        SettingsError: the environment asks for one and is not listened to, or cannot be understood: going on would
            send.
    """
    try:
        is_asked_for = parse_boolean_setting(environment.get(_VARIABLE, ""))
    except ValueError as error:
        raise SettingsError(f"{_VARIABLE} must be true or false") from error
    if is_asked_for and not config["dry_run"]:
        raise SettingsError(f"{_VARIABLE} asks for a rehearsal, and the config does not: add --config ENV, or unset it")
    return bool(config["dry_run"])


class RehearsalDispatcher(Dispatcher):
    """A dispatcher that tells a plan which rows come."""

    plan: Plan

    def add(self, stream: str, action: Action, row: Row) -> None:
        self.plan.add_row(stream, action, row)
        super().add(stream, action, row)


@dataclass(frozen=True)
class Rehearsal:
    """Makes the parts of a target that are other ones in a rehearsal."""

    plan: Plan

    def make_client(self, **options: Any) -> RehearsalClient:
        return RehearsalClient(**options, plan=self.plan)

    def make_dispatcher(self, *arguments: Any, **options: Any) -> RehearsalDispatcher:
        dispatcher = RehearsalDispatcher(*arguments, **options)
        dispatcher.plan = self.plan
        return dispatcher

    def make_results(self, path: Path, limit: Limit) -> RehearsalResults:
        return RehearsalResults(self.plan, path, limit)
