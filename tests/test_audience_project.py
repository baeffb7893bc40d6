"""The example project: audiences through SQL alone, from a real PostgreSQL to the account."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.demo import load
from support.environments import provide_plugins

from klaviyo_sandbox.server import RunningSandbox

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "examples" / "audience"


@pytest.fixture
def demo() -> Any:
    """The demo as a module: its Meltano and its PostgreSQL serve here, too."""
    return load()


@pytest.fixture
def account(make_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_sandbox(profiles=5, events=0, limits=False, job_seconds=0.05)


@pytest.fixture
def shop(database: str) -> Iterator[psycopg.Connection]:
    """A database with the example's tables and views."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute((PROJECT / "audiences.sql").read_text())
        yield connection


@pytest.fixture
def meltano(demo: Any, account: RunningSandbox, shop: psycopg.Connection, database: str, tmp_path: Path) -> Any:
    """Meltano in a copy of the project, in which the checkout is where it is."""
    project = tmp_path / "audience"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns(".meltano", "output"))
    file = project / "meltano.yml"
    file.write_text(file.read_text().replace("${MELTANO_PROJECT_ROOT}/../..", str(ROOT)))
    demo.WORK, demo.ROOT = tmp_path, tmp_path
    runner = demo.Meltano(account.url, database)
    runner.environment["MELTANO_PROJECT_ROOT"] = str(project)
    runner.environment["MELTANO_ENVIRONMENT"] = "production"
    provide_plugins(project / ".meltano", file.read_text(), "tap-postgres", "target-klaviyo")
    return runner


def on_list(account: RunningSandbox, name: str) -> set[str]:
    store = account.store
    (list_id,) = [row["id"] for row in store.lists.rows.values() if row["name"] == name]
    return {str(store.profiles.rows[member]["external_id"]) for member in store.list_members[list_id].rows}


def settle(account: RunningSandbox) -> None:
    """Time goes by: who joined in the last seconds before a run is nobody's to remove."""
    for members in account.store.list_members.values():
        for row in list(members.rows.values()):
            members.put({**row, "joined_group_at": "2026-01-01T00:00:00+00:00"})


@pytest.mark.exhaustive
def test_two_lists_follow_two_views_and_a_cap_stops_them(
    demo: Any, account: RunningSandbox, shop: psycopg.Connection, meltano: Any
) -> None:
    """The README's promises: everybody, who leaves, a view that went wrong or was meant, and a new view."""
    columns = "customer_number, email, first_name, orders, last_order_on"
    with shop.cursor() as cursor:
        cursor.executemany(
            f"insert into shop.customers ({columns}) values (%s, %s, 'Ada', %s, %s)",
            [(f"c{n}", f"c{n}@example.com", 3 + n % 3, "2020-01-01" if n % 2 else "2999-01-01") for n in range(40)],
        )
    meltano.run("run", "push-audiences", log="first.log")
    everybody = {f"c{n}" for n in range(40)}
    assert on_list(account, "Loyal customers") == everybody
    assert on_list(account, "Sleeping customers") == {f"c{n}" for n in range(1, 40, 2)}
    ada = next(row for row in account.store.profiles.rows.values() if row.get("external_id") == "c1")
    assert ada["properties"]["loyal_orders"] == 4
    settle(account)
    shop.execute("update shop.customers set orders = 0 where customer_number in ('c0', 'c1', 'c2')")
    meltano.run("run", "push-audiences", log="second.log")
    assert on_list(account, "Loyal customers") == everybody - {"c0", "c1", "c2"}
    assert "c1" in on_list(account, "Sleeping customers")
    settle(account)
    shop.execute("update shop.customers set orders = 0 where customer_number <> 'c9'")
    with pytest.raises(demo.Stopped, match="max_removals allows"):
        meltano.run("run", "push-audiences", log="third.log")
    assert on_list(account, "Loyal customers") == everybody - {"c0", "c1", "c2"}

    shop.execute("create view audience.helper as select email from shop.customers")
    with pytest.raises(demo.Stopped, match="nothing says what to do with the stream audience-helper"):
        meltano.run("run", "push-audiences", log="fourth.log")
    shop.execute("drop view audience.helper")

    (larger,) = re.findall(
        r"`TARGET_KLAVIYO_STREAMS='(.+)' meltano run push-audiences`", (PROJECT / "README.md").read_text()
    )
    meltano.environment["TARGET_KLAVIYO_STREAMS"] = larger
    meltano.run("run", "push-audiences", log="fifth.log")
    assert on_list(account, "Loyal customers") == {"c9"}
