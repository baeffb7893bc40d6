"""What an account has that nobody writes through its API: one module a family, each with its rows, reads and relations.

A shelf has ``READS`` (operation -> ``Read``), ``RELATIONS`` ((type, relationship) -> identities) and ``rows(store,
numbers, start, end)``, which makes type -> ``Table`` of what the account already holds; ``numbers`` gives each part
its own random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from typing import Protocol

from klaviyo_sandbox.account.resources import account, catalog, content, coupons, forms, metrics, objects, people
from klaviyo_sandbox.account.resources.read import Read
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table


class Shelf(Protocol):
    """A module that is a shelf."""

    READS: Mapping[str, Read]
    RELATIONS: Mapping[tuple[str, str], Relation]

    def rows(
        self, store: Store, numbers: Callable[[str], Random], start: datetime, end: datetime
    ) -> Mapping[str, Table]: ...


SHELVES: tuple[Shelf, ...] = (
    metrics,
    catalog,
    coupons,
    content,
    forms,
    account,
    people,
    objects,
)
