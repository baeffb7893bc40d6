"""Tags in two groups, and the assignment of tags to resources."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from klaviyo_sandbox.account.rows import Row

# A resource has at most one tag of a group that is exclusive.
_GROUPS = (
    ("Default", False, ("Seasonal", "Évergreen", "Promotion", "VIP", "To be reviewed")),
    ("Market", True, ("North America", "Europe: Österreich", "Asia 東京")),
)
_COUNTS = (0, 0, 1, 1, 1, 2, 2, 3)


def tag_groups(rng: random.Random) -> list[Row]:
    """The tag groups; the first of them is the account's default group."""
    return [
        {"id": _id(rng), "name": name, "exclusive": exclusive, "default": number == 0}
        for number, (name, exclusive, _) in enumerate(_GROUPS)
    ]


def tags(rng: random.Random, groups: Sequence[Row]) -> list[Row]:
    return [
        {"id": _id(rng), "name": name, "tag_group_id": group["id"]}
        for group, (_, _, names) in zip(groups, _GROUPS, strict=True)
        for name in names
    ]


class Tagger:
    """Assigns up to three tags to a resource."""

    def __init__(self, rng: random.Random, groups: Iterable[Row], tags: Sequence[Row]) -> None:
        self._rng = rng
        exclusive = {group["id"] for group in groups if group["exclusive"]}
        self._single = [tag["id"] for tag in tags if tag["tag_group_id"] in exclusive]
        self._free = [tag["id"] for tag in tags if tag["tag_group_id"] not in exclusive]

    def draw(self) -> list[str]:
        """Draw ids of tags that one resource may have together."""
        count = self._rng.choice(_COUNTS)
        single = self._rng.sample(self._single, min(count, self._rng.randrange(2)))
        return single + self._rng.sample(self._free, count - len(single))

    def with_tags(self, row: Row) -> dict[str, Any]:
        """The row with tags that are drawn for it."""
        return {**row, "tag_ids": self.draw()}


def _id(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
