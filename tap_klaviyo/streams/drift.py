"""``--drift``: reads one page of each selected collection, and says how it differs from what the columns read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from klaviyo_client import permissions
from klaviyo_client.api.operations import operation
from klaviyo_client.errors import Incomplete, KlaviyoError, NotAllowed, NotEnabled, Refused, Unavailable
from tap_klaviyo.model import Collection, SelectedTable
from tap_klaviyo.reading import drift
from tap_klaviyo.reading.drift import Drift
from tap_klaviyo.reading.samples import Samples
from tap_klaviyo.reading.selection import ACCOUNT_COLLECTION
from tap_klaviyo.reports.declaration import Report
from tap_klaviyo.reports.session import ReportRefused
from tap_klaviyo.reports.windows import plan_total, plan_windows
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.roots import ACCOUNT, EXTRACTED, INTEGRATION, PARENT, PASS
from tap_klaviyo.streams.run import RunTap
from tap_klaviyo.tables import COLLECTIONS, GAP_TABLES, TABLES

HEADING = "Names only, no values: one page of each selected collection, as Klaviyo gives it without sparse fields."


class DriftCheck:
    """Reads and compares; made once for a run.

    Args:
        tap: the run, with its settings and what is selected.
    """

    def __init__(self, tap: RunTap) -> None:
        self._tap = tap
        self._drift = Drift()
        self._not_read: dict[str, str] = {}
        self._reports: dict[str, tuple[int, list[str]]] = {}
        account = tap.account
        self._samples = Samples(account.client, account.selection, COLLECTIONS, account.now)
        self._selected = [entry for entry in account.selection.tables if entry.table.gap is None]

    def read(self) -> None:
        """Read a page of all that is selected.

        Raises:
            KlaviyoError: nothing else can be read either: the key is wrong, say, or Klaviyo cannot be reached.
        """
        tables = (*TABLES, *GAP_TABLES)
        schemas = {table.name: schema_files.load(table.name) for table in tables}
        read = drift.attributes_read(tables, schemas, COLLECTIONS)
        for collection in {entry.table.collection.name: entry.table.collection for entry in self._selected}.values():
            entries = [entry for entry in self._selected if entry.table.collection == collection]
            names = [entry.table.name for entry in entries]
            if self._is_done(names, lambda: self._compare(collection, entries, read), collection):  # noqa: B023
                self._tap.failures.add_success()
        for report in self._tap.selected_reports:
            self._is_done([report.name], lambda: self._read_report(report))  # noqa: B023

    def _is_done(self, names: Sequence[str], do: Callable[[], None], collection: Collection | None = None) -> bool:
        """Do it; whether it could be done. Why not is noted, and logged as in other runs."""
        try:
            do()
        except (Refused, Unavailable, ReportRefused) as error:
            if collection is not None and collection.supplements is not None:
                names = [f"{name}, what {collection.name} adds to it" for name in names]
            else:
                self._tap.leave_out(names, error)
            self._not_read.update(dict.fromkeys(names, _reason(error)))
            return False
        return True

    def _compare(
        self, collection: Collection, entries: Iterable[SelectedTable], read: Mapping[str, drift.ReadNode]
    ) -> None:
        account, named = self._account(collection), self._tap.account.integration
        integration = {"id": named} if named else account
        for part, page in self._samples.pages(collection):
            context = {
                PARENT: part.parent,
                PASS: part.filter_set,
                ACCOUNT: account,
                INTEGRATION: integration,
                EXTRACTED: self._samples.now.isoformat(),
            }
            drift.add_attributes(self._drift, read, page)
            for entry in entries:
                drift.add_rows(self._drift, entry, page.data, page, context, COLLECTIONS)

    def _account(self, collection: Collection) -> Any:
        selection = self._samples.selection
        readers = selection.columns_that_read(collection, *selection.account_roots)
        if not readers:
            return None
        try:
            return next(iter(self._samples.resources(ACCOUNT_COLLECTION)), None)
        except NotAllowed as error:
            self._not_read.update(dict.fromkeys(readers, _reason(error)))
            self._tap.skip(readers, error)
            return None

    def _read_report(self, report: Report) -> None:
        """The answer to one call, for the last days that are finished."""
        session = self._tap.session
        if report.timeframe is None:
            windows = plan_windows(report, today=session.today, start=None, settled=None).windows
        else:
            windows = plan_total(report, session.today)
        metric = session.metrics(report)[0] if report.has_metric else None
        rows = next(iter(session.pages(report, windows[-1], metric)), []) if windows else []
        empty = [name for name in report.statistics if all(row[name] is None for row in rows)]
        self._reports[report.name] = len(rows), empty

    # The text ---------------------------------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """The report, of names only."""
        yield f"{self._tap.name} {self._tap.plugin_version}"
        yield HEADING
        yield from _section("Attributes that no column reads", self._unread_lines())
        yield from _section("Attributes without the parts that columns read", _by_resource(self._drift.reshaped))
        yield from _section("Columns", [*self._table_lines(), *self._report_lines()])
        yield from _section("Not read", [f"{name}: {reason}" for name, reason in self._not_read.items()])

    def _unread_lines(self) -> Iterator[str]:
        unread, unnamed = self._drift.unread, len(self._drift.unnamed)
        new = {place for place in unread if drift.is_new(*place, COLLECTIONS)}
        of_revision = {place: types for place, types in unread.items() if place not in new}
        for what, places in (("new", {place: unread[place] for place in new}), ("known", of_revision)):
            yield from (f"{what}, {line}" for line in _by_resource(places))
        if unnamed:
            yield f"and {unnamed} that are not named here, since the account may have named them"

    def _table_lines(self) -> Iterator[str]:
        by_name = {entry.table.name: entry for entry in self._selected}
        for name, entry in by_name.items():
            findings = self._drift.tables.get(name)
            if findings is None:
                continue
            if not findings.rows:
                yield f"{name}: no rows, so nothing is known of its columns"
                continue
            gone, empty = drift.unseen_columns(entry, findings)
            types = {column: drift.column_type(entry.schema["properties"][column]) for column in entry.columns}
            yield from _column_lines(
                f"{name} ({findings.rows} rows)",
                {
                    "attribute not there": gone,
                    "null in every row": empty,
                    "did not fit and became null": _met(findings.misfits, types),
                    "converted from another type": _met(findings.other_types, types),
                },
            )

    def _report_lines(self) -> Iterator[str]:
        for name, (rows, empty) in self._reports.items():
            if not rows:
                yield f"{name}: no rows, so nothing is known of its columns"
            else:
                yield from _column_lines(f"{name} ({rows} rows)", {"null in every row": empty})


def run_drift_check(tap: RunTap, write: Callable[[str], None]) -> None:
    """Write how the account's answers differ from what the selected columns read.

    Raises:
        Incomplete: something that is selected could not be read; what differs is no failure.
        KlaviyoError: nothing can be read.
    """
    if not any(stream.selected for stream in tap.streams.values()):
        tap.logger.warning("nothing is selected, so nothing was read: select streams in the catalog")
    check = DriftCheck(tap)
    check.read()
    for line in check.lines():
        write(line)
    message = tap.failures.message()
    if message is not None:
        raise Incomplete(message)


def _reason(error: KlaviyoError) -> str:
    """Why something was not read, without the words of an answer, which may quote values."""
    if isinstance(error, NotEnabled):
        return "the account's plan does not include it"
    if isinstance(error, NotAllowed):
        scopes = permissions.scopes_named_in(error) or operation(error.operation).scopes
        return f"the key lacks {' and '.join(sorted(scopes))}"
    if isinstance(error, Refused):
        return f"{error.operation} was answered with status {error.status}"
    return "its setting is refused" if isinstance(error, ReportRefused) else "there was no usable answer"


def _section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    lines = list(lines)
    yield ""
    yield f"{heading}: none" if not lines else f"{heading}:"
    yield from (f"  {line}" for line in lines)


def _by_resource(attributes: Mapping[tuple[str, str], set[str]]) -> list[str]:
    by_resource: dict[str, list[str]] = {}
    for (kind, path), types in sorted(attributes.items()):
        by_resource.setdefault(kind, []).append(f"{path} ({_types(types)})")
    return [f"{kind}: {', '.join(paths)}" for kind, paths in by_resource.items()]


def _column_lines(title: str, columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    told = [f"  {what}: {', '.join(names)}" for what, names in columns.items() if names]
    if told:
        yield title
        yield from told


def _met(columns: Mapping[str, set[str]], types: Mapping[str, str]) -> list[str]:
    return [f"{name} ({types[name]}, met {_types(met)})" for name, met in columns.items()]


def _types(types: Iterable[str]) -> str:
    """JSON types in words; null says least."""
    return " or ".join(sorted(types, key=lambda name: (name == "null", name)))
