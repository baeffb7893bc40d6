"""Mailings: the campaigns and flow messages that were sent, and that events are about."""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from klaviyo_sandbox.account.ids import short_id, ulid
from klaviyo_sandbox.account.rows import Row

EMAIL, SMS, PUSH = CHANNELS = ("email", "sms", "push")
_CAMPAIGN_CHANNELS = {"email": EMAIL, "sms": SMS, "mobile_push": PUSH}
_FLOW_CHANNELS = {"Email": EMAIL, "SMS": SMS, "Push": PUSH}
_FROM_FLOWS = 0.3


@dataclass(frozen=True)
class Mailing:
    """One message that went out from ``start`` (epoch seconds) on.

    Attributes:
        name: of the campaign, or of the flow's message.
        message_id: of the campaign message or flow message.
        campaign_id: None for flows; ``flow_id`` is None for campaigns.
        variation_id: of the campaign's or flow's message that was sent; None for a campaign that tests nothing.
        group_ids: the lists and segments that it went to; None where events do not name them.
    """

    channel: str
    start: int
    name: str
    subject: str
    message_id: str
    campaign_id: str | None
    flow_id: str | None
    variation_id: str | None
    group_ids: tuple[str, ...] | None


class Mailings:
    """All mailings, to pick from by channel and time."""

    def __init__(self, mailings: Iterable[Mailing]) -> None:
        self._sent: dict[tuple[str, bool], tuple[list[int], list[Mailing]]] = {}
        for mailing in sorted(mailings, key=lambda mailing: mailing.start):
            starts, sent = self._sent.setdefault((mailing.channel, mailing.flow_id is not None), ([], []))
            starts.append(mailing.start)
            sent.append(mailing)

    def pick(self, rng: random.Random, channel: str, timestamp: int) -> Mailing:
        """Pick a mailing that was being sent at ``timestamp``; the oldest when none was yet."""
        from_flow = rng.random() < _FROM_FLOWS
        starts, sent = self._sent[channel, from_flow]
        count = bisect.bisect_right(starts, timestamp)
        if not count:
            starts, sent = self._sent[channel, not from_flow]
            count = max(1, bisect.bisect_right(starts, timestamp))
        return sent[rng.randrange(count)]


def campaign_mailings(campaigns: Iterable[Row], messages: Mapping[str, Row]) -> Iterator[Mailing]:
    """The mailings of campaigns that were sent."""
    for number, row in enumerate(row for row in campaigns if row["status"] == "Sent"):
        groups = tuple(row["audiences"]["included"])
        # Klaviyo may name a group twice, or none at all.
        event_group_ids = {0: None, 1: (*groups, groups[0])}.get(number % 5, groups)
        for message_id in row["message_ids"]:
            subject = messages[message_id]["definition"].get("content", {}).get("subject")
            yield Mailing(
                _CAMPAIGN_CHANNELS[row["messages"]["channel"]],
                _epoch(row["send_time"]),
                row["name"],
                subject or row["name"],
                message_id,
                row["id"],
                None,
                message_id if len(row["message_ids"]) > 1 else None,
                event_group_ids,
            )


def flow_mailings(flows: Mapping[str, Row], actions: Iterable[Row], messages: Mapping[str, Row]) -> Iterator[Mailing]:
    """The mailings of all flows that are not drafts; one for each variation of a test."""
    for action in actions:
        flow = flows[action["flow_id"]]
        if flow["status"] == "draft":
            continue
        main, *variations = action["message_ids"] or [None]
        for variation_id in variations or action["message_ids"]:
            message = messages[main]
            if message["channel"] in _FLOW_CHANNELS:
                yield Mailing(
                    _FLOW_CHANNELS[message["channel"]],
                    _epoch(flow["created"]),
                    message["name"],
                    message["definition"].get("subject_line") or message["name"],
                    main,
                    None,
                    flow["id"],
                    variation_id,
                    tuple(trigger["id"] for trigger in flow["triggers"] if trigger["type"] == "list"),
                )


def deleted_mailings(rng: random.Random, start: datetime) -> Iterator[Mailing]:
    """The mailings of two flows and of a campaign that were deleted from the account."""
    sent = int(start.timestamp())
    for name, channels in (("Deleted", CHANNELS), ("Old Win-back", (EMAIL, EMAIL, SMS))):
        flow_id = short_id(rng)
        for number, channel in enumerate(channels, 1):
            message_id = short_id(rng)
            subject = f"{name}: {number}. Brief"
            yield Mailing(channel, sent, f"{name} {channel}", subject, message_id, None, flow_id, message_id, ())
    campaign_id, message_id = (ulid(sent * 1000, rng) for _ in range(2))
    yield Mailing(EMAIL, sent, "Deleted campaign", "Gone for good", message_id, campaign_id, None, None, None)


def _epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
