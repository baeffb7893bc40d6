"""Published programs that read Klaviyo and know nothing of this project, and what each must find in an account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from support.second_path import Witness, marketing

# What they are shown, as ``serve`` takes it.
ACCOUNT: Mapping[str, Any] = {"profiles": 60, "events": 200, "limits": False}

# The ids that an account has for what somebody asks for.
Ids = Callable[[Witness], list[str]]


class Stream(NamedTuple):
    """What a program reads under a name of its own: what it asks for, and all that there is of the kind."""

    kind: str
    asked_for: Ids


class Outsider(NamedTuple):
    """A program, and what it reads by which revision of the API.

    Attributes:
        requirement: of the environment that it is installed into, alone.
    """

    requirement: str
    revision: str
    streams: Mapping[str, Stream]

    @property
    def name(self) -> str:
        return self.requirement.partition("==")[0]


def _rows(path: str, **query: str) -> Ids:
    return lambda account: [row["id"] for row in account.rows(path, **query)]


def _campaigns(*channels: str, archived: Sequence[str] = ("false", "true")) -> Ids:
    return lambda account: [
        row["id"]
        for channel in channels
        for state in archived
        for row in account.rows("campaigns", filter=f"equals(messages.channel,'{channel}'),equals(archived,{state})")
    ]


def _audiences(account: Witness) -> list[str]:
    return _rows("lists")(account) + _rows("segments")(account)


def _suppressed(account: Witness) -> list[str]:
    return [row["id"] for row in account.profiles() if marketing(row).get("suppression")]


def _suppressed_for(*reasons: str) -> Ids:
    field = "subscriptions.email.marketing.suppression.reason"
    return lambda account: [
        row["id"] for reason in reasons for row in account.rows("profiles", filter=f"equals({field},'{reason}')")
    ]


def _events_of(*metrics: str) -> Ids:
    def ids(account: Witness) -> list[str]:
        wanted = {row["id"] for row in account.rows("metrics") if row["attributes"]["name"] in metrics}
        return [
            event_id
            for event_id, event in account.events().items()
            if event["relationships"]["metric"]["data"]["id"] in wanted
        ]

    return ids


KINDS: Mapping[str, Ids] = {
    **{
        name: _rows(name)
        for name in (
            *("catalog-categories", "catalog-items", "catalog-variants", "coupons", "forms", "images", "lists"),
            *("metrics", "segments", "tags", "template-universal-content", "templates"),
        )
    },
    "audiences": _audiences,
    "campaigns": _campaigns("email", "sms", "mobile_push"),
    "events": lambda account: list(account.events()),
    "flows": lambda account: [row["id"] for row in account.flows()],
    "profiles": lambda account: [row["id"] for row in account.profiles()],
}


def _all_of(*kinds: str, **renamed: str) -> dict[str, Stream]:
    """Streams that ask for all of their kind, under the name of the kind or another."""
    return {
        name: Stream(kind, KINDS[kind]) for name, kind in {**dict(zip(kinds, kinds, strict=True)), **renamed}.items()
    }


AIRBYTE = Outsider(
    "airbyte-source-klaviyo==2.13.1",
    "2024-10-15",
    {
        **_all_of("profiles", "events", "flows", "metrics", "lists"),
        **_all_of(events_detailed="events", email_templates="templates", lists_detailed="lists"),
        "global_exclusions": Stream("profiles", _suppressed),
        "campaigns": Stream("campaigns", _campaigns("email", "sms")),
        "campaigns_detailed": Stream("campaigns", _campaigns("email", "sms")),
    },
)
# The newest that brings its program with it: later ones fetch it from elsewhere when they are first called.
INGESTR = Outsider(
    "ingestr==1.0.78",
    "2024-07-15",
    {
        **_all_of("events", "profiles", "metrics", "tags", "coupons", "catalog-variants", "catalog-categories"),
        **_all_of("catalog-items", "forms", "lists", "images", "segments", "templates"),
        "campaigns": Stream("campaigns", _campaigns("email", "sms", archived=["false"])),
        "flows": Stream("flows", _rows("flows", filter="greater-or-equal(updated,2020-01-01T00:00:00Z)")),
    },
)
# Stream -> the metric of its events. It has no stream for a metric that the account does not have.
_TAP_EVENTS = {
    "receive": "Received Email",
    "click": "Clicked Email",
    "open": "Opened Email",
    "bounce": "Bounced Email",
    "unsubscribe": "Unsubscribed from Email Marketing",
    "mark_as_spam": "Marked Email as Spam",
    "unsub_list": "Unsubscribed from List",
    "subscribed_to_email": "Subscribed to Email Marketing",
    "subscribe_list": "Subscribed to List",
    "update_email_preferences": "Updated Email Preferences",
    "dropped_email": "Dropped Email",
    "clicked_sms": "Clicked SMS",
    "subscribed_to_sms": "Subscribed to SMS Marketing",
    "failed_to_deliver": "Failed to Deliver SMS",
    "failed_to_deliver_automated_response": "Failed to deliver Automated Response SMS",
    "received_automated_response": "Received Automated Response SMS",
    "received_sms": "Received SMS",
    "sent_sms": "Sent SMS",
    "unsubscribed_from_sms": "Unsubscribed from SMS Marketing",
}
TAP = Outsider(
    "tap-klaviyo==1.1.5",
    "2024-10-15",
    {
        **{stream: Stream("events", _events_of(metric)) for stream, metric in _TAP_EVENTS.items()},
        "global_exclusions": Stream(
            "profiles", _suppressed_for("HARD_BOUNCE", "USER_SUPPRESSED", "UNSUBSCRIBE", "INVALID_EMAIL")
        ),
        "lists": Stream("lists", KINDS["lists"]),
        "campaigns": Stream("campaigns", _campaigns("email", archived=["false"])),
    },
)
# The metrics whose events it is asked for: each is a run of its own.
EXPORTED = ("Received Email", "Opened Email", "Clicked Email")
CLI = Outsider(
    "klaviyo-cli==0.11.0",
    "2025-07-15",
    {
        **_all_of("forms", **{"list-audiences": "audiences", "list-metrics": "metrics"}),
        "export-events": Stream("events", _events_of(*EXPORTED)),
        "flows": Stream("flows", _rows("flows")),
        "list-campaigns": Stream("campaigns", _campaigns("email", archived=["false"])),
    },
)
HEADLESS = Outsider(
    "headless-klaviyo==0.2.1",
    "2025-01-15",
    {
        **_all_of("segments", blocks="template-universal-content"),
        "campaigns": Stream("campaigns", _campaigns("email", "sms", "mobile_push", archived=["false"])),
        "flows": Stream("flows", _rows("flows")),
    },
)
OUTSIDERS = (AIRBYTE, INGESTR, TAP, CLI, HEADLESS)


def expected_in(account: Witness, streams: Mapping[str, Stream]) -> dict[str, list[str]]:
    """Stream -> the ids that it must find, each as often as it is asked for; streams without any are left out."""
    ids = {name: sorted(stream.asked_for(account)) for name, stream in streams.items()}
    return {name: found for name, found in ids.items() if found}


def table_of_counts(account: Witness) -> Iterable[str]:
    """The rows of the documentation's table: how many each program reads, and of how many where it leaves some out."""
    yield "| Program | Asks for revision | Reads |"
    yield "|---|---|---|"
    for outsider in OUTSIDERS:
        version = outsider.requirement.removeprefix(f"{outsider.name}==")
        found = expected_in(account, outsider.streams)
        counts = ", ".join(
            f"{stream} {_count(len(ids), len(KINDS[outsider.streams[stream].kind](account)))}"
            for stream, ids in sorted(found.items())
        )
        yield f"| `{outsider.name}` {version} | {outsider.revision} | {counts} |"


def _count(read: int, there: int) -> str:
    return str(read) if read == there else f"{read} of {there}"
