"""Parts of a catalog, a hundred at a time: what is there is changed, what is not is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import quote

from klaviyo_client.api.filters import condition
from klaviyo_client.api.operations import operation
from klaviyo_client.errors import Refused
from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import split_by_size
from target_klaviyo.delivery.jobs import CATALOG_CHANGES, polling_calls
from target_klaviyo.delivery.parallel import map_parallel
from target_klaviyo.delivery.refusals import is_about_rows
from target_klaviyo.delivery.requests import single
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import bulk_jobs
from target_klaviyo.endpoints.bulk_jobs import BulkChange
from target_klaviyo.model.records import Call, Outcome, OutcomeKind, Record

# What a row's batch key may ask for.
DELETE = "delete"
_CREATE, _UPDATE = "create", "update"
# Bounds of a filter's list, and of the address that holds it: many servers take 8,000 bytes.
_MAX_VALUES, _MAX_URL_BYTES = 100, 6000
_THREADS = 4
_GONE = Outcome(
    OutcomeKind.DELIVERED,
    200,
    "not_found",
    None,
    "Klaviyo has nothing with this id: it was deleted before, or never existed",
)


@dataclass(frozen=True)
class Part:
    """A kind of things that a catalog is made of.

    Attributes:
        type: their JSON:API type.
        plural: what a job calls them.
        read: the operation that finds them by their ids.
        needed: the attributes without which none can be made.
        needed_relationship: the relationship without which none can be made, which no change takes.
    """

    type: str
    plural: str
    read: str
    needed: tuple[str, ...]
    needed_relationship: str | None = None

    def change(self, verb: str) -> BulkChange:
        """How they are made, changed or deleted."""
        to_resource: Mapping[str, Callable[[Record], Record]] = {
            _CREATE: _to_create,
            _UPDATE: partial(_to_update, self),
            DELETE: _to_delete,
        }
        name, job_type = f"bulk_{verb}_catalog_{self.plural}", f"{self.type}-bulk-{verb}-job"
        return BulkChange(name, job_type, self.plural, CATALOG_CHANGES[verb, self.plural], to_resource[verb])

    @property
    def calls(self) -> tuple[Call, ...]:
        """What is called beside the making of some."""
        deleting = self.change(DELETE)
        return (
            Call(self.read, "to know which there are"),
            Call(self.change(_UPDATE).operation, "to change those"),
            *polling_calls(self.change(_CREATE).kind),
            *polling_calls(self.change(_UPDATE).kind),
            Call(deleting.operation, "to delete them", option="allow_deletion"),
            *(replace(call, option="allow_deletion") for call in polling_calls(deleting.kind)),
        )


ITEMS = Part("catalog-item", "items", "get_catalog_items", ("title", "description", "url"))
VARIANTS = Part(
    *("catalog-variant", "variants", "get_catalog_variants"),
    ("title", "description", "sku", "inventory_quantity", "price", "url"),
    "item",
)
CATEGORIES = Part("catalog-category", "categories", "get_catalog_categories", ("name",))


def _to_create(payload: Record) -> Record:
    return {name: value for name, value in payload.items() if name != "id"}


def _to_update(part: Part, payload: Record) -> Record:
    attributes = {name: value for name, value in payload["attributes"].items() if name != "external_id"}
    related = payload.get("relationships", {})
    kept = {name: value for name, value in related.items() if name != part.needed_relationship}
    resource = {"type": payload["type"], "id": payload["id"], "attributes": attributes}
    return {**resource, "relationships": kept} if kept else resource


def _to_delete(payload: Record) -> Record:
    return {"type": payload["type"], "id": payload["id"]}


def deliver(part: Part, session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Make or change the rows' parts of the catalog, or delete them.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
        Incomplete: a job did not end in time.
    """
    for group in _distinct(rows):
        units = [single(row) for row in group]
        known = _find(session, part, [unit.payload["id"] for unit in units])
        deleted = [unit for unit in units if DELETE in unit.rows[0].batch_key]
        yield from ((unit, _GONE) for unit in deleted if unit.payload["id"] not in known)
        there = [unit for unit in deleted if unit.payload["id"] in known]
        yield from _settle_missing(session, part, bulk_jobs.send(session, part.change(DELETE), there))
        yield from _upsert(session, part, [unit for unit in units if unit not in deleted], known)


def _distinct(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows in groups in which each is about another; one group must be done before the next begins."""
    groups: list[list[Row]] = []
    times: dict[str, int] = {}
    for row in rows:
        index = times[row.payload["id"]] = times.get(row.payload["id"], -1) + 1
        if index == len(groups):
            groups.append([])
        groups[index].append(row)
    return groups


def _upsert(session: Session, part: Part, units: Sequence[Unit], known: set[str]) -> Iterator[UnitOutcome]:
    changed = [unit for unit in units if unit.payload["id"] in known]
    new = []
    for unit in (unit for unit in units if unit.payload["id"] not in known):
        if missing := _missing(part, unit.payload):
            reason = f"Klaviyo has nothing with this id, and to create it the record lacks {', '.join(missing)}"
            yield unit, Outcome(OutcomeKind.REJECTED, None, "invalid_field", "/", reason)
        else:
            new.append(unit)
    doubtful: list[UnitOutcome] = []
    for unit, outcome in bulk_jobs.send(session, part.change(_CREATE), new):
        if outcome.kind is OutcomeKind.DELIVERED:
            yield unit, outcome
        else:
            doubtful.append((unit, outcome))
    # Somebody may have made them meanwhile, perhaps we, and the answer was lost.
    found = _find(session, part, [unit.payload["id"] for unit, _ in doubtful])
    yield from ((unit, _rejection(outcome)) for unit, outcome in doubtful if unit.payload["id"] not in found)
    changed += [unit for unit, _ in doubtful if unit.payload["id"] in found]
    yield from bulk_jobs.send(session, part.change(_UPDATE), changed)


def _missing(part: Part, payload: Record) -> list[str]:
    missing = [name for name in part.needed if payload["attributes"].get(name) is None]
    if part.needed_relationship is not None and part.needed_relationship not in payload.get("relationships", {}):
        missing.append(f"{part.needed_relationship}_id")
    return missing


def _settle_missing(session: Session, part: Part, outcomes: Iterable[UnitOutcome]) -> Iterator[UnitOutcome]:
    """The outcomes of deletions: what is not there any more is deleted, whatever its job says."""
    doubtful: list[UnitOutcome] = []
    for unit, outcome in outcomes:
        if outcome.kind is OutcomeKind.DELIVERED:
            yield unit, outcome
        else:
            doubtful.append((unit, outcome))
    there = _find(session, part, [unit.payload["id"] for unit, _ in doubtful])
    yield from ((unit, _rejection(outcome) if unit.payload["id"] in there else _GONE) for unit, outcome in doubtful)


def _rejection(outcome: Outcome) -> Outcome:
    """The outcome of what a job did not do, also where the job does not say which it did not."""
    if outcome.kind is OutcomeKind.REJECTED:
        return outcome
    return replace(outcome, kind=OutcomeKind.REJECTED, reason="its job failed, and Klaviyo gave no reason")


def _find(session: Session, part: Part, ids: Sequence[str]) -> set[str]:
    """Those of these ids that the account has."""
    chunks = split_by_size(ids, _filter_size, max_count=_MAX_VALUES, max_bytes=_MAX_URL_BYTES)
    results = map_parallel(partial(_query, session, part), list(chunks), max_threads=_THREADS)
    return {found for result in results for found in result}


def _filter_size(text: str) -> tuple[int, int]:
    return 1, len(quote(f'"{text}",', safe=""))


def _query(session: Session, part: Part, ids: Sequence[str]) -> list[str]:
    """Those of these ids that the account has; none where Klaviyo does not look for them, and creating them tells."""
    query = {
        "filter": condition("any", "ids", ids),
        f"fields[{part.type}]": "external_id",
        "page[size]": str(operation(part.read).page_size),
    }
    try:
        pages = list(session.client.pages(part.read, query=query))
    except Refused as refused:
        if not is_about_rows(refused):
            raise
        return []
    return [entry["id"] for page in pages for entry in page.data]
