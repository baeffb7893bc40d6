"""The run report's page in a browser."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from support.chromium import NEEDS_CHROMIUM, command_line
from support.patience import PATIENCE

from klaviyo_client.http.usage import Usage
from target_klaviyo.model.records import Outcome, OutcomeKind, SourceRecord
from target_klaviyo.reporting.rejects_file import RejectsFile
from target_klaviyo.reporting.results import RunResults
from target_klaviyo.reporting.run_report import RunEnd, RunReport, Section

pytestmark = NEEDS_CHROMIUM

# The browser makes no window as narrow as a phone; a frame can be, and its layout is that of such a window.
FRAME = """<!DOCTYPE html><meta charset="utf-8">
<iframe id="frame" style="border:0" width="{width}" height="800" src="{name}"></iframe>
<pre id="found"></pre><script>
document.getElementById("frame").onload = (event) => {{
  const page = event.target.contentDocument;
  const all = (query) => [...page.querySelectorAll(query)];
  all("details").forEach((entry) => {{ entry.open = true; }});
  const inner = event.target.contentWindow;
  document.getElementById("found").textContent = JSON.stringify({{
    width: page.documentElement.clientWidth,
    scrollWidth: page.documentElement.scrollWidth,
    totals: Object.fromEntries(all("[id^=total-]").map((entry) => [entry.id.slice(6), entry.textContent])),
    records: all("details.row pre").map((entry) => entry.textContent),
    track: all(".track")[0]?.getBoundingClientRect().width,
    filters: all("#filters").map((entry) => entry.hidden),
    bars: all(".bar").map((entry) => entry.getBoundingClientRect().width),
    cut: all("main *:not(thead *)").filter((entry) => entry.getBoundingClientRect().right > inner.innerWidth).length,
    scripts: all("script, img").length,
    back: inner.getComputedStyle(page.body).backgroundColor,
  }});
}};
</script>
"""
NASTY = """</pre><script>console.error("run")</script><img src=x onerror='console.error("it\\'s")'>"""


def look(page: Path, width: int, *, dark: bool = False) -> tuple[dict[str, Any], list[str]]:
    """What a browser makes of a page in a frame of that width, and what its console says."""
    frame = page.with_name("frame.html")
    frame.write_text(FRAME.format(width=width, name=page.name))
    command = [
        *(*command_line(page.parent / "browser"), "--allow-file-access-from-files", "--enable-logging=stderr"),
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        *("--virtual-time-budget=2000", "--window-size=1400,900"),
        *("--dump-dom", frame.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    layout = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert layout, done.stdout + done.stderr
    return json.loads(unescape(layout[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The report of a run that has everything, long and nasty values too."""
    path = tmp_path / "run.json"
    results = RunResults(RejectsFile(tmp_path / "rejects.jsonl"), None, RunReport(path))
    results.records = 1_300
    for _ in range(1_200):
        results.add(SourceRecord("profiles", {}), "upsert_profile", Outcome(OutcomeKind.DELIVERED, 201))
    long = "a_name_that_is_as_long_as_somebody_may_want_it_and_has_no_place_to_break" * 2
    reasons = [("invalid", 60, "No."), (long, 30, long), (NASTY, 10, NASTY)]
    for code, count, reason in reasons:
        for _ in range(count):
            outcome = Outcome(OutcomeKind.REJECTED, 400, code, f"/data/{long}", reason)
            results.add(SourceRecord(long, {"text": NASTY, long: long}), long, outcome)
    results.add_section(Section("Removed", [long], ["Profile", long, *"abcdefgh"], [[long, NASTY, *range(8)]] * 3))
    results.close(RunEnd("failed", reason=f"because of {NASTY}"), not_sent=7, usage={long: Usage(12, 150)})
    return path


@pytest.mark.parametrize("width", [390, 1200])
def test_it_fits_and_tells_what_the_document_tells(report: Path, width: int) -> None:
    """No sideways scroll, nothing cut off, no word on the console, and the document's numbers and records."""
    document = json.loads(report.read_text())

    layout, console = look(report.with_suffix(".html"), width)

    assert console == []
    assert layout["width"] == width
    assert layout["scrollWidth"] <= width
    assert layout["cut"] == 0
    assert layout["scripts"] == 1
    shown = {name: int(text.replace(",", "")) for name, text in layout["totals"].items()}
    expected = {**document["totals"], "records": document["records"], "not_sent": document["not_sent"]}
    assert shown == {name: count for name, count in expected.items() if name != "left_out"}
    assert [json.loads(text) for text in layout["records"]] == [row["record"] for row in document["rejected"]]
    # Of all records, and wide enough to be seen.
    expected_bars = [max(4.8, layout["track"] * count / 1_300) for count in (60, 30, 10)]
    assert layout["bars"] == [pytest.approx(width, abs=0.1) for width in expected_bars]
    assert layout["filters"] == [False]


def test_it_is_dark_where_the_reader_wants_it(report: Path) -> None:
    """The colours follow the reader's choice."""
    light, _ = look(report.with_suffix(".html"), 390)
    dark, _ = look(report.with_suffix(".html"), 390, dark=True)
    assert light["back"] == "rgb(246, 247, 249)"
    assert dark["back"] == "rgb(15, 18, 22)"


def test_a_page_that_is_broken_would_be_found(tmp_path: Path) -> None:
    """The check sees what it is there to see: a script that runs, a console that complains, a line that is too wide."""
    page = tmp_path / "run.html"
    page.write_text(f'<!DOCTYPE html><body><main><p style="width:900px">x</p></main><pre>{NASTY}')
    layout, console = look(page, 390)
    assert any("run" in line for line in console)
    assert layout["scrollWidth"] > 390
    assert layout["cut"]
    assert layout["scripts"] == 2


FILTERING = """<!DOCTYPE html><iframe id="frame" width="900" height="800" src="run.html"></iframe>
<pre id="found"></pre><script>
document.getElementById("frame").onload = (event) => {
  const page = event.target.contentDocument;
  const shown = () => [...page.querySelectorAll("details.row")].filter((row) => row.offsetParent).length;
  const found = [shown()];
  const set = (id, value, kind) => {
    page.getElementById(id).value = value;
    page.getElementById(id).dispatchEvent(new Event(kind));
    found.push(shown());
  };
  set("filter-text", "VALUE 7", "input");
  set("filter-text", "value", "input");
  set("filter-reason", "other", "change");
  set("filter-text", "nobody has it", "input");
  document.getElementById("found").textContent = JSON.stringify(
    {found, said: page.getElementById("filter-shown").textContent});
};
</script>
"""


def test_rejected_records_can_be_searched(tmp_path: Path) -> None:
    """By any text of theirs, whatever its case, and by the reason; the policy lets this script run, and no other."""
    results = RunResults(RejectsFile(tmp_path / "r.jsonl"), None, RunReport(tmp_path / "run.json"))
    for number in range(20):
        outcome = Outcome(OutcomeKind.REJECTED, 400, "other" if number % 4 else "invalid", "/data", "No.")
        results.add(SourceRecord("s", {"text": f"value {number}."}), "track_event", outcome)
    results.close()
    (tmp_path / "frame.html").write_text(FILTERING)
    command = [
        *(*command_line(tmp_path / "browser"), "--allow-file-access-from-files", "--virtual-time-budget=2000"),
        *("--dump-dom", (tmp_path / "frame.html").as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    layout = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert layout, done.stdout
    assert json.loads(unescape(layout[1])) == {"found": [20, 1, 20, 15, 0], "said": "0 of 20 shown"}
