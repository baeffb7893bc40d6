"""An Airflow DAG that loads every account of ``accounts.yml`` at the same time, one task and one process for each."""

from datetime import UTC, datetime, timedelta

import accounts
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException


@dag(schedule="15 2 * * *", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, max_active_runs=1)
def load_accounts() -> None:
    """Load all accounts. One that fails stops no other one."""

    @task
    def every_account() -> list[str]:
        """The accounts, as the file is when the run begins."""
        return accounts.names()

    # As many at once as the machine has room for: a run needs about 250 MB, and a core while it reads events.
    @task(max_active_tis_per_dag=4, retries=2, retry_delay=timedelta(minutes=5), map_index_template="{{ name }}")
    def load(name: str) -> None:
        """Load one account. What failed is tried again from its STATE, unless somebody must change a setting first."""
        try:
            accounts.load(name)
        except accounts.Misconfigured as error:
            raise AirflowFailException(str(error)) from error

    load.expand(name=every_account())


load_accounts()
