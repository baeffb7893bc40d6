"""Which suppressions become rows."""

from __future__ import annotations

import itertools
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.projection import Projection
from tap_klaviyo.tables import STREAMS
from tap_klaviyo.tables.profiles import LIST_SUPPRESSED_PROFILES, PROFILES

AT_FIVE = "2026-03-01T05:00:00+00:00"
TIMES = (
    None,
    "at some time",
    "2026-03-01T12:00:00+09:00",
    "2026-03-01 04:00:00.5Z",
    "2026-03-01T04:30:00+00:00",
    "2026-03-01T03:00:00-02:00",
)


PARENT = {"parent": {"id": "L"}}


def test_of_two_suppressions_of_one_list_the_newest_is_kept() -> None:
    """In whatever order, form and zone they come; one that has no time is older than those that have one."""
    of_profiles, of_lists = (
        Projection(table, schema_files.load(table.name), ("profile_id", "list_id", "reason", "timestamp"))
        for collection in (PROFILES, LIST_SUPPRESSED_PROFILES)
        for table in STREAMS["profile_email_list_suppressions"]
        if table.collection == collection
    )
    # The times above ascend, but for the two that are none.
    as_read = (None, None, "2026-03-01T03:00:00+00:00", "2026-03-01T04:00:00.500000+00:00", TIMES[4], AT_FIVE)
    for order in itertools.permutations(range(len(TIMES)), 3):
        page = Page([suppressed(*(TIMES[place] for place in order))])
        rows = {row["list_id"]: row["timestamp"] for row in of_profiles.rows(page.data, page)}
        assert rows == {"L": as_read[max(order)], "M": AT_FIVE}
        (row,) = of_lists.rows(page.data, page, PARENT)
        assert (row["list_id"], row["timestamp"]) == ("L", as_read[max(order)])


def suppressed(*times: str | None) -> dict[str, Any]:
    """A profile that list L was suppressed for at these times, with another list and nonsense between."""
    entries = [{"list_id": "L", "reason": "UNSUBSCRIBE", "timestamp": time} for time in times]
    other = {"list_id": "M", "reason": "UNSUBSCRIBE", "timestamp": TIMES[5]}
    marketing = {"list_suppressions": [entries[0], "nonsense", other, *entries[1:], None]}
    return {"id": "P", "attributes": {"subscriptions": {"email": {"marketing": marketing}}}}


def test_who_left_a_list_has_a_row_of_what_its_suppressions_say() -> None:
    """Whatever else stands among them; who is suppressed on other lists only has none."""
    nothing: list[Any] = [None, "nonsense", {}, {"list_id": None, "timestamp": AT_FIVE}]
    for name in ("member_lists", "esp_member_lists"):
        table = next(entry for entry in STREAMS[name] if entry.collection == LIST_SUPPRESSED_PROFILES)
        columns = ("list_id", "member_id", "subscribed_at", "subscribed", "unsubscribed_at")
        projection = Projection(table, schema_files.load(name), columns)
        for times, ended in (((None,), None), (("?", AT_FIVE, TIMES[4]), AT_FIVE), (("2026-03-01 04:30",), TIMES[4])):
            resource = suppressed(*times)
            resource["attributes"]["subscriptions"]["email"]["marketing"]["list_suppressions"] += nothing
            (row,) = projection.rows([resource], Page([resource]), PARENT)
            assert tuple(row.values()) == ("L", "P", None, False, ended)
        for entries in (None, [], nothing, "L", [{"list_id": "M", "timestamp": AT_FIVE}]):
            marketing = {"list_suppressions": entries}
            resource = {"id": "P", "attributes": {"subscriptions": {"email": {"marketing": marketing}}}}
            assert projection.rows([resource], Page([resource]), PARENT) == []
