"""Makes the README the package's long description: links that lead into the repository become whole addresses.

hatchling runs it whenever it builds; an index's page of the package has no files beside it that a link could find.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r'(\]\(|(?:src|srcset|href)=")(?![a-z]+:|#)([^)"\s]+)')
_PICTURES = (".svg", ".png")


def whole(page: str, repository: str, tag: str) -> str:
    """A page of the repository's top folder, each relative link in it led to the repository at a tag."""

    def lead(link: re.Match[str]) -> str:
        kind = "raw" if link[2].endswith(_PICTURES) else "blob"
        return f"{link[1]}{repository}/{kind}/{tag}/{link[2]}"

    return _LINK.sub(lead, page)


class LongDescription(MetadataHookInterface):
    """Sets `readme`, which `pyproject.toml` declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        page = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = whole(page, metadata["urls"]["Repository"], f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
