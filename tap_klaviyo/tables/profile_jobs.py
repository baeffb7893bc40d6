"""Tables of bulk jobs on profiles: imports and suppressions, whoever asked for them."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table
from tap_klaviyo.tables.bulk_jobs import JOB, JOB_DELETION_NOTE

IMPORTS = Collection(
    "profile_bulk_import_jobs", "get_bulk_import_profiles_jobs", "profile-bulk-import-job", keep_deleted=True
)
IMPORT_ERRORS = Collection(
    "profile_bulk_import_job_errors",
    "get_errors_for_bulk_import_profiles_job",
    "import-error",
    parent=IMPORTS.name,
    keep_deleted=True,
)
IMPORT_LISTS = Collection(
    "profile_bulk_import_job_lists",
    "get_list_ids_for_bulk_import_profiles_job",
    "list",
    parent=IMPORTS.name,
    keep_deleted=True,
)
IMPORT_PROFILES = Collection(
    "profile_bulk_import_job_profiles",
    "get_profile_ids_for_bulk_import_profiles_job",
    "profile",
    parent=IMPORTS.name,
    keep_deleted=True,
)
# Operation -> type of the jobs that it lists.
_SUPPRESSIONS = {
    "get_bulk_suppress_profiles_jobs": "profile-suppression-bulk-create-job",
    "get_bulk_unsuppress_profiles_jobs": "profile-suppression-bulk-delete-job",
}
SUPPRESSIONS = tuple(
    Collection(f"{resource.replace('-', '_')}s", operation_id, resource, keep_deleted=True)
    for operation_id, resource in _SUPPRESSIONS.items()
)

TABLES = (
    Table(
        "profile_bulk_import_jobs",
        IMPORTS,
        key=("profile_bulk_import_job_id",),
        deletion_note=JOB_DELETION_NOTE,
    ),
    Table(
        "profile_bulk_import_job_errors",
        IMPORT_ERRORS,
        key=("import_error_id",),
        deletion_note=JOB_DELETION_NOTE,
    ),
    Table(
        "profile_bulk_import_job_lists",
        IMPORT_LISTS,
        key=("profile_bulk_import_job_id", "list_id"),
        deletion_note=JOB_DELETION_NOTE,
    ),
    Table(
        "profile_bulk_import_job_profiles",
        IMPORT_PROFILES,
        key=("profile_bulk_import_job_id", "profile_id"),
        deletion_note=JOB_DELETION_NOTE,
    ),
    *(
        Table(
            "profile_suppression_jobs",
            collection,
            key=("profile_suppression_job_id",),
            roots=(JOB,),
            deletion_note=JOB_DELETION_NOTE,
        )
        for collection in SUPPRESSIONS
    ),
)
