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

# Klaviyo leaves this relationship out when it was included and is empty.
_OMITTED_WHEN_EMPTY = frozenset({"attributions"})
# A resource of this type that is related to nothing has no relationships, and no links to any.
_BARE_WHEN_UNRELATED = frozenset({"mapped-metric"})
# These relationships have their data without being included; those of an attribution have it, too.
_WITH_DATA_ALWAYS = frozenset(
    {
        ("campaign", "campaign-messages"),
        ("campaign-message", "campaign"),
        ("coupon-code-bulk-create-job", "coupon-codes"),
        ("event", "metric"),
        ("event", "profile"),
        ("flow-action", "flow"),
        ("flow-message", "flow-action"),
        ("flow-message", "template"),
        ("form", "form-versions"),
        ("metric-property", "metric"),
        ("profile-bulk-import-job", "lists"),
        ("profile-suppression-bulk-create-job", "lists"),
        ("profile-suppression-bulk-delete-job", "lists"),
        ("omni-campaign", "campaign-messages"),
        ("omni-campaign-message", "campaign"),
        ("omni-campaign-message", "campaign-audience"),
        ("tag", "tag-group"),
    }
)
# These collections say nothing of the pages beside them where there are none; all others say that they are null.
_WITHOUT_NULL_LINKS = frozenset(
    {"get_custom_metrics", "get_mapped_metrics", "get_properties_for_metric", "get_messages_for_campaign"}
)
# Characters that are not quoted in a path: those that Klaviyo leaves in ids of catalogs, and those of placeholders.
_UNQUOTED = "/$:<>"
# Type -> its name in paths, where that is not the type with an s.
_PATHS = {kind: kind for kind in ("billing-usage", "brand-voice", "template-universal-content")}
# Kind of rows -> type of their resources, where one type has a shape of its own in another revision.
_SHOWN_TYPES = {"omni-campaign": "campaign", "omni-campaign-message": "campaign-message"}
_LINK_PATHS = {"self": "/relationships/{}/", "related": "/{}/"}


def _quoted(path: str) -> str:
    # Half of a surrogate pair, which no address can hold, may be the id of what somebody has made.
    return quote(path, safe=_UNQUOTED, errors="replace")


def field_tree(names: Iterable[str]) -> Tree:
    """Names such as ``location.city`` as nested dictionaries; an empty one stands for everything below."""
    tree: Tree = {}
    for name in sorted(names):
        branch = tree
        parts = name.split(".")
        for depth, part in enumerate(parts):
            is_known = part in branch
            branch = branch.setdefault(part, {})
            # The whole object was asked for before its parts: the parts add nothing.
            if is_known and not branch and depth < len(parts) - 1:
                break
    return tree


def prune(value: Any, tree: Tree) -> Any:
    """Return only the branches of ``value`` that the tree names."""
    if not tree or not isinstance(value, Mapping):
        return value
    return {name: prune(value[name], subtree) for name, subtree in tree.items() if name in value}


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
        self.include = frozenset(split_names(query.get("include", "")))
        self._visible: dict[tuple[str, tuple[str, ...]], list[tuple[str, Tree]]] = {}

    def one(self, kind: str, row: Mapping[str, Any] | None, path: str) -> dict[str, Any]:
        """A document with one resource, or with null."""
        document: dict[str, Any] = {"data": None if row is None else self.primary_resource(kind, row)}
        if self.include and row is not None:
            document["included"] = self._included(kind, [row])
        document["links"] = {"self": self._url(path, self._query)}
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
        document: dict[str, Any] = {"data": [self.primary_resource(kind, row) for row in rows]}
        if self.include:
            document["included"] = self._included(kind, rows)
        document["links"] = self.links(path, before, after)
        return document

    def links(self, path: str, before: str | None = None, after: str | None = None) -> dict[str, str | None]:
        """The links of a page of a collection."""
        links: dict[str, str | None] = {"self": self._url(path, self._query)}
        for name, cursor in (("next", after), ("prev", before)):
            if cursor is not None:
                links[name] = self._url(path, {**self._query, "page[cursor]": cursor})
            elif self._operation.endpoint not in _WITHOUT_NULL_LINKS:
                links[name] = None
        return links

    @property
    def cache_key(self) -> tuple[Any, ...]:
        """Everything that decides how a resource is shown: documents with equal keys show a row alike."""
        parameters = {name: value for name, value in self._query.items() if "fields[" in name or name == "include"}
        return self._operation.id, self._base, *sorted(parameters.items())

    def with_related(self, related: FindRelated) -> Documents:
        """The same, with another function that finds related resources."""
        return Documents(self._operation, self._base, self._query, related, self._find)

    def included_resource(self, kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """An included resource."""
        return self._resource(kind, row, self._operation.included[shown_type(kind)], frozenset())

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        return f"{self._base}{_quoted(path)}" + (f"?{urlencode(query)}" if query else "")

    def primary_resource(self, kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """A resource of ``data``."""
        if self._operation.data is None:
            raise ValueError(f"{self._operation.id} answers with no resources")
        return self._resource(kind, row, self._operation.data, self.include)

    def _included(self, kind: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        identities: dict[Identity, None] = {}
        for row in rows:
            for name in sorted(self.include):
                identities.update(dict.fromkeys(self._related(kind, row, name)))
        resources = []
        for other_kind, other_id in identities:
            other = self._find(other_kind, other_id)
            if other is not None:
                resources.append(self.included_resource(other_kind, other))
        return resources

    def _resource(
        self, kind: str, row: Mapping[str, Any], shape: ResourceShape, include: frozenset[str]
    ) -> dict[str, Any]:
        resource: dict[str, Any] = {"type": shown_type(kind), "id": row["id"]}
        if shape.attributes:
            resource["attributes"] = self._attributes(kind, row, shape)
        url = f"{self._base}/api/{plural(shown_type(kind))}/{_quoted(row['id'])}"
        if shape.relations and not self._is_bare(kind, row, shape):
            resource["relationships"] = {
                name: relationship
                for name, relation in shape.relations.items()
                if (relationship := self._relationship(kind, row, name, relation, url, name in include)) is not None
            }
        if shape.has_links:
            resource["links"] = {"self": f"{url}/"}
        return resource

    def _is_bare(self, kind: str, row: Mapping[str, Any], shape: ResourceShape) -> bool:
        return kind in _BARE_WHEN_UNRELATED and not any(self._related(kind, row, name) for name in shape.relations)

    def _attributes(self, kind: str, row: Mapping[str, Any], shape: ResourceShape) -> dict[str, Any]:
        # Computed once for a page: a page of events asks a thousand times.
        key = (kind, shape.attributes)
        if key not in self._visible:
            self._visible[key] = self._visible_attributes(kind, shape)
        return {
            name: prune(row.get(name), subtree) if subtree else row.get(name) for name, subtree in self._visible[key]
        }

    def _visible_attributes(self, kind: str, shape: ResourceShape) -> list[tuple[str, Tree]]:
        """The attributes to show, and of each the branches that were asked for."""
        fields = self._query.get(f"fields[{shown_type(kind)}]")
        tree = None if fields is None else field_tree(split_names(fields))
        additional = f"additional-fields[{shown_type(kind)}]"
        requested = split_names(self._query.get(additional, ""))
        hidden = [name for name in self._operation.choices(additional) if name not in requested]
        names = [
            name
            for name in shape.attributes
            if name not in hidden and (tree is None or name in tree or name in requested)
        ]
        return [(name, (tree or {}).get(name, {})) for name in names]

    def _relationship(
        self, kind: str, row: Mapping[str, Any], name: str, relation: RelationshipShape, url: str, included: bool
    ) -> dict[str, Any] | None:
        links = {"links": {link: url + _LINK_PATHS[link].format(name) for link in relation.links}}
        if not (included or kind == "attribution" or (kind, name) in _WITH_DATA_ALWAYS):
            return links
        identities = [
            {"type": shown_type(other_kind), "id": other_id} for other_kind, other_id in self._related(kind, row, name)
        ]
        if not identities and (name in _OMITTED_WHEN_EMPTY or kind == "attribution"):
            return None
        # The real API has null here; the specification does not allow it.
        return {"data": identities if relation.many else next(iter(identities), None), **links}


def shown_type(kind: str) -> str:
    """The JSON:API type of rows that are kept as another kind."""
    return _SHOWN_TYPES.get(kind, kind)


def plural(kind: str) -> str:
    """The name of a type in paths: ``catalog-items``, ``catalog-categories``."""
    if kind in _PATHS:
        return _PATHS[kind]
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def split_names(text: str) -> list[str]:
    """The names of a comma-separated parameter; none in an empty one. An empty name between commas counts as a name."""
    return text.split(",") if text else []
