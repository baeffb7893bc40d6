"""Finds a list by its id or name, or creates it, once per run."""

from __future__ import annotations

import re
import threading
from typing import Any
from urllib.parse import quote

from klaviyo_client.api.filters import condition
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import NotFound, Refused, SettingsError, Unavailable
from klaviyo_client.http.retries import call_with_retries
from target_klaviyo.delivery.refusals import is_about_rows, refusal_outcome
from target_klaviyo.model.records import Call, ListRef, RejectedRecord

_ALL, _ONE, _CREATE = "get_lists", "get_list", "create_list"
# Lists are asked for by an address, of which many servers take 8,000 bytes.
_MAX_URL_BYTES = 6000
# Nowhere is it written how Klaviyo's filters escape these: names that have them are looked for among all lists.
_ESCAPED = re.compile(r"[\"\\\x00-\x1f\x7f]")
CREATE_LIST = Call(_CREATE, "to make one", option="create_list")


def find_calls(option: str | None = None, field: str | None = None) -> tuple[Call, ...]:
    """The calls that find a list, where this option or field names one."""
    return (
        Call(_ALL, "to find the list", option=option, field=field),
        Call(_ONE, "to find it by its id", option=option, field=field),
    )


class ListFinder:
    """Finds the lists of the account, and remembers them for the run. Thread-safe."""

    def __init__(self, client: KlaviyoClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._ids: dict[ListRef, str | RejectedRecord] = {}

    def id_of(self, ref: ListRef) -> str:
        """Klaviyo's id of the list.

        Raises:
            SettingsError: the settings name a list that is not there, or one name for two lists.
            RejectedRecord: a record does.
        """
        with self._lock:
            if ref not in self._ids:
                self._ids[ref] = self._id_or_rejection(ref)
            list_id = self._ids[ref]
        if isinstance(list_id, RejectedRecord):
            raise list_id
        return list_id

    @property
    def found(self) -> dict[str, str]:
        """The lists that were found or made so far: id -> name, or what named it."""
        with self._lock:
            return {list_id: str(ref) for ref, list_id in self._ids.items() if isinstance(list_id, str)}

    def _id_or_rejection(self, ref: ListRef) -> str | RejectedRecord:
        try:
            _check_address(ref)
            return self._find_or_create(ref)
        except RejectedRecord as error:
            rejection = error
        except Refused as refused:
            if not is_about_rows(refused):
                raise
            rejection = _refusal_of(ref, refused)
        if ref.configured:
            raise SettingsError(rejection.reason) from rejection
        return rejection

    def _find_or_create(self, ref: ListRef) -> str:
        if ref.name is not None and (list_id := self._find_by_name(ref.name)):
            return list_id
        if ref.id is not None and self._exists(ref.id):
            return ref.id
        if ref.name is not None and ref.create:
            return self._create(ref.name)
        advice = "" if ref.name is None else " (the option create_list: true of the stream makes it)"
        raise RejectedRecord("list_not_found", f"the account has no list {str(ref)!r}{advice}")

    def _find_by_name(self, name: str) -> str | None:
        list_ids = self._ids_by_name(name)
        if len(list_ids) > 1:
            ids = ", ".join(sorted(list_ids))
            reason = f"{len(list_ids)} lists are called {name!r}: name one by its id ({ids})"
            raise RejectedRecord("list_ambiguous", reason)
        return list_ids[0] if list_ids else None

    def _ids_by_name(self, name: str) -> list[str]:
        query = {"fields[list]": "name"}
        if not _ESCAPED.search(name):
            query["filter"] = condition("any", "name", [name])
        # A page may come twice.
        list_ids = {
            entry["id"]: None
            for page in self._client.pages(_ALL, query=query)
            for entry in page.data
            if (entry.get("attributes") or {}).get("name") == name
        }
        return list(list_ids)

    def _exists(self, list_id: str) -> bool:
        if not list_id.isalnum():
            return False
        try:
            self._client.call(_ONE, path={"id": list_id}, query={"fields[list]": "name"})
        except NotFound:
            return False
        return True

    def _create(self, name: str) -> str:
        """Create a list. After a lost answer it may be there: then it is looked for before another is asked for."""
        body: dict[str, Any] = {"data": {"type": "list", "attributes": {"name": name}}}
        answer_was_lost = False

        def attempt(_: object) -> str | Unavailable:
            nonlocal answer_was_lost
            try:
                if answer_was_lost and (list_id := self._find_by_name(name)):
                    return list_id
            except Unavailable as error:
                return error  # it was tried again already
            try:
                return str(self._client.call(_CREATE, body=body).resource["id"])
            except Unavailable as error:
                if not error.may_have_succeeded:
                    return error
                answer_was_lost = True
                raise

        created = call_with_retries(attempt, self._client.retry_policy, self._client.clock, idempotent=True)
        if isinstance(created, Unavailable):
            raise created
        return created


def _check_address(ref: ListRef) -> None:
    """Refuse what no list can be asked for by.

    Raises:
        RejectedRecord: the name or the id is too long, or is no text that can be written.
    """
    try:
        size = max(len(quote(text)) for text in (ref.id, ref.name) if text is not None)
    except UnicodeEncodeError as error:
        raise RejectedRecord("invalid_list", "the list's name or id has half a character in it") from error
    if size > _MAX_URL_BYTES:
        raise RejectedRecord("invalid_list", f"the list's name or id is too long: {size:,} bytes in an address")


def _refusal_of(ref: ListRef, refused: Refused) -> RejectedRecord:
    """The rejection of what names a list that Klaviyo refuses to find or to make."""
    outcome = refusal_outcome(refused)
    reason = f"Klaviyo refuses the list {str(ref)!r}: {outcome.reason}"
    return RejectedRecord(outcome.code or "invalid_list", reason, pointer=outcome.pointer, status=outcome.status)
