"""Works out what an account holds without the tap or its client: by plain HTTP, following links.

Where the API knows two ways to a table's rows, this goes the one that needs no ``include``: tags are asked what they
are put on, flows what they do, campaigns what they say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from klaviyo_sandbox import RunningSandbox
from support.calls import Caller

Key = tuple[Any, ...]
Json = dict[str, Any]

HERE = "tests/support/second_path.py"


class Keys(dict[str, tuple[str, ...]]):
    """Table that is read by default -> its key."""

    def __missing__(self, table: str) -> NoReturn:
        raise AssertionError(advice_for([table]))


def advice_for(tables: Iterable[str]) -> str:
    """What to add for these tables, whose rows nobody counts who does not use our code."""
    return "".join(
        f"\nno witness counts the rows of {table!r}. If it is read by default, add two lines to {HERE}, to KEYS "
        f'"{table}": (THE COLUMNS OF ITS KEY,), and to _TRUTHS "{table}": lambda account: [(row["id"],) for row in '
        f'account.rows("PATH BELOW /api/")], else one line to TRUTHS of a module in tests/support/others/.'
        for table in sorted(tables)
    )


KEYS = Keys(
    {
        "campaigns": ("campaign_id",),
        "campaign_audiences_excluded": ("campaign_id", "audience_id"),
        "campaign_audiences_included": ("campaign_id", "audience_id"),
        "campaign_messages": ("campaign_message_id",),
        "campaign_message_send_times": ("campaign_message_id", "position"),
        "campaign_tags": ("campaign_id", "tag_id"),
        "campaign_utm_params": ("campaign_id", "position"),
        "events": ("id",),
        "event_attributions": ("event_id", "attribution_id"),
        "event_attribution_group_ids": ("event_id", "group_id"),
        "event_group_ids": ("event_id", "group_id"),
        "flows": ("flow_id",),
        "flow_actions": ("flow_action_id",),
        "flow_action_messages": ("flow_action_message_id",),
        "flow_action_message_utm_params": ("flow_action_message_id", "position"),
        "flow_tags": ("flow_id", "tag_id"),
        "lists": ("list_id",),
        "list_profiles": ("list_id", "profile_id"),
        "list_tags": ("list_id", "tag_id"),
        "member_lists": ("list_id", "member_id"),
        "metrics": ("metric_id",),
        "profiles": ("profile_id",),
        "profile_email_list_suppressions": ("profile_id", "list_id", "reason"),
        "profile_email_suppressions": ("profile_id", "reason", "timestamp"),
        "segments": ("segment_id",),
        "segment_profiles": ("segment_id", "profile_id"),
        "segment_tags": ("segment_id", "tag_id"),
        "stg_member_lists": ("list_id", "member_id"),
        "tags": ("tag_id",),
    }
)


def collection(account: RunningSandbox, path: str, **query: Any) -> list[Json]:
    """Every resource of ``/api/{path}``, read now; parameters are named as ``Caller.get`` takes them."""
    with contextlib.closing(Caller(account.url)) as caller:
        return caller.rows(path, **query)


def truth(account: RunningSandbox, table: str) -> list[Key]:
    """The keys that a table must hold, each once; what was read of an account before is not read again."""
    assert table in _TRUTHS, advice_for([table])
    return sorted(set(_TRUTHS[table](witness(account))))


def witness(account: RunningSandbox) -> Witness:
    """The one witness of an account."""
    return _WITNESSES.setdefault(account, Witness(account.url))


def forget(account: RunningSandbox) -> None:
    """Read the account anew from here on: something was written to it."""
    _WITNESSES.pop(account, None)


def utc(text: str | None) -> str | None:
    """A moment as the tables have it, with the fraction of its second; one without a zone is in UTC."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)).isoformat()


class Witness:
    """Reads an account, each address once. Its answers are shared: nobody may change them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._read: dict[tuple[str, frozenset[tuple[str, Any]]], list[Json]] = {}

    def pages(self, path: str, **query: Any) -> list[Json]:
        """Every page of ``/api/{path}``; an answer that is no page, such as 429, is a KeyError."""
        key = (path, frozenset(query.items()))
        if key not in self._read:
            with contextlib.closing(Caller(self._url)) as caller:
                self._read[key] = list(caller.pages(path, **query))
        return self._read[key]

    def rows(self, path: str, **query: Any) -> list[Json]:
        return [row for page in self.pages(path, **query) for row in page["data"]]

    def one(self, path: str, **query: Any) -> Any:
        """The ``data`` of a document that holds one resource or one identity; None where there is none."""
        key = (path, frozenset(query.items()))
        if key not in self._read:
            with contextlib.closing(Caller(self._url)) as caller:
                answer = caller.get(path, **query)
            assert answer.status_code in (200, 404), answer.text
            self._read[key] = [answer.json()]
        return self._read[key][0].get("data")

    def campaigns(self) -> dict[str, tuple[str, Json]]:
        """Campaign id -> the channel it was asked for by, and the campaign."""
        return {
            row["id"]: (channel, row)
            for channel in ("email", "sms", "mobile_push")
            for archived in ("false", "true")
            for row in self.rows(
                "campaigns", filter=f"equals(messages.channel,'{channel}'),equals(archived,{archived})", page__size=100
            )
        }

    def campaign_messages(self) -> list[tuple[str, Json]]:
        """(campaign id, message)."""
        return [(owner, row) for owner in self.campaigns() for row in self.rows(f"campaigns/{owner}/campaign-messages")]

    def flows(self) -> list[Json]:
        return [
            row for archived in ("false", "true") for row in self.rows("flows", filter=f"equals(archived,{archived})")
        ]

    def flow_actions(self) -> list[tuple[str, Json]]:
        """(flow id, action)."""
        return [(flow["id"], row) for flow in self.flows() for row in self.rows(f"flows/{flow['id']}/flow-actions")]

    def members(self, groups: str) -> list[Key]:
        """(group id, profile id) of lists or segments."""
        return [
            (group["id"], member["id"])
            for group in self.rows(groups)
            for member in self.rows(f"{groups}/{group['id']}/relationships/profiles", page__size=100)
        ]

    def tagged(self, kind: str) -> list[Key]:
        """(id of what is tagged, tag id)."""
        return [
            (row["id"], tag["id"])
            for tag in self.rows("tags")
            for row in self.rows(f"tags/{tag['id']}/relationships/{kind}")
        ]

    def profiles(self) -> list[Json]:
        """With what they subscribed to."""
        return self.rows("profiles", additional_fields__profile="subscriptions", page__size=100)

    def events(self) -> dict[str, Json]:
        return {row["id"]: row for page in self._event_pages() for row in page["data"]}

    def attributions(self) -> dict[str, list[Json]]:
        """Event id -> the relationships of its attributions, in the order in which the event names them."""
        pages = self._event_pages()
        by_id = {
            entry["id"]: entry["relationships"]
            for page in pages
            for entry in page.get("included", ())
            if entry["type"] == "attribution"
        }
        return {
            row["id"]: [by_id[entry["id"]] for entry in row["relationships"].get("attributions", {}).get("data") or ()]
            for page in pages
            for row in page["data"]
        }

    def _event_pages(self) -> list[Json]:
        return self.pages("events", include="attributions,metric,profile", page__size=1000)

    def event(self, event_id: str) -> Json | None:
        """An event by its id, also when the collection has none such."""
        return self.events().get(event_id) or self.one(f"events/{event_id}")


def related(relationships: Json, name: str) -> str | None:
    """The id that a to-one relationship names."""
    data = relationships.get(name, {}).get("data")
    return None if data is None else data["id"]


def properties(event: Json) -> Json:
    return event["attributes"]["event_properties"] or {}


def marketing(profile: Json) -> Json:
    """All about marketing by email to a profile, empty when nothing is known."""
    subscriptions = profile["attributes"]["subscriptions"] or {}
    return (subscriptions.get("email") or {}).get("marketing") or {}


def definition(resource: Json) -> Json:
    return resource["attributes"].get("definition") or {}


def _ids(rows: Iterable[Json]) -> list[Key]:
    return [(row["id"],) for row in rows]


def _audiences(side: str) -> Callable[[Witness], list[Key]]:
    """``side`` is ``included`` or ``excluded``."""
    return lambda account: [
        (campaign_id, audience)
        for campaign_id, (_, row) in account.campaigns().items()
        for audience in row["attributes"]["audiences"].get(side) or ()
    ]


def _send_times(account: Witness) -> list[Key]:
    return [
        (row["id"], position)
        for _, row in account.campaign_messages()
        for position in range(len(row["attributes"]["send_times"] or ()))
    ]


def campaign_parameters(account: Witness) -> list[tuple[Key, Json]]:
    """(campaign id and place, tracking parameter)."""
    return [
        ((campaign_id, position), parameter)
        for campaign_id, (_, row) in account.campaigns().items()
        for position, parameter in enumerate(
            (row["attributes"].get("tracking_options") or {}).get("custom_tracking_params") or ()
        )
    ]


def message_parameters(account: Witness) -> list[tuple[Key, Json]]:
    """(message id and place, tracking parameter) of flows."""
    return [
        ((message["id"], position), parameter)
        for message in _messages(account)
        for position, parameter in enumerate(message.get("custom_tracking_params") or ())
    ]


def _messages(account: Witness) -> list[Json]:
    """Every message that an action sends, or that an experiment sends in its place."""
    found: list[Json] = []
    for _, action in account.flow_actions():
        data = definition(action).get("data") or {}
        experiment = data.get("current_experiment") or {}
        senders = [
            data,
            *((it or {}).get("data") for it in (data.get("main_action"), *experiment.get("variations", ()))),
        ]
        messages = [(sender or {}).get("message") or {} for sender in senders]
        found += [message for message in messages if message.get("id")]
    return found


def _group_ids(account: Witness) -> list[Key]:
    return [
        (event["id"], group)
        for event in account.events().values()
        for group in properties(event).get("$group_ids") or ()
    ]


def _attributions(account: Witness) -> list[Key]:
    """Every attribution; an event of old that has none but says the like itself counts as one."""
    keys: list[Key] = []
    for event_id, event in account.events().items():
        ids = [entry["id"] for entry in event["relationships"].get("attributions", {}).get("data") or ()]
        keys += [(event_id, it) for it in ids or ([event_id] if properties(event).get("$attribution") else [])]
    return keys


def _attribution_group_ids(account: Witness) -> list[Key]:
    """The groups of the events that an event is owed to, and those that events of old say themselves."""
    keys: list[Key] = []
    for event_id, event in account.events().items():
        causes = [related(entry, "attributed-event") for entry in account.attributions()[event_id]]
        sources = [properties(cause) for it in causes if it is not None and (cause := account.event(it)) is not None]
        sources.append(properties(event).get("$attribution") or {})
        keys += [(event_id, group) for source in sources for group in source.get("$group_ids") or ()]
    return keys


def _suppressions(account: Witness) -> list[Key]:
    return [
        (profile["id"], entry["reason"], utc(entry["timestamp"]))
        for profile in account.profiles()
        for entry in marketing(profile).get("suppression") or ()
    ]


def _list_suppressions(account: Witness) -> list[Key]:
    return [
        (profile["id"], entry["list_id"], entry["reason"])
        for profile in account.profiles()
        for entry in marketing(profile).get("list_suppressions") or ()
    ]


def suppressed_on_lists(account: Witness) -> list[Key]:
    """(list id, profile id) of list suppressions, but for those of lists that are gone."""
    lists = {row["id"] for row in account.rows("lists")}
    return [(key[1], key[0]) for key in _list_suppressions(account) if key[1] in lists]


# Lets go of an account that is served no more; its port may be the next one's.
_WITNESSES: WeakKeyDictionary[RunningSandbox, Witness] = WeakKeyDictionary()

_TRUTHS: dict[str, Callable[[Witness], Iterable[Key]]] = {
    "campaigns": lambda account: [(campaign_id,) for campaign_id in account.campaigns()],
    "campaign_audiences_excluded": _audiences("excluded"),
    "campaign_audiences_included": _audiences("included"),
    "campaign_messages": lambda account: _ids(row for _, row in account.campaign_messages()),
    "campaign_message_send_times": _send_times,
    "campaign_tags": lambda account: account.tagged("campaigns"),
    "campaign_utm_params": lambda account: [key for key, _ in campaign_parameters(account)],
    "events": lambda account: _ids(account.events().values()),
    "event_attributions": _attributions,
    "event_attribution_group_ids": _attribution_group_ids,
    "event_group_ids": _group_ids,
    "flows": lambda account: _ids(account.flows()),
    "flow_actions": lambda account: _ids(row for _, row in account.flow_actions()),
    "flow_action_messages": lambda account: _ids(_messages(account)),
    "flow_action_message_utm_params": lambda account: [key for key, _ in message_parameters(account)],
    "flow_tags": lambda account: account.tagged("flows"),
    "lists": lambda account: _ids(account.rows("lists")),
    "list_profiles": lambda account: account.members("lists"),
    "list_tags": lambda account: account.tagged("lists"),
    "member_lists": lambda account: list(dict.fromkeys([*account.members("lists"), *suppressed_on_lists(account)])),
    "metrics": lambda account: _ids(account.rows("metrics")),
    "profiles": lambda account: _ids(account.profiles()),
    "profile_email_list_suppressions": _list_suppressions,
    "profile_email_suppressions": _suppressions,
    "segments": lambda account: _ids(account.rows("segments")),
    "segment_profiles": lambda account: account.members("segments"),
    "segment_tags": lambda account: account.tagged("segments"),
    "stg_member_lists": lambda account: account.members("lists"),
    "tags": lambda account: _ids(account.rows("tags")),
}
