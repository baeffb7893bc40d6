"""A Dagster job that loads every account of ``accounts.yml`` at the same time, one op and one process for each."""

from collections.abc import Iterator

import accounts
import dagster


@dagster.op(out=dagster.DynamicOut(str))
def every_account() -> Iterator[dagster.DynamicOutput[str]]:
    """One output for each account, as the file is when the run begins."""
    for name in accounts.names():
        yield dagster.DynamicOutput(name, mapping_key=name)


@dagster.op(retry_policy=dagster.RetryPolicy(max_retries=2, delay=300))
def load(name: str) -> None:
    """Load one account. What failed is tried again from its STATE, unless somebody must change a setting first."""
    try:
        accounts.load(name)
    except accounts.Misconfigured as error:
        raise dagster.Failure(str(error), allow_retries=False) from error


# As many at once as the machine has room for: a run needs about 250 MB, and a core while it reads events.
@dagster.job(executor_def=dagster.multiprocess_executor.configured({"max_concurrent": 4}))
def load_accounts() -> None:
    """Load all accounts. One that fails stops no other one."""
    every_account().map(load)


nightly = dagster.ScheduleDefinition(job=load_accounts, cron_schedule="15 2 * * *")

definitions = dagster.Definitions(jobs=[load_accounts], schedules=[nightly])
