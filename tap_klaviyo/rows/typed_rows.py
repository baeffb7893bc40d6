"""Rows of resources that were decoded into types of their own: the same rows, for half of the work. Pure.

A page's resource as a dictionary is a walk along the path of every root and column. Of a type that was made for the
selected columns, the members are attributes, and the code is written for just the path. As in ``compiler``, the text of
that code is made of a table's schema file and of nothing that a page says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Lookup, Root
from tap_klaviyo.rows.compiler import Column, Node, RowWriter, column_trees, empty_row
from tap_klaviyo.rows.paths import INCLUDED, OWN, Source, linked_resources, parse_source
from tap_klaviyo.rows.roots import CONTEXT_ROOTS, LookupFunction, elements, needs_of
from tap_klaviyo.rows.shapes import Shape, linkage_tokens
from tap_klaviyo.rows.values import KnownTimes, as_datetime

BeginRows = Callable[[Iterable[Any], Page, Mapping[str, Any]], list[dict[str, Any]]]
FinishRows = Callable[[list[dict[str, Any]], Page, LookupFunction], list[dict[str, Any]]]


@dataclass(frozen=True)
class TypedResources:
    """What is asked of a page's resources before rows are made of them.

    Args:
        shape: their shape.
        times: the times of pages that were parsed already.
    """

    shape: Shape
    times: KnownTimes

    @property
    def kind(self) -> type[Struct]:
        """The type of the resources themselves."""
        if self.shape.kind is None:
            raise ValueError("the shape has no types yet")
        return self.shape.kind

    def value_at(self, path: str) -> Callable[[Any], Any]:
        """The function that gives the value at a path in a resource."""
        writer = TypedWriter(Counter(), self.shape, self.times)
        value = writer.follow(parse_source(path), {}, 1)
        function: Callable[[Any], Any] = writer.compile("value_at(own)", "", f"    return {value}")
        return function

    def times_at(self, path: str) -> Callable[[Sequence[Any]], list[str | None]]:
        """The function that gives the time (RFC 3339 in UTC) at a path in each resource, None where there is none."""
        writer = TypedWriter(Counter(), self.shape, self.times)
        writer.line("times = []", 1)
        writer.line("for own in resources:", 1)
        value = writer.follow(parse_source(path), {}, 2)
        time = writer.write_known_time(value, 2)
        learn = writer.add_constant(self.times.learn)
        writer.line(f"times.append({learn}({value}) if {time} is None else {time})", 2)
        function: Callable[[Sequence[Any]], list[str | None]] = writer.compile(
            "times_at(resources)", "", "    return times"
        )
        return function

    def own_values(self, lookup: Lookup) -> Callable[[Page], Mapping[str, Any]]:
        """The function that gives what ``lookup.extract`` gives of a page of the collection itself."""
        writer = TypedWriter(Counter(), self.shape, self.times)
        row_id, *values = (writer.follow(parse_source(path), {}, 2) for path in ("/id", *(lookup.own_page_paths or ())))
        writer.line(f"value = {writer.add_constant(lookup.own_value)}({', '.join(values)})", 2)
        writer.line(f"if value is not None: by_id[{row_id}] = value", 2)
        function: Callable[[Page], Mapping[str, Any]] = writer.compile(
            "own_values(page)",
            "    by_id = {}; find = page.included.get\n    for own in page.data:",
            "    return by_id",
        )
        return function


def compile_begin(before_lookups: Sequence[Root | Lookup], reads_context: bool, shape: Shape) -> BeginRows:
    """``Projection.begin_rows`` for such resources.

    Args:
        before_lookups: the roots to evaluate.
        reads_context: whether anything of the table, roots included, starts from the slice or the account.
        shape: the resources' shape.
    """
    writer = TypedWriter(Counter(), shape)
    variables = {name: f"context.get({name!r})" for name in CONTEXT_ROOTS}
    depth = writer.write_roots(before_lookups, variables, 2)
    values = ", ".join([f"{OWN!r}: own", *(f"{root.name!r}: {variables[root.name]}" for root in before_lookups)])
    writer.line(f"append({{{'**context, ' if reads_context else ''}{values}}})", depth)
    begin: BeginRows = writer.compile(
        "begin_rows(resources, page, context)",
        "    values = []; append = values.append; find = page.included.get\n    for own in resources:",
        "    return values",
    )
    return begin


def compile_finish(
    before_lookups: Sequence[Root | Lookup],
    from_lookups: Sequence[Root | Lookup],
    schema: Mapping[str, Any],
    columns: Sequence[str],
    conversion_errors: Counter[str],
    resources: TypedResources,
) -> FinishRows:
    """``Projection.finish_rows`` for such resources, without a look at the keys; there is one lookup at most."""
    writer = TypedWriter(conversion_errors, resources.shape, resources.times)
    head = ["rows = []", "append = rows.append", "find = page.included.get"]
    lookups = [root for root in from_lookups if isinstance(root, Lookup)]
    if lookups:
        head.append(f"by_id = look_up({writer.add_constant(lookups[0])}, root_values, page)")
    variables = {name: f"roots.get({name!r})" for name in (*CONTEXT_ROOTS, *(root.name for root in before_lookups))}
    writer.line(f"own = roots[{OWN!r}]", 2)
    depth = writer.write_roots(from_lookups, variables, 2)
    writer.line(f"row = {writer.add_constant(empty_row(schema, columns))}.copy()", depth)
    trees = column_trees(schema, columns)
    own_tree = trees.pop(Source(OWN, None, ()), Node())
    for source in [source for source in trees if source.root == INCLUDED]:
        own_tree.at(linkage_tokens(source)).linked = trees.pop(source)
    writer.write_value(own_tree, "own", depth)
    for source, tree in trees.items():
        if source.root in variables:
            writer.write_value(tree, writer.new_variable(variables[source.root], depth), depth)
    writer.line("append(row)", depth)
    head.append("for roots in root_values:")
    finish: FinishRows = writer.compile(
        "finish_rows(root_values, page, look_up)", "\n".join(f"    {line}" for line in head), "    return rows"
    )
    return finish


def can_type(roots: Iterable[Root | Lookup], columns: Iterable[Source]) -> bool:
    """Whether such functions can be made for a table: not for hashes, and not where look-ups start from a resource."""
    lookups = [root for root in roots if isinstance(root, Lookup)]
    starts = {need.root for lookup in lookups for need in needs_of(lookup)}
    return len(lookups) <= 1 and starts.isdisjoint((OWN, INCLUDED)) and not any(source.hash_parts for source in columns)


class TypedWriter(RowWriter):
    """Writes code for resources of a shape; ``own`` is the resource, and ``find`` finds what is included."""

    def __init__(self, conversion_errors: Counter[str], shape: Shape, times: KnownTimes | None = None) -> None:
        super().__init__(conversion_errors)
        self._shape = shape
        self._shapes = {"own": shape}
        self._times = KnownTimes() if times is None else times
        self._known_time = self.add_constant(self._times.get)

    def write_roots(self, roots: Iterable[Root | Lookup], variables: dict[str, str], depth: int) -> int:
        """Write the values of roots, and add where they are; the depth of what comes for each row."""
        for root in roots:
            if isinstance(root, Lookup):
                wanted = self.follow(parse_source(root.match_path), variables, depth)
                is_id = f"by_id and isinstance({wanted}, str)"
                variables[root.name] = self.new_variable(f"by_id.get({wanted}) if {is_id} else None", depth)
                continue
            values = [self.follow(need, variables, depth) for need in needs_of(root)]
            value = values[0]
            if root.make is not None:
                is_any = " or ".join(f"{value} is not None" for value in values)
                made = f"{self.add_constant(root.make)}({', '.join(values)})"
                value = self.new_variable(f"{made} if {is_any} else None", depth)
            if root.each:
                variables[root.name] = f"each_{depth}"
                self.line(f"for {variables[root.name]} in {self.add_constant(elements)}({value}):", depth)
                depth += 1
            else:
                variables[root.name] = value
        return depth

    def follow(self, source: Source, variables: Mapping[str, str], depth: int) -> str:
        """Write the way along a path; the variable that has the value at its end."""
        if source.root == INCLUDED:
            linkage = self._follow(linkage_tokens(source), "own", self._shape, depth)
            return self._follow(source.tokens, self._linked(linkage, depth), None, depth)
        if source.root == OWN:
            return self._follow(source.tokens, "own", self._shape, depth)
        return self._follow(source.tokens, self.new_variable(variables.get(source.root, "None"), depth), None, depth)

    def _follow(self, tokens: Iterable[str], variable: str, shape: Shape | None, depth: int) -> str:
        for token in tokens:
            variable, shape = self._member(variable, shape, token, depth)
        return variable

    def _member(self, variable: str, shape: Shape | None, token: str, depth: int) -> tuple[str, Shape | None]:
        """Write the step to a member: the variable that has it, and its shape."""
        if shape is None or shape.kind is None:
            return self.new_variable(
                f"{variable}.get({token!r}) if isinstance({variable}, dict) else None", depth
            ), None
        is_object = None if shape is self._shape else f"type({variable}) is {self.add_constant(shape.kind)}"
        variable = self._attribute(variable, shape, token, depth, is_object)
        return variable, shape.members[token]

    def _attribute(self, variable: str, shape: Shape, token: str, depth: int, condition: str | None = None) -> str:
        value = f"{variable}.{shape.attributes[token]}"
        attribute = self.new_variable(f"{value} if {condition} else None" if condition else value, depth)
        self._shapes[attribute] = shape.members[token]
        return attribute

    def _linked(self, linkage: str, depth: int) -> str:
        """Write what finds the resources that a linkage names."""
        shape = self._shapes.get(linkage)
        others = f"None if {linkage} is None else {self.add_constant(linked_resources)}({linkage}, page)"
        if shape is None or shape.kind is None:
            return self.new_variable(others, depth)
        kind, name = (f"{linkage}.{shape.attributes[part]}" for part in ("type", "id"))
        is_identity = f"type({linkage}) is {self.add_constant(shape.kind)} and type({kind}) is type({name}) is str"
        return self.new_variable(f"find(({kind}, {name})) if {is_identity} else {others}", depth)

    def write_value(self, node: Node, variable: str, depth: int) -> None:
        shape = self._shapes.get(variable)
        if shape is None or shape.kind is None:
            super().write_value(node, variable, depth)
        elif node.children:
            if shape is not self._shape:
                self.line(f"if type({variable}) is {self.add_constant(shape.kind)}:", depth)
                depth += 1
            for token, child in node.children.items():
                self.write_value(child, self._attribute(variable, shape, token, depth), depth)
            depth -= shape is not self._shape
        if node.linked is None:
            return
        self.line(f"if {variable} is not None:", depth)
        super().write_value(node.linked, self._linked(variable, depth + 1), depth + 1)

    def write_known_time(self, variable: str, depth: int) -> str:
        """Write what a text became that was converted before; None for others."""
        return self.new_variable(f"{self._known_time}({variable}) if type({variable}) is str else None", depth)

    def _column(self, column: Column, variable: str, depth: int) -> None:
        if column.convert is not as_datetime:
            super()._column(column, variable, depth)
            return
        time = self.write_known_time(variable, depth)
        self.line(f"if {time} is not None: row[{column.name!r}] = {time}", depth)
        self.line("else:", depth)
        super()._column(column, variable, depth + 1)
