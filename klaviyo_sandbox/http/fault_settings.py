"""Which faults there are, how often requests meet them, and which one the next request meets.

Faults are drawn as requests arrive, one draw for each: the same seed and order of requests give the same faults. Only
how long a storm lasts is a matter of time. Counted faults are not drawn: the next requests meet them.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from klaviyo_sandbox.http import oauth
from klaviyo_sandbox.spec import facts

# What a request can meet. The first five were there first, and their order decides what a seed draws.
KINDS = (
    *("429", "503", "reset", "stall", "truncate"),
    *("challenge", "expired", "disorder", "repeat", "trickle", "huge"),
    *("500", "502", "504"),
)
# Those by which the answer to what was done may be lost.
_MAY_ARRIVE = ("500", "502", "503", "504", "reset", "truncate")
_HALF = 0.5
# Name -> (least value, bound, whether it is a whole number) of what is no part of all requests.
_NUMBERS: Mapping[str, tuple[float, float, bool]] = {
    "storm": (0, math.inf, False),
    "stall_seconds": (0, math.inf, False),
    "trickle_seconds": (0, math.inf, False),
    "huge_megabytes": (0, 4096, False),
    "other_app": (0, 1, False),
    "carried_out": (0, math.nextafter(1, 2), False),
    "retry_after": (1, math.inf, True),
    "seed": (0, math.inf, True),
}
_NAMES = (*KINDS, *_NUMBERS, "refuse")
# What an operation that refuses for good answers, unless another status is named.
REFUSAL = 500
_COUNTED = re.compile(r"([45][0-9]{2}|[a-z]+)x([0-9]{1,9})")
_REFUSED = re.compile(r"([a-z0-9_]+(?:@[0-9-]+)?)(?::(?:([45][0-9]{2})|([45][0-9]{2}x[0-9]{1,9}|[a-z]+x[0-9]{1,9})))?")


@dataclass(frozen=True)
class CountedFault:
    """What the next requests meet for certain.

    Attributes:
        kind: one of ``KINDS``, or any other status from 400 to 599.
        count: how many requests meet it.
        operation: the operation that they ask for; None: any.
    """

    kind: str
    count: int
    operation: str | None = None


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
        counted: what the next requests meet, before any fault is drawn.
        refuse: operation -> the status with which it answers every request.
        carried_out: the part of the writes that is carried out although the answer is lost, from 0 to 1; None: half of
            those that meet a random fault, and of the counted ones those whose answer is truncated.
        retry_after: the seconds that a 429 or 503 names; None: one or two, and none in some 503s.
        seed: another seed draws other faults; None: the account's seed is used.
        text: the text that this was parsed from.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    storm: float = 0.0
    stall_seconds: float = 10.0
    trickle_seconds: float = 10.0
    huge_megabytes: float = 64.0
    other_app: float = 0.0
    counted: tuple[CountedFault, ...] = ()
    refuse: Mapping[str, int] = field(default_factory=dict)
    carried_out: float | None = None
    retry_after: int | None = None
    seed: int | None = None
    text: str = field(default="", compare=False)
    uncounted_text: str = field(default="", compare=False)


def parse_faults(text: str) -> Faults:
    """The faults that a text such as ``429x2,503=0.01,stall=0.001,stall_seconds=30,refuse=get_lists:503`` asks for.

    ``429x2`` is met by the next two requests, ``503=0.01`` by a hundredth of those that follow. The names are those of
    ``KINDS`` and of the attributes of ``Faults``; several operations are joined by ``+``.

    Raises:
        ValueError: the text cannot be read.
    """
    counted: list[CountedFault] = []
    values: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if (found := _parse_counted(name)) is not None:
            if equals:
                raise ValueError(f"faults: {name} takes no value")
            counted.append(found)
        elif name not in _NAMES:
            raise ValueError(f"faults: unknown name {name!r} (known: {', '.join(_NAMES)})")
        elif name in values:
            raise ValueError(f"faults: {name} is given twice")
        else:
            values[name] = value
    counted_operations, refuse = _parse_operations(values.pop("refuse", ""))
    uncounted_text = ",".join(f"{name}={value}" for name, value in values.items())
    numbers: dict[str, Any] = {name: _parse_number(name, value) for name, value in values.items()}
    rates = {kind: numbers.pop(kind) for kind in KINDS if kind in numbers}
    if sum(rates.values()) > 1 + 1e-9:
        raise ValueError("faults: the rates add up to more than 1")
    all_counted = (*counted_operations, *counted)
    return Faults(rates, counted=all_counted, refuse=refuse, text=text, uncounted_text=uncounted_text, **numbers)


def _parse_counted(text: str, operation: str | None = None) -> CountedFault | None:
    """What a text such as ``429x2`` asks for; None when it is no such text."""
    match = _COUNTED.fullmatch(text)
    if match is None or not (match[1] in KINDS or match[1].isdigit()):
        return None
    if int(match[2]) == 0:
        raise ValueError(f"faults: {text} fails no request; the number must be from 1 on")
    return CountedFault(match[1], int(match[2]), operation)


def _parse_operations(text: str) -> tuple[list[CountedFault], dict[str, int]]:
    """What the next requests for some operations meet, and the status with which others refuse every request."""
    counted: list[CountedFault] = []
    refuse: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split("+"))):
        match = _REFUSED.fullmatch(part)
        found = _parse_counted(match[3], match[1]) if match is not None and match[3] else None
        if match is None or match[2] == "429" or (match[3] and found is None):
            form = f"get_lists or get_lists:503 does, not {part!r} (get_lists:503x2: the next 2 requests)"
            raise ValueError(f"faults: refuse names operations as {form}")
        if match[1] != oauth.OPERATION_ID and match[1] not in facts.load().operations:
            raise ValueError(f"faults: refuse names {match[1]!r}, and no such operation is served")
        if found is not None:
            counted.append(found)
            continue
        if match[1] in refuse:
            raise ValueError(f"faults: refuse names {match[1]} twice")
        refuse[match[1]] = int(match[2] or REFUSAL)
    return counted, refuse


def _parse_number(name: str, text: str) -> float:
    if name in KINDS:
        number = _to_float(text)
        if not 0 <= number <= 1:
            raise ValueError(f"faults: {name} must be a number from 0 to 1, not {text!r}{_hint(name, text)}")
        return number
    least, bound, is_whole = _NUMBERS[name]
    number = _to_float(text)
    if not least <= number < bound or (is_whole and not re.fullmatch(r"[0-9]{1,18}", text)):
        kind = "a whole number" if is_whole else "a number"
        end = " on" if bound == math.inf else f" to {'less than ' if bound == int(bound) else ''}{int(bound)}"
        raise ValueError(f"faults: {name} must be {kind} from {least:g}{end}, not {text!r}")
    return int(text) if is_whole else number


def _hint(name: str, text: str) -> str:
    """How to ask for a number of requests, where that seems to be what was meant."""
    count = text or "1"
    if re.fullmatch(r"[1-9][0-9]{0,8}", count) is None:
        return ""
    return f" ({name}x{count}: the next {'request' if count == '1' else f'{count} requests'})"


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
        status: of a refusal.
    """

    kind: str
    reaches_account: bool = False
    retry_after: int | None = None
    html: bool = False
    fraction: float = 0.0
    status: int = 0


class FaultChooser:
    """Chooses which fault a request meets: one that is counted, or one at random.

    Args:
        faults: how often which fault is chosen.
        seed: of the random numbers, unless the faults have a seed of their own.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults = faults
        self._rng = random.Random(f"{seed if faults.seed is None else faults.seed} faults")
        self._storm_end = -math.inf
        self._left = [entry.count for entry in faults.counted]

    @property
    def text(self) -> str:
        """The faults that requests can still meet, as ``parse_faults`` reads them."""
        faults = self._faults
        if not faults.counted:
            return faults.text
        pending = [
            (entry.operation, f"{entry.kind}x{left}")
            for entry, left in zip(faults.counted, self._left, strict=True)
            if left
        ]
        # The rest only says how a fault is, when there is one.
        has_chance = bool(pending) or any(faults.rates.values())
        other_app = f"other_app={faults.other_app}" if faults.other_app else ""
        operations = [f"{operation}:{count}" for operation, count in pending if operation is not None]
        operations += [f"{operation}:{status}" for operation, status in faults.refuse.items()]
        refuse = [f"refuse={'+'.join(operations)}"] if operations else []
        counts = [count for operation, count in pending if operation is None]
        return ",".join(filter(None, (*refuse, *counts, faults.uncounted_text if has_chance else other_app)))

    def choose_counted(self, operation: str | None, can_meet: Callable[[str], bool]) -> Fault | None:
        """The first counted fault that a request for this operation can meet, which is used up by it; or None."""
        for index, entry in enumerate(self._faults.counted):
            if self._left[index] and entry.operation in (None, operation) and can_meet(entry.kind):
                self._left[index] -= 1
                return self._make_counted(entry.kind)
        return None

    def _make_counted(self, kind: str) -> Fault:
        part, may_arrive = self._faults.carried_out, kind in _MAY_ARRIVE or kind >= "500"
        arrives = kind == "truncate" if part is None else may_arrive and self._rng.random() < part
        if kind not in KINDS:
            return Fault("refuse", arrives, status=int(kind))
        seconds = self._faults.retry_after or (1 if kind == "429" else None)
        return Fault(kind, arrives, seconds if kind in ("429", "503") else None, fraction=0.5)

    def choose(self, now: float) -> Fault | None:
        """The random fault of a request that arrives now (seconds); None when it meets none."""
        if now < self._storm_end:
            return Fault("429", retry_after=math.ceil(self._storm_end - now))
        faults, rng = self._faults, self._rng
        if not faults.rates:
            return None
        no_fault_rate = max(0.0, 1 - sum(faults.rates.values()))
        (kind,) = rng.choices([None, *faults.rates], [no_fault_rate, *faults.rates.values()])
        if kind is None:
            return None
        if kind == "429":
            # Drawn also when a storm says how long: the draws of a seed must not depend on it.
            seconds = rng.randint(1, 2)
            self._storm_end = now + faults.storm
            return Fault("429", retry_after=math.ceil(faults.storm) or faults.retry_after or seconds)
        retry_after = faults.retry_after or rng.choice((None, 1)) if kind == "503" else None
        part = _HALF if faults.carried_out is None else faults.carried_out
        arrives = rng.random() < part and kind in _MAY_ARRIVE
        return Fault(kind, arrives, retry_after, rng.random() < 0.5, rng.random())
