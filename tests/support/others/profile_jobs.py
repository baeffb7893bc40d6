"""Jobs that import or suppress profiles in bulk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from klaviyo_sandbox import RunningSandbox
from support.calls import Caller, import_job
from support.second_path import Key, Witness

IMPORTS = "profile-bulk-import-jobs"


def create_jobs(account: RunningSandbox) -> None:
    """Give an account jobs, which no seed makes: one fails at more than a page of rows, one at none."""
    ada, bea = {"email": "ada@example.com"}, {"external_id": "bea"}
    # Each of these rows names two people.
    two_people = [{**ada, **bea, "title": f"row {number}"} for number in range(130)]
    lists = list(account.store.lists.rows)[:2]
    wanted = [
        (IMPORTS, import_job([ada], lists)),
        (IMPORTS, import_job([bea])),
        (IMPORTS, import_job(two_people, lists[:1])),
    ]
    for verb in ("create", "delete"):
        kind = f"profile-suppression-bulk-{verb}-job"
        people = {"profiles": {"data": [{"type": "profile", "attributes": ada}]}}
        wanted += 2 * [(f"{kind}s", {"data": {"type": kind, "attributes": people}})]
    with contextlib.closing(Caller(account.url)) as caller:
        for path, body in wanted:
            answer = caller.post(path, body)
            assert answer.status_code == 202, answer.text


def _parts_of_imports(part: str) -> Callable[[Witness], Iterable[Key]]:
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
        lambda account: [(error_id,) for _, error_id in _parts_of_imports("import-errors")(account)],
    ),
    "profile_bulk_import_job_lists": (("profile_bulk_import_job_id", "list_id"), _parts_of_imports("lists")),
    "profile_bulk_import_job_profiles": (("profile_bulk_import_job_id", "profile_id"), _parts_of_imports("profiles")),
    "profile_suppression_jobs": (
        ("profile_suppression_job_id",),
        lambda account: [
            (row["id"],)
            for verb in ("create", "delete")
            for row in account.rows(f"profile-suppression-bulk-{verb}-jobs", sort="-created")
        ],
    ),
}
