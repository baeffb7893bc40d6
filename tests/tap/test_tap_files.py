"""What --state and --catalog may name."""

from __future__ import annotations

import io
import json
from typing import Any

import click
import pytest

from tap_klaviyo.files import checked

STATE = {
    "bookmarks": {"profiles": {"replication_key": "updated", "replication_key_value": "2026-01-01T00:00:00+00:00"}}
}


def taken(name: str, document: Any) -> Any:
    found = checked(click.Context(click.Command("tap")), click.Option([f"--{name}"]), io.StringIO(json.dumps(document)))
    assert found is not None
    return json.load(found)


@pytest.mark.parametrize("document", [STATE, {"type": "STATE", "value": STATE}])
def test_a_state_may_stand_in_its_message(document: dict[str, Any]) -> None:
    """Whoever keeps the last line of the tap's output goes on from it; nothing is read again in silence."""
    assert taken("state", document) == STATE


@pytest.mark.parametrize(
    "document", [None, [1], {"bookmarks": [1]}, {"bookmarks": {"profiles": "2026"}}, {"type": "STATE", "value": 1}]
)
def test_what_is_no_state_is_refused(document: Any) -> None:
    """With the option's name, and nothing of what is in the file."""
    with pytest.raises(click.BadParameter, match="no Singer state"):
        taken("state", document)
