"""The parts of an account that is served, together."""

from __future__ import annotations

from dataclasses import dataclass, field

from klaviyo_sandbox.http.app import Sandbox
from klaviyo_sandbox.http.clock import Clock
from klaviyo_sandbox.http.faults import FaultMiddleware
from klaviyo_sandbox.http.judging import JudgeMiddleware
from klaviyo_sandbox.http.quotas import Quotas


@dataclass(frozen=True)
class ServedAccount:
    """An account as it is served, from when it was made until the next reset.

    Attributes:
        sandbox: the account's web application.
        fault_middleware: stands before it.
        clock: the account's time.
        quotas: its rate limits, also while they are switched off.
        seed: of everything that is drawn at random.
        app: all of these together, as a web application.
    """

    sandbox: Sandbox
    fault_middleware: FaultMiddleware
    clock: Clock
    quotas: Quotas
    seed: int
    app: JudgeMiddleware = field(init=False)

    def __post_init__(self) -> None:
        app = JudgeMiddleware(self.fault_middleware, self.sandbox, self.clock)
        object.__setattr__(self, "app", app)
