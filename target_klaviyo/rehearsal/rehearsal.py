"""A rehearsal: with the setting ``dry_run`` a run reads Klaviyo, sends nothing, and writes what it would send.

The delivery code is that of a real run. Three parts of the target are other ones: the client, the dispatcher and the
results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import KlaviyoError, SettingsError
from klaviyo_client.plugin.booleans import parse_boolean_setting
from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.delivery.dispatch import Dispatcher
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.amounts import Limit
from target_klaviyo.rehearsal.people_lookup import look_up_people
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
        raise SettingsError(f"{_VARIABLE} is set but ignored: add --config ENV, or unset it")
    return bool(config["dry_run"])


class RehearsalDispatcher(Dispatcher):
    """A dispatcher that tells a plan which rows come."""

    plan: Plan

    def add(self, stream: str, action: Action, row: Row) -> None:
        self.plan.add_row(row.source.stream, action, row)
        super().add(stream, action, row)


@dataclass(frozen=True)
class Rehearsal:
    """Makes the parts of a target that are other ones in a rehearsal."""

    plan: Plan

    def ask(self, session: Session) -> None:
        """Ask Klaviyo what the plan is to say beside what a run would ask: whose account it is, and who is new.

        Raises:
            SettingsError: all that was found wrong with the settings meanwhile.
        """
        client = session.client
        assert isinstance(client, RehearsalClient)  # noqa: S101 - there is no other
        with client.asking_for_plan():
            self.plan.account = _account_name(client)
            for stream in self.plan.streams:
                look_up_people(session, stream)
        self.plan.raise_problems()

    def make_client(self, **options: Any) -> RehearsalClient:
        return RehearsalClient(**options, plan=self.plan)

    def make_dispatcher(self, *arguments: Any, **options: Any) -> RehearsalDispatcher:
        dispatcher = RehearsalDispatcher(*arguments, **options)
        dispatcher.plan = self.plan
        return dispatcher

    def make_results(self, path: Path, limit: Limit) -> RehearsalResults:
        return RehearsalResults(self.plan, path, limit)


def _account_name(client: KlaviyoClient) -> str | None:
    """The name of the account that is written to; None where it cannot be read."""
    try:
        document = client.call("get_accounts").document
    except KlaviyoError:
        return None
    accounts = document.get("data") if isinstance(document, Mapping) else None
    for account in accounts if isinstance(accounts, list) else ():
        contact = (account.get("attributes") or {}).get("contact_information") or {}
        if name := contact.get("organization_name"):
            return str(name)
    return None
