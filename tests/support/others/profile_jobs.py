"""Imports and suppressions of profiles in bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from support.second_path import Key, Witness

IMPORTS = "profile-bulk-import-jobs"


def _below(part: str) -> Callable[[Witness], Iterable[Key]]:
    """Whole resources, where the tap asks for identities only."""
    return lambda account: [
        (job["id"], row["id"]) for job in account.rows(IMPORTS) for row in account.rows(f"{IMPORTS}/{job['id']}/{part}")
    ]


TRUTHS = {
    "profile_bulk_import_jobs": (
        ("profile_bulk_import_job_id",),
        lambda account: [(row["id"],) for row in account.rows(IMPORTS, sort="-created_at", page__size=2)],
    ),
    "profile_bulk_import_job_errors": (
        ("import_error_id",),
        lambda account: [(error_id,) for _, error_id in _below("import-errors")(account)],
    ),
    "profile_bulk_import_job_lists": (("profile_bulk_import_job_id", "list_id"), _below("lists")),
    "profile_bulk_import_job_profiles": (("profile_bulk_import_job_id", "profile_id"), _below("profiles")),
    "profile_suppression_jobs": (
        ("profile_suppression_job_id",),
        lambda account: [
            (row["id"],)
            for verb in ("create", "delete")
            for row in account.rows(f"profile-suppression-bulk-{verb}-jobs", sort="-created")
        ],
    ),
}
