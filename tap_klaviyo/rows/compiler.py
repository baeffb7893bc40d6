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
class _Column:
    name: str
    kind: type | None
    convert: Convert


@dataclass
class _Node:
    """A value that paths lead to: the columns that hold it, and the next steps of paths that go on from it."""

    columns: list[_Column] = field(default_factory=list)
    children: dict[str, _Node] = field(default_factory=dict)

    @property
    def fits_a_loop(self) -> bool:
        """Whether it is one column, for which a value's type says enough: of an integer the size matters, too."""
        return len(self.columns) == 1 and not self.children and self.columns[0].kind is not int


def compile_rows(schema: Mapping[str, Any], columns: Iterable[str], conversion_errors: Counter[str]) -> RowFunction:
    """The row function for these columns: each has its value, its constant, or null where the page says nothing.

    Args:
        schema: the table's schema file.
        columns: those to make, in this order.
        conversion_errors: counts the values of each column that could not be converted to its type and became null.
    """
    columns = tuple(columns)
    trees: dict[Source, _Node] = {}
    for name, source in sources(schema, columns).items():
        node = trees.setdefault(replace(source, tokens=()), _Node())
        for token in source.tokens:
            node = node.children.setdefault(token, _Node())
        column = schema["properties"][name]
        node.columns.append(_Column(name, passthrough_type(column), converter(column)))
    writer = _Writer(conversion_errors)
    for source, tree in trees.items():
        variable = writer.new_variable(f"{writer.add_constant(follower(source))}(roots, page)", 1)
        writer.write_value(tree, variable, 1)
    return writer.compile({name: schema["properties"][name].get(CONSTANT) for name in columns})


class _Writer:
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
        self._line(f"v{self._variables} = {expression}", depth)
        return f"v{self._variables}"

    def _line(self, text: str, depth: int) -> None:
        self._lines.append("    " * depth + text)

    def write_value(self, node: _Node, variable: str, depth: int) -> None:
        """Write what becomes of the value of a variable, null included."""
        self._line(f"if {variable} is not None:", depth)
        for column in node.columns:
            self._column(column, variable, depth + 1)
        if not node.children:
            return
        self._line(f"if isinstance({variable}, dict):", depth + 1)
        single = {token: child for token, child in node.children.items() if child.fits_a_loop}
        if len(single) >= _MANY:
            self._loop(single, variable, depth + 2)
        for token, child in node.children.items():
            if token not in single or len(single) < _MANY:
                self.write_value(child, self.new_variable(f"{variable}.get({token!r})", depth + 2), depth + 2)

    def _column(self, column: _Column, variable: str, depth: int) -> None:
        convert = f"put(row, {column.name!r}, {self.add_constant(column.convert)}, {variable})"
        if column.kind is None:
            self._line(convert, depth)
            return
        fits = f"type({variable}) is {column.kind.__name__}"
        if column.kind is int:
            fits += f" and {MIN_INTEGER} <= {variable} <= {MAX_INTEGER}"
        self._line(f"if {fits}: row[{column.name!r}] = {variable}", depth)
        self._line(f"else: {convert}", depth)

    def _loop(self, single: Mapping[str, _Node], variable: str, depth: int) -> None:
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
            self._line(text, depth + extra)

    def compile(self, empty: Mapping[str, Any]) -> RowFunction:
        head = ["def make_row(roots, page):", f"    row = {self.add_constant(dict(empty))}.copy()"]
        namespace = dict(self._names)
        exec("\n".join([*head, *self._lines, "    return row"]), namespace)  # noqa: S102 - the text is ours, see above
        make_row: RowFunction = namespace["make_row"]
        return make_row
