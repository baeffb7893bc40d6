"""Draws what ``end_to_end.py`` has found, for the documentation.

    python benchmarks/chart.py

Writes the chart and the table of ``docs/measurements.md`` anew from ``benchmarks/end_to_end.json``.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arrivals import ALONE, markdown, rate, share, table

ROOT = Path(__file__).parents[1]
FOUND = Path(__file__).with_name("end_to_end.json")
PAGE, CHART = ROOT / "docs" / "measurements.md", ROOT / "docs" / "end-to-end.svg"
TABLE = re.compile(r"(?<=<!-- end to end -->\n).*?(?=<!-- end of end to end -->)", re.DOTALL)
# What is drawn -> as it is in light, in dark. The first are placeholders that matplotlib takes for colours.
COLORS = {
    "#010101": ("ground", "#ffffff", "#0d1117"),
    "#020202": ("text", "#1f2328", "#e6edf3"),
    "#030303": ("faint", "#59636e", "#9198a1"),
    "#040404": ("ours", "#0969da", "#4493f8"),
    "#050505": ("others", "#afb8c1", "#656c76"),
}
GROUND, TEXT, FAINT, OURS, OTHERS = COLORS
FONT = "-apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


def draw(results: Mapping[str, Any]) -> str:
    """The chart as SVG: a bar for each pipe, ours in another colour, readable in light and in dark."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    lines = results["lines"]
    settings = {"svg.fonttype": "none", "svg.hashsalt": "end to end", "text.color": TEXT, "font.size": 11}
    with plt.rc_context(settings):
        figure, axes = plt.subplots(figsize=(10, 1.5 + 0.42 * len(lines)), facecolor=GROUND)
        axes.set_facecolor(GROUND)
        bars = axes.barh(
            [_label(line) for line in lines],
            [rate(line) for line in lines],
            color=[OURS if line["ours"] else OTHERS for line in lines],
            height=0.66,
        )
        axes.bar_label(bars, [_value(line, results) for line in lines], padding=5, color=TEXT)
        axes.invert_yaxis()
        axes.set_xlim(0, max(map(rate, lines)) * 1.32)
        axes.xaxis.set_visible(False)
        axes.tick_params(length=0, labelcolor=TEXT)
        axes.spines[:].set_visible(False)
        figure.suptitle("Events a second that arrive, from Klaviyo's API to where they can be queried", fontsize=13)
        note = f"{results['machine']}, shared with the sandbox; {results['account']}. Blue: this project."
        figure.text(0.5, 1 - 0.55 / figure.get_figheight(), note, ha="center", color=FAINT, fontsize=9.5)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / figure.get_figheight()))
        file = io.StringIO()
        figure.savefig(file, format="svg", facecolor=GROUND, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return _with_schemes(file.getvalue())


def _label(line: Mapping[str, Any]) -> str:
    return f"{line['reader']} alone, lines" if line["loader"] == ALONE else f"{line['reader']} → {line['loader']}"


def _value(line: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    part = share(line, results["lines"])
    arrived = "" if part is None or line["loader"] == ALONE else f"  ({part:.0%} of what it reads alone)"
    return f"{rate(line):,.0f}{arrived}"


def _with_schemes(svg: str) -> str:
    """Names in place of colours, and what they are in light and in dark; a font that is there."""
    for placeholder, (name, _, _) in COLORS.items():
        svg = svg.replace(placeholder, f"var(--{name})")
    light, dark = (" ".join(f"--{names[0]}: {names[at]};" for names in COLORS.values()) for at in (1, 2))
    style = f"<style>svg {{ {light} }} @media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}</style>"
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", rf"font: \1 {FONT}", svg)
    return re.sub(r"(<svg [^>]*>)", rf"\1\n {style}", svg, count=1)


def with_table(page: str, results: Mapping[str, Any]) -> str:
    """The page with the table of these results."""
    parts = [f"{results['machine']}; {results['account']}.", markdown(table(results))]
    parts += [f"Not measured: {entry['pipe']} ({entry['why']})." for entry in results["skipped"]]
    if history := results.get("history"):
        seconds, memory = f"{history['seconds']:.0f} seconds", f"{history['memory']:.0f} MB"
        parts.append(
            f"A history of {history['rows']:,} events into Parquet in one go, by `{history['reader']} → "
            f"{history['loader']}`: {seconds}, {memory} at most; `count(*)` {history['rows']:,}, "
            f"`count(distinct id)` {history['distinct']:,}."
        )
    text = "\n" + "\n\n".join(parts) + "\n\n"
    return TABLE.sub(lambda _: text, page)


def main() -> None:
    """Write the chart and the page's table."""
    results = json.loads(FOUND.read_text(encoding="utf-8"))
    CHART.write_text(draw(results), encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()
