"""A page of recipes taken apart: the blocks that a reader types or adds to ``meltano.yml``."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def blocks(page: str) -> dict[str, list[tuple[str, str]]]:
    """Language and text of every fenced block, for each heading of the second level; "" is what stands before them."""
    first, *rest = re.split(r"^## ", page, flags=re.MULTILINE)
    sections = {"": first, **dict(part.split("\n", 1) for part in rest)}
    return {title: _BLOCK.findall(text) for title, text in sections.items()}


def commands(section: list[tuple[str, str]]) -> list[str]:
    """What is typed at the prompt in a section."""
    return [
        line.removeprefix("$ ")
        for language, text in section
        if language == "console"
        for line in text.splitlines()
        if line.startswith("$ ")
    ]


def added(project: Any, addition: Any) -> Any:
    """The project with a block added as a reader would: entries of a list behind those that are there."""
    if isinstance(project, dict) and isinstance(addition, dict):
        both = {key: added(project[key], value) for key, value in addition.items() if key in project}
        return {**project, **addition, **both}
    if isinstance(project, list) and isinstance(addition, list):
        return [*project, *addition]
    return addition


def with_additions(project: str, page: str) -> str:
    """``meltano.yml`` with all blocks of YAML of the page."""
    document = yaml.safe_load(project)
    for section in blocks(page).values():
        for language, text in section:
            if language == "yaml":
                document = added(document, yaml.safe_load(text))
    return yaml.safe_dump(document, sort_keys=False)
