"""What Klaviyo allows of an operation, as rows: the measure that benchmarks hold their figures against."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

OPERATIONS = Path(__file__).parents[1] / "klaviyo_client" / "api" / "operations.json"


@dataclass(frozen=True)
class Budget:
    """Requests of an operation that are allowed in a second (``burst``) and in a minute (``steady``).

    Attributes:
        rows: how many rows one request takes or brings.
    """

    burst: int
    steady: int
    rows: int

    def allowed(self, seconds: float) -> float:
        """Rows that are allowed in a run: a minute's budget for every minute begun, but no more than its burst."""
        minutes, rest = divmod(seconds, 60)
        return self.rows * (minutes * self.steady + min(self.steady, self.burst * rest))

    def per_second(self) -> float:
        """Rows a second that the minute's budget comes to."""
        return self.rows * self.steady / 60


def budget_of(operation: str, rows: int | None = None) -> Budget:
    """As the specification has it; without ``rows`` as many as a page or a request can have."""
    facts = _operations()[operation]
    return Budget(facts["burst"], facts["steady"], rows or facts.get("max_items") or facts["page_size"]["maximum"])


@cache
def _operations() -> dict[str, Any]:
    operations: dict[str, Any] = json.loads(OPERATIONS.read_text(encoding="utf-8"))["operations"]
    return operations
