"""Small seeded accounts, each made once in a process: a copy costs a sixth of making one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import lru_cache

from klaviyo_sandbox.account.build import build
from klaviyo_sandbox.account.store import Relation, Store

# Rows; a larger account is hardly made twice, and its copy would only take memory.
_SMALL = 5_000
# What belongs to one store, or is code; all else is data.
_OWN = frozenset(("lock", "clock", "save", "page_renderer", "relations"))


def copied(seed: int, profiles: int, events: int, clock: Callable[[], float]) -> Store:
    """What ``account.build`` gives, sharing nothing that can be changed with any other account."""
    if profiles + events > _SMALL:
        return build(seed, profiles, events, clock)
    mould, relations = _mould(seed, profiles, events)
    store = Store(clock)
    vars(store).update(pickle.loads(mould))  # noqa: S301 - nobody else made it
    store.relations.update(relations)
    return store


@lru_cache(maxsize=16)
def _mould(seed: int, profiles: int, events: int) -> tuple[bytes, dict[tuple[str, str], Relation]]:
    """The data of an account, from which copies are made, and its relations."""
    made = build(seed, profiles, events, lambda: 0.0)
    data = {name: value for name, value in vars(made).items() if name not in _OWN}
    return pickle.dumps(data, pickle.HIGHEST_PROTOCOL), made.relations
