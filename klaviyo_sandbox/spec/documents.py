"""JSON:API documents: resources with sparse fields and relationships, and what is included with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from klaviyo_sandbox.spec.facts import Operation, RelationshipShape, ResourceShape

Identity = tuple[str, str]
Tree = dict[str, "Tree"]
# (type, row, relationship) -> identities of the related resources.
FindRelated = Callable[[str, Mapping[str, Any], str], Sequence[Identity]]

# Klaviyo leaves this relationship out when it was included and there is nothing in it.
_ABSENT_WHEN_EMPTY = frozenset({"attributions"})
# These relationships carry their data without being included; an attribution has nothing else, so all of its do.
_ALWAYS = frozenset(
    {
        ("campaign", "campaign-messages"),
        ("campaign-message", "campaign"),
        ("flow-action", "flow"),
        ("flow-message", "flow-action"),
        ("flow-message", "template"),
    }
)
# Stands in a path as it is: what Klaviyo leaves of ids of catalogs, and what marks the places of a stencil.
_PLAIN = "/$:<>"
# Path of a type's resources, where that is not the type with an s.
_PATHS = {"template-universal-content": "template-universal-content"}
_TARGETS = {"self": "/relationships/{}/", "related": "/{}/"}


def field_tree(names: Iterable[str]) -> Tree:
    """``location.city`` and its like as nested dictionaries; an empty one stands for everything below."""
    tree: Tree = {}
    for name in sorted(names):
        branch = tree
        parts = name.split(".")
        for depth, part in enumerate(parts):
            known = part in branch
            branch = branch.setdefault(part, {})
            # A whole object was asked for before its parts: the parts add nothing.
            if known and not branch and depth < len(parts) - 1:
                break
    return tree


def pruned(value: Any, tree: Tree) -> Any:
    """Only the branches of ``value`` that the tree names."""
    if not tree or not isinstance(value, Mapping):
        return value
    return {name: pruned(value[name], below) for name, below in tree.items() if name in value}


class Documents:
    """Builds the documents of one answer.

    Args:
        operation: whose shapes, default fields and includes hold.
        base: the origin that links begin with.
        query: the request's query parameters, already checked.
        related: (type, row, relationship) -> identities of the related resources.
        find: (type, id) -> the row of an included resource.
    """

    def __init__(
        self,
        operation: Operation,
        base: str,
        query: Mapping[str, str],
        related: FindRelated,
        find: Callable[[str, str], Mapping[str, Any] | None],
    ) -> None:
        self._operation = operation
        self._base = base
        self._query = query
        self._related = related
        self._find = find
        self.include = frozenset(split(query.get("include", "")))
        self._shown: dict[tuple[str, tuple[str, ...]], list[tuple[str, Tree]]] = {}

    def one(self, kind: str, row: Mapping[str, Any] | None, path: str) -> dict[str, Any]:
        """A document with one resource, or with null."""
        document: dict[str, Any] = {"data": None if row is None else self.primary(kind, row)}
        if self.include and row is not None:
            document["included"] = self._included(kind, [row])
        document["links"] = self.links(path)
        return document

    def many(
        self,
        kind: str,
        rows: Sequence[Mapping[str, Any]],
        path: str,
        before: str | None = None,
        after: str | None = None,
    ) -> dict[str, Any]:
        """A document with a page of resources; ``before`` and ``after`` are cursors of the pages beside it."""
        document: dict[str, Any] = {"data": [self.primary(kind, row) for row in rows]}
        if self.include:
            document["included"] = self._included(kind, rows)
        document["links"] = self.links(path, before, after)
        return document

    def links(self, path: str, before: str | None = None, after: str | None = None) -> dict[str, str]:
        """The links of a page."""
        links = {"self": self._url(path, self._query)}
        for name, cursor in (("next", after), ("prev", before)):
            if cursor is not None:
                links[name] = self._url(path, {**self._query, "page[cursor]": cursor})
        return links

    @property
    def shape(self) -> tuple[Any, ...]:
        """All that decides how a resource looks: documents of the same shape show a row alike."""
        asked = {name: value for name, value in self._query.items() if "fields[" in name or name == "include"}
        return self._operation.id, self._base, *sorted(asked.items())

    def of(self, related: FindRelated) -> Documents:
        """The same, with other relations between the rows."""
        return Documents(self._operation, self._base, self._query, related, self._find)

    def other(self, kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """An included resource."""
        return self._resource(kind, row, self._operation.included[kind], frozenset())

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        return f"{self._base}{quote(path, safe=_PLAIN)}" + (f"?{urlencode(query)}" if query else "")

    def primary(self, kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """A resource of ``data``."""
        if self._operation.data is None:
            raise ValueError(f"{self._operation.id} answers with no resources")
        return self._resource(kind, row, self._operation.data, self.include)

    def _included(self, kind: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        wanted: dict[Identity, None] = {}
        for row in rows:
            for name in sorted(self.include):
                wanted.update(dict.fromkeys(self._related(kind, row, name)))
        resources = []
        for other_kind, other_id in wanted:
            other = self._find(other_kind, other_id)
            if other is not None:
                resources.append(self.other(other_kind, other))
        return resources

    def _resource(
        self, kind: str, row: Mapping[str, Any], shape: ResourceShape, include: frozenset[str]
    ) -> dict[str, Any]:
        resource: dict[str, Any] = {"type": kind, "id": row["id"]}
        if shape.attributes:
            resource["attributes"] = self._attributes(kind, row, shape)
        url = f"{self._base}/api/{plural(kind)}/{quote(row['id'], safe=_PLAIN)}"
        if shape.relations:
            resource["relationships"] = {
                name: found
                for name, relation in shape.relations.items()
                if (found := self._relationship(kind, row, name, relation, url, name in include)) is not None
            }
        if shape.has_links:
            resource["links"] = {"self": f"{url}/"}
        return resource

    def _attributes(self, kind: str, row: Mapping[str, Any], shape: ResourceShape) -> dict[str, Any]:
        # Worked out once for a page: a page of events asks a thousand times.
        key = (kind, shape.attributes)
        if key not in self._shown:
            self._shown[key] = self._choose(kind, shape)
        return {name: pruned(row.get(name), below) if below else row.get(name) for name, below in self._shown[key]}

    def _choose(self, kind: str, shape: ResourceShape) -> list[tuple[str, Tree]]:
        """The attributes to show, and of each the branches that were asked for."""
        fields = self._query.get(f"fields[{kind}]")
        tree = None if fields is None else field_tree(split(fields))
        additional = f"additional-fields[{kind}]"
        asked = split(self._query.get(additional, ""))
        off = [name for name in self._operation.choices(additional) if name not in asked]
        names = [name for name in shape.attributes if name not in off and (tree is None or name in tree)]
        return [(name, tree[name] if tree else {}) for name in names]

    def _relationship(
        self, kind: str, row: Mapping[str, Any], name: str, relation: RelationshipShape, url: str, included: bool
    ) -> dict[str, Any] | None:
        links = {"links": {link: url + _TARGETS[link].format(name) for link in relation.links}}
        if not (included or kind == "attribution" or (kind, name) in _ALWAYS):
            return links
        identities = [{"type": other_kind, "id": other_id} for other_kind, other_id in self._related(kind, row, name)]
        if not identities and (name in _ABSENT_WHEN_EMPTY or kind == "attribution"):
            return None
        # As the real API has it: the specification knows no null here.
        return {"data": identities if relation.many else next(iter(identities), None), **links}


def plural(kind: str) -> str:
    """What a type is called in paths: ``catalog-items``, ``catalog-categories``."""
    if kind in _PATHS:
        return _PATHS[kind]
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def split(text: str) -> list[str]:
    """The names of a comma-separated parameter, none in an empty one; an empty name between commas counts."""
    return text.split(",") if text else []
