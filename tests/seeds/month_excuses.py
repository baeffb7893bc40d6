"""Which rows of a warehouse may differ from a whole read, and why; docs/reference/tables says it of each table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from meaning import as_account_has_it
from month_shop import Shop
from support.warehouse import Row

from klaviyo_sandbox.account.relations import find_row
from klaviyo_sandbox.account.store import Store
from tap_klaviyo.rows import schema_files

_PAGES = (Path(__file__).parents[2] / "docs" / "reference" / "tables").glob("*.md")
_SECTIONS = [section for page in _PAGES for section in page.read_text().split("\n## ")[1:]]
# Table -> what docs/reference/tables says of it.
DOCS = {section.partition("\n")[0].strip(): section for section in _SECTIONS}
AS_LAST_READ = "As last read: "


@dataclass(frozen=True)
class Excuse:
    """Why some rows may differ from a whole read.

    Attributes:
        note: what docs/reference/tables says of it, beside the table.
        holds: whether it holds for a row: the shop, the row after daily runs, and the row of the whole read, either of
            which may be missing.
    """

    note: str
    holds: Callable[[Shop, Row | None, Row | None], bool]


IsGone = Callable[[Store, Row], bool]


def _stays(note: str, is_gone: IsGone) -> Excuse:
    """A row stays as it was read although what it tells of is gone from the account."""
    return Excuse(note, lambda shop, daily, _: daily is not None and is_gone(shop.store, daily))


def _as_last_read(table: str) -> Excuse:
    """What a row repeats of somebody or something else may have changed since; the docs list these columns."""
    columns = _columns_as_last_read(table)
    return Excuse(AS_LAST_READ, lambda _, daily, whole: _differ_in(daily, whole, columns))


def _of_merged(note: str, table: str) -> Excuse:
    """An event keeps the id of a profile that was merged, where the whole read names the other one."""
    ids = _columns_of(table, "/relationships/profile/data/id")
    columns = _columns_as_last_read(table) | ids

    def holds(_: Shop, daily: Row | None, whole: Row | None) -> bool:
        return _differ_in(daily, whole, columns) and any((daily or {})[name] != (whole or {})[name] for name in ids)

    return Excuse(note, holds)


def _merged_later(note: str, table: str, person: str) -> Excuse:
    """A member by a merge keeps the other's time, which a run has passed already; also one who had left before."""
    columns = _columns_as_last_read(table) | _columns_of(table, "/attributes/joined_group_at")

    def holds(shop: Shop, daily: Row | None, whole: Row | None) -> bool:
        is_merged = whole is not None and whole[person] in shop.merged_into
        return is_merged and (daily is None or _differ_in(daily, whole, columns))

    return Excuse(note, holds)


def _columns_as_last_read(table: str) -> set[str]:
    """The columns of which the docs say, in the table's own list, that they stay as they were when the row came."""
    lines = DOCS.get(table, "").splitlines()
    return {name for line in lines if line.startswith(f"- {AS_LAST_READ}") for name in re.findall(r"`(\w+)`", line)}


def _columns_of(table: str, path: str) -> set[str]:
    """The columns that are made of paths that begin so, hashed or not."""
    columns = schema_files.load(table)["properties"].items()
    return {
        name
        for name, column in columns
        if any(
            found.startswith(path) for found in (column.get("x-klaviyo-path") or "", *column.get("x-klaviyo-md5", ()))
        )
    }


def _differ_in(row: Row | None, other: Row | None, columns: set[str]) -> bool:
    """Whether there are two rows, which differ in these columns only."""
    return row is not None and other is not None and different_columns(row, other) <= columns


def _is_no(kind: str, column: str) -> IsGone:
    return lambda store, row: find_row(store, kind, row[column]) is None


def _lost_tag(kind: str, column: str) -> IsGone:
    def is_gone(store: Store, row: Row) -> bool:
        owner = find_row(store, kind, row[column])
        return owner is None or row["tag_id"] not in owner["tag_ids"] or row["tag_id"] not in store.tags

    return is_gone


def _left(groups: str, group: str, person: str) -> IsGone:
    def is_gone(store: Store, row: Row) -> bool:
        members = getattr(store, f"{groups}_members")[row[group]].rows
        return row[group] not in getattr(store, f"{groups}s") or row[person] not in members

    return is_gone


def _lifted(entries: str, person: str) -> IsGone:
    def is_gone(store: Store, row: Row) -> bool:
        profile = store.profiles.get(row[person])
        when = as_account_has_it("timestamp", row.get("timestamp", row.get("created_at")))
        return profile is None or not any(
            entry["reason"] == row["reason"]
            and entry.get("list_id") == row.get("list_id")
            and as_account_has_it("timestamp", entry["timestamp"]) == when
            for entry in profile["subscriptions"]["email"]["marketing"][entries]
        )

    return is_gone


def _lost_audience(side: str) -> IsGone:
    def is_gone(store: Store, row: Row) -> bool:
        campaign = store.campaigns.get(row["campaign_id"])
        audience = row["audience_id"] if "audience_id" in row else row["list_id"]
        return campaign is None or audience not in (campaign["audiences"].get(side) or ())

    return is_gone


def _lost_property(store: Store, row: Row) -> bool:
    profile = store.profiles.get(row["id"])
    return profile is None or row["name"] not in profile["properties"]


def _is_no_campaign_and_no_message(store: Store, row: Row) -> bool:
    return row["id"] not in store.campaigns and find_row(store, "flow-message", row["id"]) is None


_TAG = "A tag taken off stays."
_WHO_LEFT = "Who left stays as last read"
_FLOW = "What is deleted stays as it was last read, so that old events still find it."
_WHO = "A deleted or merged profile stays as it was last read."
_AUDIENCE = "An audience taken off a campaign stays."
_MERGED = "It also brings members by a merge of profiles whose time is older than what was read."
_KEPT_ID = "Those of a merged profile keep its id."
_STAYING: Mapping[str, Excuse] = {
    "profiles": _stays(_WHO, _is_no("profile", "profile_id")),
    "profile_email_suppressions": _stays("A lifted suppression stays", _lifted("suppression", "profile_id")),
    "profile_email_list_suppressions": _stays(
        "A lifted suppression stays.", _lifted("list_suppressions", "profile_id")
    ),
    "lists": _stays("A deleted list stays as it was last read.", _is_no("list", "list_id")),
    "list_tags": _stays(_TAG, _lost_tag("list", "list_id")),
    "list_profiles": _stays(_WHO_LEFT, _left("list", "list_id", "profile_id")),
    "stg_member_lists": _stays(_WHO_LEFT, _left("list", "list_id", "member_id")),
    "member_lists": _stays(_WHO_LEFT, _left("list", "list_id", "member_id")),
    "segments": _stays("A deleted segment stays as it was last read.", _is_no("segment", "segment_id")),
    "segment_tags": _stays(_TAG, _lost_tag("segment", "segment_id")),
    "segment_profiles": _stays(_WHO_LEFT, _left("segment", "segment_id", "profile_id")),
    "tags": _stays("A deleted tag stays as it was last read.", _is_no("tag", "tag_id")),
    "campaigns": _stays("A deleted campaign stays as it was last read", _is_no("campaign", "campaign_id")),
    "campaign_audiences_included": _stays(_AUDIENCE, _lost_audience("included")),
    "campaign_audiences_excluded": _stays(_AUDIENCE, _lost_audience("excluded")),
    "campaign_messages": _stays(
        "A message taken out of a campaign stays as it was last read.",
        _is_no("campaign-message", "campaign_message_id"),
    ),
    "campaign_message_send_times": _stays(
        "of a list that got shorter, the rest stays.", _is_no("campaign-message", "campaign_message_id")
    ),
    "campaign_tags": _stays(_TAG, _lost_tag("campaign", "campaign_id")),
    "flows": _stays(_FLOW, _is_no("flow", "flow_id")),
    "flow_actions": _stays(_FLOW, _is_no("flow-action", "flow_action_id")),
    "flow_action_messages": _stays(_FLOW, _is_no("flow-message", "flow_action_message_id")),
    "esp_campaigns": _stays("What is deleted stays as it was last read.", _is_no_campaign_and_no_message),
    "esp_automations": _stays(_FLOW, _is_no("flow", "id")),
    "esp_lists": _stays(
        "What is deleted stays as it was last read.",
        lambda store, row: row["id"] not in store.lists and row["id"] not in store.segments,
    ),
    "esp_campaign_lists": _stays(_AUDIENCE, _lost_audience("included")),
    "esp_members": _stays(_WHO, _is_no("profile", "id")),
    "esp_member_attributes": _stays("A property that was taken off stays.", _lost_property),
    "esp_member_exclusions": _stays("A lifted suppression stays.", _lifted("suppression", "member_id")),
    "esp_stg_member_lists": _stays(_WHO_LEFT, _left("list", "list_id", "member_id")),
    "esp_member_lists": _stays(_WHO_LEFT, _left("list", "list_id", "member_id")),
}


# Table -> why some of its rows may differ from a whole read. Each excuse must be needed.
EXCUSES: dict[str, list[Excuse]] = {table: [excuse] for table, excuse in _STAYING.items()}
for _table, _person in (
    ("list_profiles", "profile_id"),
    ("segment_profiles", "profile_id"),
    ("stg_member_lists", "member_id"),
    ("esp_stg_member_lists", "member_id"),
):
    EXCUSES[_table].append(_merged_later(_MERGED, _table, _person))
for _table in ("list_profiles", "segment_profiles"):
    EXCUSES[_table].append(_as_last_read(_table))
for _name in ("sends", "bounces", "opens", "clicks", "spams", "unsubscribes", "events"):
    EXCUSES[f"esp_{_name}"] = []
for _table in ("events", *(name for name, excuses in EXCUSES.items() if not excuses)):
    EXCUSES[_table] = [_as_last_read(_table), _of_merged(_KEPT_ID, _table)]


def different_columns(row: Row, wanted: Row) -> set[str]:
    """The columns in which a row is not as wanted."""
    return {name for name in wanted if row[name] != wanted[name]}
