"""What live answers of Klaviyo have otherwise than the specification declares it: data, each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True)
class LiveDifference:
    """A member that live answers were seen to have otherwise than the specification declares it, or beside it.

    Attributes:
        schema: name of the schema that has the member.
        member: its name, with those of the objects that it is in, from the outermost, and points between them.
        allowed: what it may be, too.
        evidence: where that was seen.
        operations: how the ids of the operations begin in which it was.
    """

    schema: str
    member: str
    allowed: Schema
    evidence: str
    operations: str = ""


_NULL: Schema = {"type": "null"}
_LINK: Schema = {"anyOf": [{"type": "string", "format": "uri"}, _NULL]}
_MAYBE_TIME: Schema = {"anyOf": [{"type": "string", "format": "date-time"}, _NULL]}
_TRACKING: Schema = {
    "type": "object",
    "properties": {
        "consent": {"type": "string"},
        "can_receive": {"type": "boolean"},
        "metadata": {"type": ["object", "null"]},
        **dict.fromkeys(("consent_timestamp", "last_updated", "created_timestamp", "valid_until"), _MAYBE_TIME),
    },
    "required": ["consent", "can_receive"],
    "additionalProperties": False,
}
LIVE_DIFFERENCES = (
    LiveDifference("CollectionLinks", "next", _NULL, "recorded: the last page says null"),
    LiveDifference("CollectionLinks", "prev", _NULL, "recorded: the first page says null"),
    LiveDifference("ObjectLinks", "next", _LINK, "recorded, in answers of reports", "query_"),
    LiveDifference("ObjectLinks", "prev", _LINK, "recorded, in answers of reports", "query_"),
    *(
        LiveDifference(f"Post{report}ResponseDTO", "data.id", {"type": "string", "format": "uuid"}, "recorded")
        for report in (
            *("CampaignValues", "FlowValues", "FlowSeries", "FormValues", "FormSeries", "SegmentValues"),
            "SegmentSeries",
        )
    ),
    LiveDifference("EmailChannel", "click_tracking", _TRACKING, "recorded: beside open_tracking, and like it"),
)


def allow_live_differences(definitions: Mapping[str, Schema], operation: str) -> None:
    """Allow an operation's answers what ``LIVE_DIFFERENCES`` names, in place; "" is any operation."""
    for difference in LIVE_DIFFERENCES:
        # Schemas of another revision have its name behind theirs.
        schemas = [schema for name, schema in definitions.items() if name.partition("@")[0] == difference.schema]
        for schema in schemas if operation.startswith(difference.operations) else ():
            *outer, member = difference.member.split(".")
            properties = schema["properties"]
            for name in outer:
                properties = properties[name]["properties"]
            declared = [properties[member]] if member in properties else []
            properties[member] = {"anyOf": [*declared, difference.allowed]}
