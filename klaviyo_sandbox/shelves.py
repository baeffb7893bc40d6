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

from klaviyo_sandbox import (
    shelf_account,
    shelf_catalog,
    shelf_content,
    shelf_coupons,
    shelf_forms,
    shelf_metrics,
    shelf_objects,
    shelf_people,
)
from klaviyo_sandbox.account.relations import Related
from klaviyo_sandbox.account.store import Store, Table
from klaviyo_sandbox.read import Read


class Shelf(Protocol):
    """A module that is a shelf."""

    READS: Mapping[str, Read]
    RELATIONS: Mapping[tuple[str, str], Related]

    def rows(
        self, store: Store, numbers: Callable[[str], Random], start: datetime, end: datetime
    ) -> Mapping[str, Table]: ...


SHELVES: tuple[Shelf, ...] = (
    shelf_metrics,
    shelf_catalog,
    shelf_coupons,
    shelf_content,
    shelf_forms,
    shelf_account,
    shelf_people,
    shelf_objects,
)
