"""Sign-up forms and their versions. One form has no version yet."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.relations import referenced_by, references, related_identities
from klaviyo_sandbox.account.resources.read_operation import ReadOperation, all_rows, related_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import random_time
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime


def _with_definition(store: Store, row: Row) -> Row:
    """A form with its definition, which only the read of one form shows: one empty step for each version."""
    ids = [version_id for _, version_id in related_identities(store, "form", row, "form-versions")]
    versions: list[dict[str, Any]] = [{"id": int(version_id), "steps": [{"columns": []}]} for version_id in ids]
    return {**row, "definition": {"versions": versions}}


READS: Mapping[str, ReadOperation] = {
    "get_forms": ReadOperation("form", all_rows("form")),
    "get_form": ReadOperation("form", view=_with_definition),
    "get_versions_for_form": ReadOperation("form-version", related_rows("form", "form-versions")),
    "get_version_ids_for_form": ReadOperation("form-version", related_rows("form", "form-versions")),
    "get_form_version": ReadOperation("form-version"),
    "get_form_for_form_version": ReadOperation("form", related_rows("form-version", "form"), to_one=True),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    ("form", "form-versions"): referenced_by("form-version", "form_id"),
    ("form-version", "form"): references("form", "form_id"),
}
# (name, number of versions)
_FORMS = (
    ("Newsletter pop-up", 3),
    ("Fußzeile", 1),
    ("10 % sur la première commande", 2),
    ("Back in stock", 1),
    ("Black Friday banner", 4),
    ("Not begun", 0),
)
_TYPES = ("popup", "embed", "full_page", "flyout", "banner")


def rows(_: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """Forms with none to four versions; those with several have an A/B test."""
    rng = rng_for("forms")
    forms: list[Row] = []
    versions: list[Row] = []
    for name, count in _FORMS:
        created = random_time(rng, start, end)
        form = {
            "id": short_id(rng),
            "name": name,
            "status": rng.choice(("live", "live", "draft")) if count else "draft",
            "ab_test": count > 1,
            "created_at": format_datetime(created),
            "updated_at": format_datetime(random_time(rng, created, end)),
        }
        forms.append(form)
        versions += [_version(rng, form, number, created, end) for number in range(count)]
    return {"form": Table(forms), "form-version": Table(versions)}


def _version(rng: random.Random, form: Row, number: int, created: datetime, end: datetime) -> Row:
    version_created = random_time(rng, created, end)
    return {
        "id": str(rng.randrange(10**6, 10**7)),
        "form_id": form["id"],
        "form_type": rng.choice(_TYPES),
        "variation_name": f"{form['name']} {number + 1}",
        "ab_test": {"variation_name": f"Variation {'ABCD'[number]}"} if form["ab_test"] else None,
        "status": "live" if form["status"] == "live" and number == 0 else "draft",
        "created_at": format_datetime(version_created),
        "updated_at": format_datetime(random_time(rng, version_created, end)),
    }
