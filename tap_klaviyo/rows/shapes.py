"""Types of resources with only the members that paths lead to: what nobody reads is skipped, not decoded. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tap_klaviyo.rows.paths import INCLUDED, OWN, Source

# What a page may have in the place of an object that its like always have. Any of it is as good as nothing there.
_OTHERS = None | bool | int | float | str | list[Any]


@dataclass
class Shape:
    """A value of a resource, and those below it that paths lead to.

    Attributes:
        members: name -> the value of an object's member.
        is_whole: whether it is wanted as it is, and so decoded as JSON's own types.
        kind: the type of objects in its place; None where they are dictionaries.
        attributes: name of a member -> name of the type's attribute that holds it, None where the member is missing.
    """

    members: dict[str, Shape] = field(default_factory=dict)
    is_whole: bool = False
    kind: type[msgspec.Struct] | None = None
    attributes: dict[str, str] = field(default_factory=dict)

    def add(self, tokens: Iterable[str]) -> None:
        """Add a path that leads to a value which is wanted as it is."""
        shape = self
        for token in tokens:
            shape = shape.members.setdefault(token, Shape())
        shape.is_whole = True

    def make_kind(self) -> Any:
        """Make the types from here on; what ``msgspec`` decodes into the value.

        Raises:
            ValueError: a member has a name that no type can have.
        """
        if self.is_whole or not self.members:
            return Any
        self.attributes = {token: f"m{number}" for number, token in enumerate(self.members)}
        fields = [(name, self.members[token].make_kind(), None) for token, name in self.attributes.items()]
        # Of a page there is no cycle to find for the garbage collector.
        self.kind = msgspec.defstruct(
            "Object", fields, rename={name: token for token, name in self.attributes.items()}, gc=False
        )
        return self.kind | _OTHERS


def resource_shape(needed: Iterable[Source]) -> Shape:
    """The shape of a page's own resources that have what these paths, with no root of a table's own, lead to.

    Raises:
        ValueError: there is no such type.
    """
    shape = Shape()
    for source in needed:
        if source.root == OWN:
            if not source.tokens:
                raise ValueError("the whole resource is wanted")
            shape.add(source.tokens)
        elif source.root == INCLUDED:
            for part in ("type", "id"):
                shape.add((*linkage_tokens(source), part))
    shape.members.pop("id", None)
    shape.make_kind()
    fields = [(name, shape.members[token].make_kind(), None) for token, name in shape.attributes.items()]
    shape.attributes["id"] = "id"
    shape.members["id"] = Shape(is_whole=True)
    # An id that is no text is for the decoder that takes anything.
    shape.kind = msgspec.defstruct(
        "Resource",
        [("id", str, ""), *fields],
        rename={name: token for token, name in shape.attributes.items()},
        gc=False,
    )
    return shape


def linkage_tokens(source: Source) -> tuple[str, str, str]:
    """The path, in the resource, to what names the resources that a path from ``included`` starts from."""
    return ("relationships", str(source.relationship), "data")
