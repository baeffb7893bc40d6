"""The revision of the API that Klaviyo says it answered in, beside the one that was asked for."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping

from klaviyo_client.api.operations import Operation

logger = logging.getLogger("klaviyo_client")

HEADER = "x-klaviyo-api-revision"
_REVISION = re.compile(r"[\w.-]{1,24}", re.ASCII)


class AnsweredRevisions:
    """Warns of answers in another revision, once for each operation and revision. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: set[tuple[str, str]] = set()

    def compare(self, operation: Operation, headers: Mapping[str, str]) -> None:
        """Look at an answer's headers; one that names no revision says nothing."""
        answered = headers.get(HEADER, "").strip()
        if answered == operation.revision or not _REVISION.fullmatch(answered):
            return
        with self._lock:
            is_known = (operation.id, answered) in self._told
            self._told.add((operation.id, answered))
        if not is_known:
            logger.warning(
                "%s: Klaviyo answered in revision %s of its API, not in %s, which was asked for: its content may "
                "differ; update singer-klaviyo",
                operation.id,
                answered,
                operation.revision,
            )
