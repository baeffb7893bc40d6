"""Charts of the last minutes: how many requests came, and how much of the busiest budget they took. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from klaviyo_sandbox.browser.model import Bar, Chart, Column
from klaviyo_sandbox.http.quotas import Peak
from klaviyo_sandbox.http.traffic import KINDS, SLOT_COUNT, SLOT_SECONDS

# Units of the drawing: its height, and from one column to the next.
HEIGHT, STEP = 40, 4
WIDTH = SLOT_COUNT * STEP
# One request among thousands can still be seen.
_LEAST_HEIGHT = 1.2
_LABELS = {"read": "reads", "write": "writes", "limited": "429", "failed": "failed"}
_PERIOD = f"the last {SLOT_COUNT * SLOT_SECONDS // 60} minutes"


def requests(slots: Sequence[tuple[int, Mapping[str, int]]], now: float) -> Chart:
    """Requests of each slot, given as (age in slots, kind -> requests), one kind on top of the other."""
    most = max((sum(counts.values()) for _, counts in slots), default=0)
    columns = []
    for age, counts in slots:
        bottom = 0.0
        bars = []
        for kind in KINDS:
            if counts.get(kind):
                height = max(_LEAST_HEIGHT, HEIGHT * counts[kind] / most)
                bottom = min(HEIGHT, bottom + height)
                bars.append(_bar(age, bottom, height, kind))
        told = ", ".join(f"{_LABELS[kind]} {counts[kind]:,}" for kind in KINDS if counts.get(kind))
        columns.append(Column(f"{_time(age, now)}: {told}", bars))
    total = sum((Counter(counts) for _, counts in slots), Counter[str]())
    legend = [(kind, f"{_LABELS[kind]} {total[kind]:,}") for kind in KINDS]
    count = sum(total.values())
    summary = f"{count:,} requests in {_PERIOD}: " + ", ".join(text for _, text in legend)
    scale = f"at most {most:,} in {SLOT_SECONDS} s" if most else "none"
    return Chart(f"Requests in {_PERIOD}", summary, columns, legend, scale)


def budgets(peaks: Sequence[tuple[int, Peak]], now: float) -> Chart:
    """The highest share of a minute's budget that was used in each slot, given as (age in slots, peak)."""
    columns = [
        Column(
            f"{_time(age, now)}: {_percent(peak.share)} of {peak.budget}",
            [_bar(age, height, height, _tone(peak.share))],
        )
        for age, peak in peaks
        for height in (max(_LEAST_HEIGHT, HEIGHT * min(1.0, peak.share)),)
    ]
    highest = max((peak for _, peak in peaks), key=lambda peak: peak.share, default=None)
    scale = f"at most {_percent(highest.share)} of {highest.budget}" if highest else "none"
    return Chart(f"Most used budget in {_PERIOD}", f"Of a minute's budget was used {scale}", columns, (), scale)


def _bar(age: int, top: float, height: float, tone: str) -> Bar:
    return Bar((SLOT_COUNT - 1 - age) * STEP, round(HEIGHT - top, 2), round(height, 2), tone)


def _time(age: int, now: float) -> str:
    slot = int(now // SLOT_SECONDS) - age
    return datetime.fromtimestamp(slot * SLOT_SECONDS, UTC).strftime("%H:%M:%S")


def _percent(share: float) -> str:
    """Rounded down, so that only what is used up is 100 %; what was used at all is 1 % at least."""
    return f"{max(1, int(share * 100))} %"


def _tone(share: float) -> str:
    return "full" if share >= 1 else "tight" if share >= 0.8 else "spent"
