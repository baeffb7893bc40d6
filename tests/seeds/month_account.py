"""What a shop's days are made of: an account, whom something happens to, and how it is done."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from support.calls import Caller

from klaviyo_sandbox import RunningSandbox
from klaviyo_sandbox.account import changes
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

START = datetime(2026, 6, 1, tzinfo=UTC)
# So few people do all of it that their stories cross.
ACTIVE = 12
# Lists, and segments; and of how many campaigns one is kept: each is a request of every run.
GROUPS = 6
ONE_OF = 2
_KLAVIYO = {"object": "integration", "id": "KLVY01", "key": "klaviyo", "name": "Klaviyo", "category": "Internal"}
_SHOP = {"object": "integration", "id": "SHOP01", "key": "newsletters", "name": "Newsletters", "category": "Marketing"}
# Names of one metric, the older first, and what is called the same without being Klaviyo's.
METRICS = {
    "TXT01": ("Unsubscribed from SMS Marketing", _KLAVIYO),
    "TXT02": ("Unsubscribed from Text Message Marketing", _KLAVIYO),
    "TXT03": ("Unsubscribed from Text Messaging Marketing", _KLAVIYO),
    "TXT04": ("Subscribed to Text Messaging Marketing", _KLAVIYO),
    "TXT05": ("Opened Text", _KLAVIYO),
    "UNSB01": ("Unsubscribed", _KLAVIYO),
    "UNSB02": ("Unsubscribed from List", _KLAVIYO),
    "UNSB03": ("Unsubscribed from Email Marketing", _KLAVIYO),
    "UNSB04": ("Unsubscribed", _SHOP),
    "BNCE01": ("Bounced Email", _KLAVIYO),
    "SPAM01": ("Marked Email as Spam", _KLAVIYO),
    "SENT01": ("Received Email", _KLAVIYO),
    "OPEN01": ("Opened Email", _KLAVIYO),
    "CLCK01": ("Clicked SMS", _KLAVIYO),
    "CLCK02": ("Clicked Email", _KLAVIYO),
}
# Metrics of which most have an event that is older than what is read again.
SINCE_LONG = ("SENT01", "OPEN01", "CLCK02", "BNCE01", "SPAM01", "UNSB01", "TXT02")
RENAMED = {
    "Unsubscribed from SMS Marketing": "Unsubscribed from Text Messaging Marketing",
    "Clicked SMS": "Clicked Text Message",
}


# What can have tags -> its table.
TAGGABLE: Mapping[str, Callable[[Store], Table]] = {
    "campaign": lambda store: store.campaigns,
    "flow": lambda store: store.flows,
    "list": lambda store: store.lists,
    "segment": lambda store: store.segments,
}


class Account:
    """An account in which something may happen.

    Args:
        sandbox: the account; its clock stands still between what happens.
        caller: speaks to it.
        seed: what is drawn, and whom it meets, follows from it.
    """

    def __init__(self, sandbox: RunningSandbox, caller: Caller, seed: int) -> None:
        self._sandbox = sandbox
        self._caller = caller
        self._rng = random.Random(f"{seed} month")
        self._taggable = itertools.cycle(TAGGABLE)
        with self.store.lock:
            for groups in (self.store.lists, self.store.segments):
                for group_id in list(groups.rows)[GROUPS:]:
                    groups.drop(group_id)
            for campaign_id in list(self.store.campaigns.rows)[::ONE_OF]:
                self.store.campaigns.drop(campaign_id)
            for metric_id, (name, integration) in METRICS.items():
                times = dict.fromkeys(("created", "updated"), format_datetime(START - timedelta(days=60)))
                self.store.metrics.put({"id": metric_id, "name": name, "integration": integration, **times})
            self._lists = list(self.store.lists.rows)[:3]
            for list_id in self._lists:
                changes.edit(self.store, "list", list_id, opt_in_process="single_opt_in")
        everybody = [row["id"] for row in self.store.profiles.rows.values() if row["email"]]
        self._active = everybody[:ACTIVE]
        for person in everybody[ACTIVE // 2 :]:
            for metric_id in SINCE_LONG:
                self._event(person, metric_id, hours=24 * self._rng.uniform(10, 40))

    @property
    def store(self) -> Store:
        return self._sandbox.store

    def _pick(self, rows: Mapping[str, Any]) -> str:
        return self._rng.choice(list(rows))

    def _somebody(self, **like: Any) -> Any:
        """One of the active, such as wanted, if one of them is."""
        rows = [row for row_id in self._active if (row := self.store.profiles.get(row_id)) is not None]
        fitting = [row for row in rows if all(_LIKE[name](row, value) for name, value in like.items())]
        return self._rng.choice(fitting or rows)["id"]

    def _bystander(self) -> str:
        """Somebody who is not active: whoever is deleted or merged has no story after it."""
        return self._rng.choice([row_id for row_id in self.store.profiles.rows if row_id not in self._active])

    def _a_list(self, *, members: bool = False) -> str:
        fitting = [list_id for list_id in self._lists if not members or self._active_members(list_id)]
        return self._rng.choice(fitting or self._lists)

    def _active_members(self, list_id: str) -> list[str]:
        return [row_id for row_id in self._active if row_id in self.store.list_members[list_id]]

    def _member_of(self, list_id: str) -> str:
        return self._rng.choice(self._active_members(list_id) or self._active)

    def _tagged(self, *, with_tags: bool = False) -> tuple[str, Row]:
        """Something that can have tags, or, of each kind in its turn, something that has some."""
        kind = next(self._taggable) if with_tags else self._rng.choice(list(TAGGABLE))
        rows = list(TAGGABLE[kind](self.store).rows.values())
        return kind, self._rng.choice([row for row in rows if row["tag_ids"] or not with_tags] or rows)

    def _event(
        self, person: str, metric_id: str, properties: Mapping[str, Any] | None = None, hours: float = 0.0
    ) -> None:
        self._sandbox.control.add_events(
            seconds=-3600 * hours, profile_id=person, metric_id=metric_id, properties=dict(properties or {})
        )

    def _call(self, method: str, path: str, data: Any) -> Any:
        answer = self._caller.send(method, path, {"data": data})
        assert answer.ok, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def _create(self, email: str) -> str:
        body = {"type": "profile", "attributes": {"email": email, "properties": {"Points Balance": 1}}}
        return str(self._call("POST", "profile-import", body)["data"]["id"])

    def _patch(self, person: str, attributes: Mapping[str, Any], **more: Any) -> None:
        self._call("PATCH", f"profiles/{person}", {"type": "profile", "id": person, "attributes": attributes, **more})

    def _members(self, method: str, list_id: str, person: str) -> None:
        self._call(method, f"lists/{list_id}/relationships/profiles", [{"type": "profile", "id": person}])

    def _suppression(self, kind: str, person: str) -> None:
        attributes = {"email": self.store.profiles.rows[person]["email"]}
        profiles = {"data": [{"type": "profile", "attributes": attributes}]}
        name = f"profile-suppression-bulk-{kind}-job"
        self._call("POST", f"{name}s", {"type": name, "attributes": {"profiles": profiles}})

    def _give(self, person: str, channel: str, list_id: str | None = None) -> None:
        self._consent("create", "SUBSCRIBED", person, channel, list_id)

    def _withdraw(self, person: str, channel: str, list_id: str | None = None) -> None:
        self._consent("delete", "UNSUBSCRIBED", person, channel, list_id)

    def _consent(self, kind: str, consent: str, person: str, channel: str, list_id: str | None) -> None:
        row = self.store.profiles.rows[person]
        field = {"email": "email", "sms": "phone_number"}[channel]
        if not row[field]:
            return
        attributes = {field: row[field], "subscriptions": {channel: {"marketing": {"consent": consent}}}}
        profiles = {"data": [{"type": "profile", "attributes": attributes}]}
        name = f"profile-subscription-bulk-{kind}-job"
        data: dict[str, Any] = {"type": name, "attributes": {"profiles": profiles}}
        if list_id is not None:
            data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
        self._call("POST", f"{name}s", data)


def _marketing(row: Row) -> Any:
    return row["subscriptions"]["email"]["marketing"]


def _reasons(row: Row) -> Iterable[str]:
    return {entry["reason"] for entry in _marketing(row)["suppression"]}


_LIKE: Mapping[str, Callable[[Row, Any], bool]] = {
    "phone": lambda row, wanted: bool(row["phone_number"]) == wanted,
    "subscribed": lambda row, wanted: (_marketing(row)["consent"] == "SUBSCRIBED") == wanted,
    "reason": lambda row, wanted: wanted in _reasons(row) if wanted else not _reasons(row),
    "has_properties": lambda row, wanted: any(not name.startswith("$") for name in row["properties"]) == wanted,
}
