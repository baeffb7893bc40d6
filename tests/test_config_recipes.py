"""Recipes of docs/recipes that are one entry of a tap: each is run as its page has it, against a sandbox."""

from __future__ import annotations

import io
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.catalogs import discovered, select
from support.markdown import code_blocks

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.tap import TapKlaviyo

RECIPES = Path(__file__).parents[1] / "docs" / "recipes"
Message = dict[str, Any]


def entries(page: str) -> dict[str, Any]:
    """The extractors of a page, by name."""
    blocks = [
        yaml.safe_load(block.text) for block in code_blocks((RECIPES / page).read_text()) if block.language == "yaml"
    ]
    return {entry["name"]: entry for block in blocks for entry in block.get("plugins", {}).get("extractors", ())}


def selected(patterns: list[str]) -> dict[str, Any]:
    """The catalog as Meltano selects in it by patterns."""
    catalog, wanted = discovered(), defaultdict[str, list[str]](list)
    for stream in catalog["streams"]:
        for column in stream["schema"]["properties"]:
            name = f"{stream['tap_stream_id']}.{column}"
            hits = [pattern for pattern in patterns if fnmatchcase(name, pattern.removeprefix("!"))]
            if hits and not any(pattern.startswith("!") for pattern in hits):
                wanted[stream["tap_stream_id"]].append(column)
    return select(catalog, wanted)


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=60, events=900, seed=4, limits=False)


@pytest.fixture
def read(account: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Message]]:
    """Runs the tap in this process with an entry of a page, whose settings may be added to; gives its messages."""

    def run(entry: dict[str, Any], state: Message | None = None, **settings: Any) -> list[Message]:
        config = {"api_key": "pk_recipes", "api_url": account.url, "rate_limit_share": 1.0, "processes": 0}
        written = io.BytesIO()
        with monkeypatch.context() as patch, io.TextIOWrapper(written, write_through=True) as stdout:
            patch.setattr(sys, "stdout", stdout)
            TapKlaviyo(
                config={**config, **entry.get("config", {}), **settings},
                catalog=selected(entry["select"]),
                state=state,
                parse_env_config=False,
            ).sync_all()
            return [json.loads(line) for line in written.getvalue().splitlines()]

    return run


def rows(messages: list[Message], table: str) -> list[Message]:
    return [it["record"] for it in messages if it["type"] == "RECORD" and it["stream"] == table]


def metric_names(messages: list[Message]) -> set[str]:
    return {row["metric_name"] for row in rows(messages, "events")}


def test_one_metric_is_read_without_a_request_for_each_event(
    account: RunningSandbox, read: Callable[..., list[Message]]
) -> None:
    """Orders only, with the ids of what they are attributed to; one added later has no history without a refresh."""
    (entry,) = entries("one-metric.md").values()
    before = len(account.requests)
    messages = read(entry)
    assert metric_names(messages) == {"Placed Order"}
    assert any(row["attribution_message"] for row in rows(messages, "events"))
    assert rows(messages, "event_attributions")
    asked = list(account.requests)[before:]
    assert [request.path for request in asked if request.path.startswith("/api/events/")] == []

    state = next(it["value"] for it in reversed(messages) if it["type"] == "STATE")
    both = ["Placed Order", "Received Email"]
    later, anew = (
        [row for row in rows(read(entry, start, event_metrics=both), "events") if row["metric_name"] == both[1]]
        for start in (state, None)
    )
    assert len(later) < len(anew)


def test_presets_of_the_page_are_those_of_the_tap(read: Callable[..., list[Message]]) -> None:
    """Beside a name, `engagement` brings opens and clicks."""
    (entry,) = entries("one-metric.md").values()
    names = metric_names(read(entry, event_metrics=["Placed Order", "engagement"]))
    assert {"Placed Order", "Opened Email", "Clicked Email", "Received Email"} <= names
    assert "Viewed Product" not in names
