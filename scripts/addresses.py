"""Where the package is: its repository, the tag of this version, and what pip installs it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
REPOSITORY: str = _PROJECT["urls"]["Repository"]
TAG = f"v{_PROJECT['version']}"
PIP_URL = f"git+{REPOSITORY}@{TAG}"
_WHEEL = re.compile(r"(singer_klaviyo-)\d[\w.]*(-py3-none-any\.whl)")
_TAGGED = re.compile(rf"({re.escape(REPOSITORY)}(?:\.git)?(?:@|/(?:raw|blob|tree)/))v\d[\w.]*\w")


def with_tag(text: str) -> str:
    """The text with every address in the repository that names a tag naming this version's, and every wheel."""
    text = _WHEEL.sub(lambda match: match[1] + TAG.removeprefix("v") + match[2], text)
    return _TAGGED.sub(lambda match: match[1] + TAG, text)
