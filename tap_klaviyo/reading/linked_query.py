"""A query that leaves out includes of which answers have the ids anyway, and what to ask where they do not. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from klaviyo_client.api.operations import Operation
from klaviyo_client.api.pages import RawPage
from tap_klaviyo.reading.selection import without_includes


@dataclass(frozen=True)
class LinkedQuery:
    """The two queries of one read.

    Attributes:
        short: the query without the includes.
        whole: the query with them.
        left_out: the relationships that only the latter includes.
    """

    short: Mapping[str, str]
    whole: Mapping[str, str]
    left_out: frozenset[str]

    @classmethod
    def of(cls, op: Operation, whole: Mapping[str, str], linked: Container[str]) -> LinkedQuery:
        """Of the query with all includes, and of the relationships whose ids come without."""
        left_out = frozenset(name for name in whole.get("include", "").split(",") if name in linked)
        return cls(without_includes(op, whole, left_out), whole, left_out)

    def without(self, op: Operation, relationships: Container[str]) -> LinkedQuery:
        """The same without some includes in either."""
        return LinkedQuery(
            without_includes(op, self.short, relationships),
            without_includes(op, self.whole, relationships),
            frozenset(name for name in self.left_out if name not in relationships),
        )

    def is_unlinked(self, page: RawPage) -> bool:
        """Whether the first or the last resource of a page that was asked for in short lacks an id."""
        return any(not _says(resource, name) for resource in page.first_and_last for name in self.left_out)

    def whole_link(self, link: str) -> str:
        """A link to a further page, with the includes."""
        parts = urlsplit(link)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        query |= {name: value for name, value in self.whole.items() if name == "include" or name.startswith("fields[")}
        return parts._replace(query=urlencode(query)).geturl()


def _says(resource: Any, relationship: str) -> bool:
    """Whether a resource names what it is related to, be it nothing."""
    relationships = resource.get("relationships") if isinstance(resource, dict) else None
    member = relationships.get(relationship) if isinstance(relationships, dict) else None
    return isinstance(member, dict) and "data" in member
