"""``--test``: finds out what the key may read of what is selected, then reads a row of each stream."""

from __future__ import annotations

from klaviyo_client import permissions
from tap_klaviyo.streams.permissions import queries, report_requirements, table_requirements
from tap_klaviyo.streams.run import RunTap
from tap_klaviyo.tables import COLLECTIONS


def run_connection_test(tap: RunTap) -> None:
    """Log for each selected stream whether the key may read it, then read a row of each. No message is written.

    Raises:
        MissingScopes: the key may not read all of it; nothing is read then.
    """
    for stream in tap.streams.values():
        # As the SDK does it afterwards: what is requested before must be a sample, too.
        stream.ABORT_AT_RECORD_COUNT = 1
    _check_permissions(tap)
    tap.writer.is_muted = True
    tap.run_sync_dry_run(streams=[stream for stream in tap.streams.values() if stream.selected])
    if any(stream.selected for stream in tap.streams.values()):
        tap.logger.info("the key can read everything that is selected")
    else:
        tap.logger.warning("nothing is selected, so nothing was tested: select streams in the catalog")


def _check_permissions(tap: RunTap) -> None:
    client, selection, now = tap.account.client, tap.account.selection, tap.account.now
    probe = permissions.for_client(client, permissions.probe_request(client, queries(selection, COLLECTIONS, now)))
    requirements = [*table_requirements(selection, COLLECTIONS), *report_requirements(tap.selected_reports)]
    results = permissions.check_requirements(probe, requirements)
    required = [result.requirement.name for result in results if result.enabled or result.scopes]
    permissions.log_permissions(results, tap.logger, required=required)
