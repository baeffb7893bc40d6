"""Finds the query that asks for just what the selected columns need. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from klaviyo_client.api.operations import Operation, operation
from tap_klaviyo.model import Collection, Listed, Lookup, PathEquals, SelectedTable
from tap_klaviyo.reading import event_metrics
from tap_klaviyo.rows.paths import INCLUDED, OWN, Source, parse_source, sources
from tap_klaviyo.rows.roots import ACCOUNT, INTEGRATION, PARENT, requirements, roots_behind

# The collection that holds the account itself, and nothing else.
ACCOUNT_COLLECTION = "accounts"


@dataclass(frozen=True)
class Selection:
    """What is selected of an account, and what that takes.

    Attributes:
        tables: every table that is wanted.
        exclude: collection -> resources that no table gets.
        by_metric: whether only events of some metrics are wanted; then the names of all metrics are needed.
        names_integration: whether the user says what the V1 tables call the account.
        by_name: the collections of which the user names resources; then their names are needed.
    """

    tables: Sequence[SelectedTable]
    exclude: Mapping[str, PathEquals] = field(default_factory=dict)
    by_metric: bool = False
    names_integration: bool = False
    by_name: Sequence[str] = ()

    def tables_of(self, collection: Collection) -> list[SelectedTable]:
        """The collection's tables."""
        return [entry for entry in self.tables if entry.table.collection == collection]

    def query(self, collection: Collection, *, with_linked: bool = False) -> dict[str, str]:
        """The query for the collection, but for filter and order.

        Args:
            collection: what is read.
            with_linked: whether an include is asked for, too, of which only the ids are needed that Klaviyo gives
                without it. Older answers of Klaviyo lack them.
        """
        possible = (
            source
            for entry in self.tables_of(collection)
            for source in requirements(entry.table, sources(entry.schema, entry.schema["properties"]).values())
        )
        op = operation(collection.operation)
        found = query(op, collection.resource, self._needs(collection), possible)
        for name in collection.row_by_row:
            found.pop(f"fields[{resource_type(op, name)}]", None)
        only_ids = collection.linked - self.needed_includes(collection)
        return found if with_linked else without_includes(op, found, only_ids)

    def reads_all_attributes(self, collection: Collection) -> bool:
        """Whether a column has all attributes of a resource, so that no list of some can be asked for."""
        return any(source.root == OWN and source.tokens == ("attributes",) for source in self._needs(collection))

    def needed_includes(self, collection: Collection) -> set[str | None]:
        """The relationships of which the selected columns need more than ids."""
        return {source.relationship for source in self._needs(collection) if source.root == INCLUDED}

    def listed_for(self, collection: Collection) -> list[Listed]:
        """The relationships of which the selected columns need attributes, and nothing else, that others list."""
        if not collection.listed:
            return []
        needs = [source for source in self._needs(collection) if source.root == INCLUDED]
        others = {source.relationship for source in needs if source.tokens[:1] != ("attributes",)}
        wanted = {source.relationship for source in needs} - others
        return [entry for entry in collection.listed if entry.relationship in wanted]

    @cached_property
    def collections_others_need(self) -> set[str]:
        """The collections whose resources are needed to read others."""
        collections = {entry.table.collection.name: entry.table.collection for entry in self.tables}.values()
        names = {collection.parent for collection in collections if collection.parent}
        names |= {entry.collection for collection in collections for entry in self.listed_for(collection)}
        names |= {*self.by_name}
        return names | {ACCOUNT_COLLECTION} | ({event_metrics.COLLECTION} if self.by_metric else set())

    @property
    def account_roots(self) -> tuple[str, ...]:
        """The roots that read the account."""
        return (ACCOUNT,) if self.names_integration else (ACCOUNT, INTEGRATION)

    def columns_that_read(self, collection: Collection, *roots: str) -> list[str]:
        """``table.column`` for every selected column that is read from one of these roots, or from one made of it."""
        return [
            f"{entry.table.name}.{column}"
            for entry in self.tables_of(collection)
            for column in columns_reading(entry, *roots)
        ]

    def deselectable(self, collection: Collection, *roots: str) -> list[str]:
        """As ``columns_that_read``, in words for a selection: ``table.*`` where the table's key is among them."""
        names = []
        for entry in self.tables_of(collection):
            columns = columns_reading(entry, *roots)
            whole = not set(entry.table.key).isdisjoint(columns)
            names += [f"{entry.table.name}.*"] if whole else [f"{entry.table.name}.{name}" for name in columns]
        return names

    def _needs(self, collection: Collection) -> list[Source]:
        """What the selected columns need of the collection, and what other collections need of it."""
        needs = list(event_metrics.NEEDS) if collection.name == event_metrics.COLLECTION and self.by_metric else []
        if collection.name in self.by_name:
            needs.append(Source(OWN, None, ("attributes", "name")))
        if condition := self.exclude.get(collection.name):
            needs.append(parse_source(condition.path))
        for entry in self.tables:
            required = requirements(entry.table, sources(entry.schema, entry.columns).values())
            if entry.table.collection == collection:
                needs += required
            roots_by_collection = {entry.table.collection.parent: (PARENT,), ACCOUNT_COLLECTION: self.account_roots}
            roots = roots_by_collection.get(collection.name, ())
            needs += [Source(OWN, None, source.tokens) for source in required if source.root in roots]
            lists = {one.relationship for one in entry.table.collection.listed if one.collection == collection.name}
            needs += [
                Source(OWN, None, source.tokens)
                for source in required
                if source.relationship in lists and source.tokens[:1] == ("attributes",)
            ]
        return needs


def columns_reading(entry: SelectedTable, *roots: str) -> list[str]:
    """The table's selected columns that are read from one of these roots, or from one made of it.

    Not from an optional look-up: they have another value without it.
    """
    optional = {root.name for root in entry.table.roots if isinstance(root, Lookup) and root.optional}
    return [
        column
        for column, source in sources(entry.schema, entry.columns).items()
        if not roots_behind(entry.table, source).isdisjoint(set(roots) - optional)
    ]


def query(
    operation: Operation, resource: str, selected: Iterable[Source], possible: Iterable[Source]
) -> dict[str, str]:
    """Includes, sparse fields, additional fields and page size for these columns.

    Args:
        operation: the collection's operation.
        resource: the JSON:API type of its rows.
        selected: what the wanted columns need.
        possible: what all columns of the tables would need. Where a member is wanted with all of its possible parts,
            the member itself is asked for.
    """
    selected = list(selected)
    wanted = _names(operation, resource, selected)
    possible_names = _names(operation, resource, possible)
    parameters: dict[str, str] = {}
    if includes := sorted({source.relationship for source in _includes(operation, selected) if source.relationship}):
        parameters["include"] = ",".join(includes)
    for kind, names in sorted(wanted.items()):
        if None not in names and kind in operation.fields:
            parameters[f"fields[{kind}]"] = ",".join(_shorten(names, possible_names[kind], operation.fields[kind]))
    top = {str(name).split(".")[0] for name in wanted[resource] if name}
    if additional := sorted(top & operation.additional_fields.get(resource, frozenset())):
        parameters[f"additional-fields[{resource}]"] = ",".join(additional)
    if operation.page_size:
        parameters["page[size]"] = str(operation.page_size)
    return parameters


def without_includes(operation: Operation, query: Mapping[str, str], relationships: Container[str]) -> dict[str, str]:
    """A query that does not ask for these relationships' resources, nor for fields of theirs."""
    includes = [name for name in query.get("include", "").split(",") if name]
    kept = [name for name in includes if name not in relationships]
    fields = {f"fields[{resource_type(operation, name)}]" for name in includes}
    fields -= {f"fields[{resource_type(operation, name)}]" for name in kept}
    without = {name: value for name, value in query.items() if name != "include" and name not in fields}
    return {"include": ",".join(kept), **without} if kept else without


def _includes(operation: Operation, selected: Iterable[Source]) -> list[Source]:
    """Every selected source that only comes with an include, as an ``included`` one."""
    included = []
    for source in selected:
        if source.root == "included":
            included.append(source)
        # Most relationships carry their data only when they are included.
        elif source.root == "own" and source.tokens[:1] == ("relationships",) and source.tokens[1] in operation.include:
            included.append(Source("included", source.tokens[1], ("id",)))
    return included


def _names(operation: Operation, resource: str, selected: Iterable[Source]) -> dict[str, set[str | None]]:
    """Resource type -> names for ``fields[type]``; None among them means that one column has no such name."""
    names: dict[str, set[str | None]] = {resource: set()}
    selected = list(selected)
    for source in selected:
        if source.root == "own" and source.tokens[:1] == ("attributes",):
            names[resource].add(_name(source.tokens[1:], operation.fields.get(resource, frozenset())))
    for source in _includes(operation, selected):
        kind = resource_type(operation, str(source.relationship))
        names_of_kind = names.setdefault(kind, set())
        if source.tokens[:1] == ("attributes",):
            names_of_kind.add(_name(source.tokens[1:], operation.fields.get(kind, frozenset())))
        elif not source.tokens:
            # Wanted as it is: sparse fields might take its relationships away.
            names_of_kind.add(None)
    return {kind: names_of_kind or {"id"} for kind, names_of_kind in names.items()}


def _name(tokens: tuple[str, ...], allowed: frozenset[str]) -> str | None:
    """The longest dotted name that Klaviyo takes for this path."""
    for length in range(len(tokens), 0, -1):
        name = ".".join(tokens[:length])
        if name in allowed:
            return name
    return None


def _shorten(names: set[str | None], possible: set[str | None], allowed: frozenset[str]) -> list[str]:
    """The same names, with a member's own in place of all of its parts."""
    wanted = {name for name in names if name}
    short = set()
    for name in wanted:
        top = name.split(".")[0]
        below = {other for other in possible if other and other.split(".")[0] == top}
        short.add(top if top in allowed and below <= wanted else name)
    # A member that is wanted whole brings all that is below it.
    return sorted(name for name in short if not any(name.startswith(f"{other}.") for other in short))


def resource_type(operation: Operation, relationship: str) -> str:
    """The type that an include brings: ``metric`` brings ``metric``, ``tags`` ``tag``, ``variants`` a longer name."""
    if relationship in operation.fields:
        return relationship
    name = relationship.removesuffix("s")
    longer = (kind for kind in sorted(operation.fields) if kind.endswith(f"-{name}"))
    return name if name in operation.fields else next(longer, name)
