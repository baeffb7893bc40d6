"""Compiler of row functions: the columns of a table become one Python function from roots to a row. Pure.

A history of a hundred million events is a hundred million calls: a general walk along the paths takes three times as
long as code that is written for them. Its text is made of a table's own schema file and of nothing that a page says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.rows.paths import CONSTANT, Source, follower, sources
from tap_klaviyo.rows.values import MAX_INTEGER, MIN_INTEGER, ConversionError, Convert, converter, passthrough_type

RowFunction = Callable[[Mapping[str, Any], Page], dict[str, Any]]

# From so many columns of one object on, a loop over the object's members is cheaper than a look at each column.
_MANY = 8


@dataclass
class Column:
    name: str
    kind: type | None
    convert: Convert


@dataclass
class Node:
    """A value that paths lead to: the columns that hold it, and the next steps of paths that go on from it."""

    columns: list[Column] = field(default_factory=list)
    children: dict[str, Node] = field(default_factory=dict)
    # Paths that start from the included resource which this value names.
    linked: Node | None = None

    def at(self, tokens: Iterable[str]) -> Node:
        """The value at the end of a path."""
        node = self
        for token in tokens:
            node = node.children.setdefault(token, Node())
        return node

    @property
    def fits_a_loop(self) -> bool:
        """Whether it is one column, for which a value's type says enough: of an integer the size matters, too."""
        is_alone = len(self.columns) == 1 and not self.children and self.linked is None
        return is_alone and self.columns[0].kind is not int


def compile_rows(schema: Mapping[str, Any], columns: Iterable[str], conversion_errors: Counter[str]) -> RowFunction:
    """The row function for these columns: each has its value, its constant, or null where the page says nothing.

    Args:
        schema: the table's schema file.
        columns: those to make, in this order.
        conversion_errors: counts the values of each column that could not be converted to its type and became null.
    """
    columns = tuple(columns)
    writer = RowWriter(conversion_errors)
    for source, tree in column_trees(schema, columns).items():
        variable = writer.new_variable(f"{writer.add_constant(follower(source))}(roots, page)", 1)
        writer.write_value(tree, variable, 1)
    row = f"    row = {writer.add_constant(empty_row(schema, columns))}.copy()"
    make_row: RowFunction = writer.compile("make_row(roots, page)", row, "    return row")
    return make_row


def column_trees(schema: Mapping[str, Any], columns: Iterable[str]) -> dict[Source, Node]:
    """Where the columns' paths start -> the values that they lead to."""
    trees: dict[Source, Node] = {}
    for name, source in sources(schema, columns).items():
        node = trees.setdefault(replace(source, tokens=()), Node()).at(source.tokens)
        column = schema["properties"][name]
        node.columns.append(Column(name, passthrough_type(column), converter(column)))
    return trees


def empty_row(schema: Mapping[str, Any], columns: Iterable[str]) -> dict[str, Any]:
    """The row of which a page says nothing."""
    return {name: schema["properties"][name].get(CONSTANT) for name in columns}


class RowWriter:
    """Writes the function's text. Values that it needs are kept beside the text, under names of their own."""

    def __init__(self, conversion_errors: Counter[str]) -> None:
        self._lines: list[str] = []
        self._variables = 0

        def put(row: dict[str, Any], name: str, convert: Convert, value: Any) -> None:
            try:
                row[name] = convert(value)
            except ConversionError:
                conversion_errors[name] += 1

        self._names: dict[str, Any] = {"put": put}

    def add_constant(self, value: Any) -> str:
        name = f"c{len(self._names)}"
        self._names[name] = value
        return name

    def new_variable(self, expression: str, depth: int) -> str:
        self._variables += 1
        self.line(f"v{self._variables} = {expression}", depth)
        return f"v{self._variables}"

    def line(self, text: str, depth: int) -> None:
        self._lines.append("    " * depth + text)

    def write_value(self, node: Node, variable: str, depth: int) -> None:
        """Write what becomes of the value of a variable, null included."""
        if not node.columns and not node.children:
            return
        self.line(f"if {variable} is not None:", depth)
        for column in node.columns:
            self._column(column, variable, depth + 1)
        if not node.children:
            return
        self.line(f"if isinstance({variable}, dict):", depth + 1)
        single = {token: child for token, child in node.children.items() if child.fits_a_loop}
        if len(single) >= _MANY:
            self._loop(single, variable, depth + 2)
        for token, child in node.children.items():
            if token not in single or len(single) < _MANY:
                self.write_value(child, self.new_variable(f"{variable}.get({token!r})", depth + 2), depth + 2)

    def _column(self, column: Column, variable: str, depth: int) -> None:
        convert = f"put(row, {column.name!r}, {self.add_constant(column.convert)}, {variable})"
        if column.kind is None:
            self.line(convert, depth)
            return
        fits = f"type({variable}) is {column.kind.__name__}"
        if column.kind is int:
            fits += f" and {MIN_INTEGER} <= {variable} <= {MAX_INTEGER}"
        self.line(f"if {fits}: row[{column.name!r}] = {variable}", depth)
        self.line(f"else: {convert}", depth)

    def _loop(self, single: Mapping[str, Node], variable: str, depth: int) -> None:
        columns = {token: child.columns[0] for token, child in single.items()}
        entries = {token: (column.kind, column.name, column.convert) for token, column in columns.items()}
        entry_of = self.add_constant(entries.get)
        for extra, text in (
            (0, f"for token, value in {variable}.items():"),
            (1, f"entry = {entry_of}(token)"),
            (1, "if entry is not None and value is not None:"),
            (2, "if type(value) is entry[0]: row[entry[1]] = value"),
            (2, "else: put(row, entry[1], entry[2], value)"),
        ):
            self.line(text, depth + extra)

    def compile(self, signature: str, *around: str) -> Any:
        """The function of this signature: the first of the texts, what was written, and then the others."""
        head, *tail = around
        namespace = dict(self._names)
        text = "\n".join([f"def {signature}:", head, *self._lines, *tail])
        exec(text, namespace)  # noqa: S102 - the text is ours, see above
        return namespace[signature.partition("(")[0]]
