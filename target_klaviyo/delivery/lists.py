"""Finds a list by its id or name, or creates it, once per run."""

from __future__ import annotations

import threading
from typing import Any

from klaviyo_client.api.filters import condition
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import NotFound, SettingsError, Unavailable
from klaviyo_client.http.retries import call_with_retries
from target_klaviyo.model.records import Call, ListRef, RejectedRecord

_ALL, _ONE, _CREATE = "get_lists", "get_list", "create_list"
MAKE = Call(_CREATE, "to make one", option="create_list")


def find(option: str | None = None, field: str | None = None) -> tuple[Call, ...]:
    """What it takes to find a list, where this option or field names one."""
    return (
        Call(_ALL, "to find the list", option=option, field=field),
        Call(_ONE, "to find it by its id", option=option, field=field),
    )


class Lists:
    """The lists of the account, as far as this run asked for them. Thread-safe."""

    def __init__(self, client: KlaviyoClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._found: dict[ListRef, str | RejectedRecord] = {}

    def id_of(self, ref: ListRef) -> str:
        """Klaviyo's id of the list.

        Raises:
            SettingsError: the settings name a list that is not there, or one name for two lists.
            RejectedRecord: a record does.
        """
        with self._lock:
            if ref not in self._found:
                self._found[ref] = self._resolved(ref)
            found = self._found[ref]
        if isinstance(found, RejectedRecord):
            raise found
        return found

    def _resolved(self, ref: ListRef) -> str | RejectedRecord:
        try:
            return self._resolve(ref)
        except RejectedRecord as unfit:
            if ref.configured:
                raise SettingsError(unfit.reason) from unfit
            return unfit

    def _resolve(self, ref: ListRef) -> str:
        if ref.name is not None and (named := self._only(ref.name)):
            return named
        if ref.id is not None and self._exists(ref.id):
            return ref.id
        if ref.name is not None and ref.create:
            return self._create(ref.name)
        advice = "" if ref.name is None else " (the option create_list: true of the stream makes it)"
        raise RejectedRecord("list_not_found", f"the account has no list {str(ref)!r}{advice}")

    def _only(self, name: str) -> str | None:
        named = self._named(name)
        if len(named) > 1:
            ids = ", ".join(sorted(named))
            raise RejectedRecord(
                "list_ambiguous", f"{len(named)} lists are called {name!r}: name one by its id ({ids})"
            )
        return named[0] if named else None

    def _named(self, name: str) -> list[str]:
        query = {"filter": condition("any", "name", [name]), "fields[list]": "name"}
        return [
            entry["id"]
            for page in self._client.pages(_ALL, query=query)
            for entry in page.data
            if entry["attributes"]["name"] == name
        ]

    def _exists(self, list_id: str) -> bool:
        if not list_id.isalnum():
            return False
        try:
            self._client.call(_ONE, path={"id": list_id}, query={"fields[list]": "name"})
        except NotFound:
            return False
        return True

    def _create(self, name: str) -> str:
        """Make a list. After a lost answer, for it may be made, it is looked for before another is asked for."""
        body: dict[str, Any] = {"data": {"type": "list", "attributes": {"name": name}}}
        was_lost = False

        def attempt(_: object) -> str | Unavailable:
            nonlocal was_lost
            try:
                if was_lost and (found := self._only(name)):
                    return found
            except Unavailable as fault:
                return fault  # it was tried again already
            try:
                return str(self._client.call(_CREATE, body=body).resource["id"])
            except Unavailable as fault:
                if not fault.may_have_succeeded:
                    return fault
                was_lost = True
                raise

        made = call_with_retries(attempt, self._client.retry_policy, self._client.clock, idempotent=True)
        if isinstance(made, Unavailable):
            raise made
        return made
