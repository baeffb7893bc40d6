"""A cache of small seeded accounts: each is built once in a process, and a copy costs a sixth of building it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import lru_cache

from klaviyo_sandbox.account.build import build
from klaviyo_sandbox.account.seeded.attributions import WINDOWS
from klaviyo_sandbox.account.store import Relation, Store

# Rows of the largest account that is copied: a larger one is hardly built twice, and its copy would only take memory.
_MAX_ROWS = 5_000
# Attributes of a store that belong to that store alone, or are code; all others are data.
_NOT_COPIED = frozenset(("lock", "clock", "save", "page_renderer", "relations"))


def build_cached(
    seed: int, profiles: int, events: int, clock: Callable[[], float], attribution: str = WINDOWS
) -> Store:
    """The same as ``build.build``; the account shares nothing that can be changed with any other account."""
    if profiles + events > _MAX_ROWS:
        return build(seed, profiles, events, clock, attribution)
    pickled, relations = _pickle_account(seed, profiles, events, attribution)
    store = Store(clock)
    vars(store).update(pickle.loads(pickled))  # noqa: S301 - nobody else made it
    store.relations.update(relations)
    return store


@lru_cache(maxsize=16)
def _pickle_account(
    seed: int, profiles: int, events: int, attribution: str
) -> tuple[bytes, dict[tuple[str, str], Relation]]:
    """The data of an account, from which copies are made, and its relations."""
    store = build(seed, profiles, events, lambda: 0.0, attribution)
    data = {name: value for name, value in vars(store).items() if name not in _NOT_COPIED}
    return pickle.dumps(data, pickle.HIGHEST_PROTOCOL), store.relations
