"""Recipes of docs/recipes: their blocks, what an entry of a tap selects, and a run of the tap with one."""

from __future__ import annotations

import copy
import io
import json
import sys
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from klaviyo_client.http.clock import Clock
from support.catalogs import select
from support.fast_clock import AT_ONCE, fast_clock
from support.markdown import code_blocks
from tap_klaviyo.tap import TapKlaviyo

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "recipes"
Message = dict[str, Any]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in this language."""
    return [block.text for block in code_blocks((RECIPES / page).read_text()) if block.language == language]


def entries(page: str) -> dict[str, Any]:
    """The extractors of a page, by name."""
    documents = [yaml.safe_load(text) for text in blocks(page, "yaml")]
    return {entry["name"]: entry for it in documents for entry in it.get("plugins", {}).get("extractors", ())}


def chosen(patterns: list[str], catalog: dict[str, Any]) -> dict[str, list[str]]:
    """The columns that Meltano selects by patterns, by stream."""
    wanted = defaultdict[str, list[str]](list)
    for stream in catalog["streams"]:
        for column in stream["schema"]["properties"]:
            name = f"{stream['tap_stream_id']}.{column}"
            hits = [pattern for pattern in patterns if fnmatchcase(name, pattern.removeprefix("!"))]
            if hits and not any(pattern.startswith("!") for pattern in hits):
                wanted[stream["tap_stream_id"]].append(column)
    return wanted


def read_with(
    url: str, monkeypatch: pytest.MonkeyPatch, entry: dict[str, Any], state: Message | None = None, **settings: Any
) -> list[Message]:
    """Run the tap in this process with an entry, whose settings may be added to; its messages. Waits take no time."""
    config = {"api_key": "pk_recipes", "api_url": url, "rate_limit_share": 1.0, "processes": 0}
    config |= {**entry.get("config", {}), **settings}
    catalog = copy.deepcopy(TapKlaviyo(config=config, parse_env_config=False).catalog_dict)
    wanted = select(catalog, chosen(entry["select"], catalog))
    clock, written = fast_clock(AT_ONCE), io.BytesIO()
    with monkeypatch.context() as patch, io.TextIOWrapper(written, write_through=True) as stdout:
        patch.setattr(sys, "stdout", stdout)
        patch.setattr(Clock.__init__, "__defaults__", (clock.monotonic, clock.sleep))
        TapKlaviyo(config=config, catalog=wanted, state=state, parse_env_config=False).sync_all()
        return [json.loads(line) for line in written.getvalue().splitlines()]


def rows(messages: list[Message], table: str) -> list[Message]:
    return [it["record"] for it in messages if it["type"] == "RECORD" and it["stream"] == table]
