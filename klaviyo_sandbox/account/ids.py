"""Ids that look like Klaviyo's. Capitals and digits only: such ids sort alike in every collation."""

from __future__ import annotations

import random

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CAPITALS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def ulid(milliseconds: int, rng: random.Random) -> str:
    """26 characters: a point in time (milliseconds since 1970), then 80 random bits."""
    number = milliseconds << 80 | rng.getrandbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def short_id(rng: random.Random, length: int = 6) -> str:
    """As lists, segments, metrics (6) and events (11) have them."""
    return "".join(rng.choices(_CAPITALS, k=length))
