"""Where columns come from."""

from __future__ import annotations

import pytest

from tap_klaviyo.rows.paths import Source, parse_source


def test_paths_are_parsed() -> None:
    """Own, included and other roots, or a root itself; `~1`, `~0`, `~2` stand for `/`, `~`, `#`."""
    assert parse_source("audience#") == Source("audience", None, ())
    assert parse_source("included:tags#") == Source("included", "tags", ())
    assert parse_source("/id") == Source("own", None, ("id",))
    assert parse_source("/attributes/No ~2/~02") == Source("own", None, ("attributes", "No #", "~2"))
    assert parse_source("/attributes/a~1b/c~0d $x.y") == Source("own", None, ("attributes", "a/b", "c~d $x.y"))
    assert parse_source("parent#/id") == Source("parent", None, ("id",))
    assert parse_source("included:metric#/attributes/name") == Source("included", "metric", ("attributes", "name"))


@pytest.mark.parametrize("text", ["", "id", "included#/id", "parent:x#/id", "parent#id", "included:x", ":x#/id"])
def test_paths_that_are_none_are_refused(text: str) -> None:
    """A slip in a schema file fails at start-up, not as a column of nulls."""
    with pytest.raises(ValueError, match="no path"):
        parse_source(text)
