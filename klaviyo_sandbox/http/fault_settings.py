"""Which faults there are, how often requests meet them, and which one the next request meets.

Faults are drawn as requests arrive, one draw for each: the same seed and order of requests give the same faults. Only
how long a storm lasts is a matter of time.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from klaviyo_sandbox.http import oauth
from klaviyo_sandbox.spec import facts

# What a request can meet. The first five were there first, and their order decides what a seed draws.
KINDS = (
    *("429", "503", "reset", "stall", "truncate"),
    *("challenge", "expired", "disorder", "repeat", "trickle", "huge"),
)
# Those by which the answer to what was done may be lost.
_MAY_ARRIVE = ("503", "reset", "truncate")
# Name -> (least value, bound, whether it is a whole number) of what is no part of all requests.
_NUMBERS: Mapping[str, tuple[float, float, bool]] = {
    "storm": (0, math.inf, False),
    "stall_seconds": (0, math.inf, False),
    "trickle_seconds": (0, math.inf, False),
    "huge_megabytes": (0, 4096, False),
    "other_app": (0, 1, False),
    "seed": (0, math.inf, True),
}
_NAMES = (*KINDS, *_NUMBERS, "refuse")
# What an operation that refuses for good answers, unless another status is named.
REFUSAL = 500
_REFUSED = re.compile(r"([a-z0-9_]+(?:@[0-9-]+)?)(?::([45][0-9]{2}))?")


@dataclass(frozen=True)
class Faults:
    """How often requests meet which fault.

    Attributes:
        rates: kind -> the part of all requests that meets it, from 0 to 1.
        storm: how many seconds a 429 goes on to turn every request away; 0: it turns away the one that met it.
        stall_seconds: how long an answer that stalls is kept back.
        trickle_seconds: how long an answer that trickles takes.
        huge_megabytes: how much larger a huge answer is.
        other_app: the part of every budget that another app of the account spends, from 0 to less than 1.
        refuse: operation -> the status with which it answers every request.
        seed: another seed draws other faults; None: the account's seed is used.
        text: the text that this was parsed from.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    storm: float = 0.0
    stall_seconds: float = 10.0
    trickle_seconds: float = 10.0
    huge_megabytes: float = 64.0
    other_app: float = 0.0
    refuse: Mapping[str, int] = field(default_factory=dict)
    seed: int | None = None
    text: str = field(default="", compare=False)


def parse_faults(text: str) -> Faults:
    """The faults that a text such as ``429=0.02,storm=5,stall=0.001,stall_seconds=30,refuse=get_lists:503`` asks for.

    The names are those of ``KINDS`` and of the attributes of ``Faults``; several operations are joined by ``+``.

    Raises:
        ValueError: the text cannot be read.
    """
    parts = [part.partition("=") for part in filter(None, (part.strip() for part in text.split(",")))]
    values: dict[str, str] = {}
    for name, value in ((name.strip(), value.strip()) for name, _, value in parts):
        if name not in _NAMES:
            raise ValueError(f"faults: unknown name {name!r} (known: {', '.join(_NAMES)})")
        if name in values:
            raise ValueError(f"faults: {name} is given twice")
        values[name] = value
    refuse = _parse_operations(values.pop("refuse", ""))
    numbers = {name: _parse_number(name, value) for name, value in values.items()}
    rates = {kind: numbers.pop(kind) for kind in KINDS if kind in numbers}
    if sum(rates.values()) > 1 + 1e-9:
        raise ValueError("faults: the rates add up to more than 1")
    seed = int(numbers.pop("seed")) if "seed" in numbers else None
    return Faults(rates, refuse=refuse, seed=seed, text=text, **numbers)


def _parse_operations(text: str) -> dict[str, int]:
    refuse = {}
    for part in filter(None, (part.strip() for part in text.split("+"))):
        match = _REFUSED.fullmatch(part)
        if match is None or match[2] == "429":
            raise ValueError(f"faults: refuse names operations as get_lists or get_lists:503 does, not {part!r}")
        if match[1] != oauth.OPERATION_ID and match[1] not in facts.load().operations:
            raise ValueError(f"faults: refuse names {match[1]!r}, and no such operation is served")
        refuse[match[1]] = int(match[2] or REFUSAL)
    return refuse


def _parse_number(name: str, text: str) -> float:
    if name in KINDS:
        number = _to_float(text)
        if not 0 <= number <= 1:
            raise ValueError(f"faults: {name} must be a number from 0 to 1, not {text!r}")
        return number
    least, bound, is_whole = _NUMBERS[name]
    number = _to_float(text)
    if not least <= number < bound or (is_whole and not re.fullmatch(r"[0-9]+", text)):
        kind = "a whole number" if is_whole else "a number"
        end = " on" if bound == math.inf else f" to less than {bound:g}"
        raise ValueError(f"faults: {name} must be {kind} from {least:g}{end}, not {text!r}")
    return int(text) if is_whole else number


def _to_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


@dataclass(frozen=True)
class Fault:
    """The fault that one request meets.

    Attributes:
        kind: one of ``KINDS``, or "refuse".
        reaches_account: whether the account does what is asked before the answer is lost.
        retry_after: seconds, where the answer names them.
        html: whether a 503 is a proxy's page instead of a JSON:API document.
        fraction: from 0 to 1: how much of a truncated body is sent, and how far a row is moved.
        status: of an operation that refuses for good.
    """

    kind: str
    reaches_account: bool = False
    retry_after: int | None = None
    html: bool = False
    fraction: float = 0.0
    status: int = 0


class FaultChooser:
    """Chooses at random which fault a request meets.

    Args:
        faults: how often which fault is chosen.
        seed: of the random numbers, unless the faults have a seed of their own.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults = faults
        self._rng = random.Random(f"{seed if faults.seed is None else faults.seed} faults")
        self._storm_end = -math.inf

    def choose(self, now: float) -> Fault | None:
        """The fault of a request that arrives now (seconds); None when it meets none."""
        if now < self._storm_end:
            return Fault("429", retry_after=math.ceil(self._storm_end - now))
        if not self._faults.rates:
            return None
        rng, rates = self._rng, self._faults.rates
        no_fault_rate = max(0.0, 1 - sum(rates.values()))
        (kind,) = rng.choices([None, *rates], [no_fault_rate, *rates.values()])
        if kind is None:
            return None
        if kind == "429":
            # Drawn also when a storm says how long: the draws of a seed must not depend on it.
            seconds = rng.randint(1, 2)
            self._storm_end = now + self._faults.storm
            return Fault("429", retry_after=math.ceil(self._faults.storm) or seconds)
        retry_after = rng.choice((None, 1)) if kind == "503" else None
        arrives = rng.random() < 0.5 and kind in _MAY_ARRIVE
        return Fault(kind, arrives, retry_after, rng.random() < 0.5, rng.random())
