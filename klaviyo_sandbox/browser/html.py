"""HTML of the pages, from the templates in ``templates/``. Pure.

``page.html`` is the whole page, ``blocks.html`` its parts, ``rows.html`` and
``charts.html`` what the script of the live strip asks for.
Jinja escapes each value that it puts in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from klaviyo_sandbox.browser.model import Chart, Meter, Table, View

if TYPE_CHECKING:
    from jinja2 import Environment

# Names of operations, such as get_campaigns@2026-10-15.
_NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+(?:@[0-9-]+)?")


def render_page(view: View) -> str:
    """The whole document."""
    return _render("page.html", view=view)


def render_rows(table: Table) -> str:
    """The rows of a table alone, as a script puts them in."""
    return _render("rows.html", table=table)


def render_charts(charts: Sequence[Chart]) -> str:
    """The charts alone, as a script puts them in."""
    return _render("charts.html", charts=charts)


def _render(template: str, **values: Any) -> str:
    # Half of a surrogate pair can be in an account, and in no answer.
    return _environment().get_template(template).render(values).encode("utf-8", "replace").decode()


@cache
def _environment() -> Environment:
    # Imported here, because most sandboxes show no page and should start quickly.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("klaviyo_sandbox.browser"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_to_text,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"type_name": _type_name, "numeric_columns": _numeric_columns}
    environment.filters |= {"to_json": _to_json, "breakable": _breakable}
    return environment


def _to_text(value: Any) -> str:
    """Text of any value. Jinja escapes it after this; text that is HTML already stays as it is."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False, default=str)


def _breakable(value: Any) -> Any:
    """The name of an operation with places where a line may break; any other value as it is."""
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        return value
    from jinja2.filters import do_mark_safe

    return do_mark_safe(re.sub("[_@]", r"\g<0><wbr>", value))


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _type_name(value: object) -> str:
    """By which templates choose how a block or a cell looks."""
    return type(value).__name__


def _numeric_columns(table: Table) -> list[bool]:
    """Whether each column holds numbers, which stand at the right; what is missing from it tells nothing."""
    return [column in table.numeric or _is_numeric(table, index) for index, column in enumerate(table.columns)]


def _is_numeric(table: Table, index: int) -> bool:
    values = [row[index] for row in table.rows if row[index] is not None]
    return bool(values) and all(
        isinstance(value, int | float | Meter) and not isinstance(value, bool) for value in values
    )
