"""Works out what an account holds of the tables that are not read by default, as ``second_path`` does: by plain HTTP.

Each module has ``TRUTHS``: table -> (its key, what makes the keys that it must hold of a witness).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from support.others import account, campaigns, catalog, content, coupons, metrics, objects, people, profile_jobs
from support.second_path import Key, Witness

Truth = tuple[tuple[str, ...], Callable[[Witness], Iterable[Key]]]

OTHERS: dict[str, Truth] = {
    name: truth
    for family in (campaigns, metrics, catalog, coupons, profile_jobs, content, account, people, objects)
    for name, truth in family.TRUTHS.items()
}
