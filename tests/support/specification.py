"""The vendor's OpenAPI document, of which the repository keeps a copy so that everybody's tests have it."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "specification"


def path() -> Path:
    """The one document that is kept."""
    (found,) = FOLDER.glob("*.json.xz")
    return found


def load() -> dict[str, Any]:
    """The document, decoded; the caller may edit it."""
    document: dict[str, Any] = json.loads(lzma.decompress(path().read_bytes()))
    return document
