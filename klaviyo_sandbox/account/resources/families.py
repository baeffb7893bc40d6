"""Families of resources that an account has beside its people, one module each: most are only read.

A family has ``READS`` (operation -> ``ReadOperation``), ``RELATIONS`` ((type, relationship) -> identities) and
``rows(store, rng_for, start, end)``, which gives type -> ``Table`` of what the account has from the beginning;
``rng_for`` gives each part random numbers of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from typing import Protocol

from klaviyo_sandbox.account.resources import (
    account,
    brands,
    catalog,
    content,
    coupons,
    forms,
    metrics,
    objects,
    omni_campaigns,
    people,
    translations,
)
from klaviyo_sandbox.account.resources.read_operation import ReadOperation
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table


class ResourceFamily(Protocol):
    """A module that is a family of resources."""

    READS: Mapping[str, ReadOperation]
    RELATIONS: Mapping[tuple[str, str], Relation]

    def rows(
        self, store: Store, rng_for: Callable[[str], Random], start: datetime, end: datetime
    ) -> Mapping[str, Table]: ...


FAMILIES: tuple[ResourceFamily, ...] = (
    metrics,
    catalog,
    coupons,
    content,
    forms,
    account,
    people,
    objects,
    omni_campaigns,
    brands,
    translations,
)


def fill_resources(store: Store, rng_for: Callable[[str], Random], start: datetime, end: datetime) -> None:
    """Fill in the resources of all families; some belong to profiles and events, so these come first."""
    for family in FAMILIES:
        store.relations.update(family.RELATIONS)
        store.resources.update(family.rows(store, rng_for, start, end))
