"""The run report: JSON and a page, however the run ends."""

from __future__ import annotations

import html
import json
import logging
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError
from support import warm
from support.commands import singer_lines
from support.patience import PATIENCE
from target_support import Command, Run, records, schema_of

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import Incomplete, SettingsError
from klaviyo_client.http.usage import Usage
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.intake.run_facts import resend_command
from target_klaviyo.model.records import Outcome, OutcomeKind, SourceRecord
from target_klaviyo.reporting import run_report as module
from target_klaviyo.reporting.html import render_page
from target_klaviyo.reporting.rejected_people import hint_at_person
from target_klaviyo.reporting.rejects_file import RejectsFile
from target_klaviyo.reporting.results import RunResults
from target_klaviyo.reporting.run_report import RunEnd, RunReport, Section

NO = Outcome(OutcomeKind.REJECTED, 400, "invalid", "/data", "ada@example.com is not valid.")
YES = Outcome(OutcomeKind.DELIVERED, 201)
NASTY = """</pre><script>alert("it's")</script><img src=x onerror='alert(1)'>"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "report.json"


def results_at(path: Path, seconds: float = 90) -> RunResults:
    times = iter([datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=seconds)])
    return RunResults(RejectsFile(path.with_name("rejects.jsonl")), None, RunReport(path, now=lambda: next(times)))


def read_report(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def totals_of(text: str) -> dict[str, int]:
    tiles = re.findall(r'id="total-(\w+)">([\d,]+)<', text)
    return {name: int(count.replace(",", "")) for name, count in tiles}


def test_the_report_tells_the_run(path: Path) -> None:
    """Times, counts in all and per stream and action, reasons, rejected records, requests."""
    results = results_at(path)
    results.records = 4
    for outcome in (YES, NO, NO):
        results.add(SourceRecord("people", {"email": "ada@example.com"}), "upsert_profile", outcome)
    results.add_line('{"broken', Outcome(OutcomeKind.REJECTED, code="not_json", reason="no JSON"))
    results.close(usage={"bulk_import_profiles": Usage(3, 150)})

    report = read_report(path)

    assert report["plugin"] == "target-klaviyo"
    assert (report["started"], report["ended"]) == ("2026-11-01T00:00:00+00:00", "2026-11-01T00:01:30+00:00")
    assert (report["seconds"], report["ending"], report["records"]) == (90, "done", 4)
    assert report["totals"] == {"delivered": 1, "accepted": 0, "rejected": 3, "left_out": 0}
    assert report["streams"] == [
        {"stream": "people", "action": "upsert_profile", "delivered": 1, "accepted": 0, "rejected": 2, "left_out": 0},
        {"stream": "unreadable lines", "action": None, "delivered": 0, "accepted": 0, "rejected": 1, "left_out": 0},
    ]
    assert report["reasons"][0] == {
        "outcome": "rejected",
        "code": "invalid",
        "count": 2,
        "sample": "<email> is not valid.",
    }
    why = {"code": "invalid", "pointer": "/data", "reason": NO.reason, "record": {"email": "ada@example.com"}}
    assert report["rejected"][0] == {"stream": "people", "action": "upsert_profile", **why}
    assert report["rejected"][2]["record"] == '{"broken'
    assert report["requests"] == [
        {"operation": "bulk_import_profiles", "requests": 3, "per_minute": 150, "share": 0.0133}
    ]


def test_report_and_page_are_whole_and_private(path: Path) -> None:
    """Both replace what stood there, their owner alone reads them, and nothing half-written is left."""
    path.parent.mkdir()
    path.write_text("an earlier one that is open to all")
    results = results_at(path)
    results.add(SourceRecord("s", {"name": "\ud800"}), "", YES)
    results.add(SourceRecord("s", {"name": "\ud800"}), "", NO)
    results.close()

    assert sorted(entry.name for entry in path.parent.iterdir()) == ["rejects.jsonl", "report.html", "report.json"]
    for made in (path, path.with_suffix(".html")):
        assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert r"\ud800" in path.with_suffix(".html").read_text()


def test_a_report_that_cannot_be_finished_leaves_the_earlier_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full, what stood there stands there still, and no piece of the new one."""
    path.parent.mkdir()
    path.write_text("earlier")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    results = results_at(path)
    results.add(SourceRecord("s", {}), "", YES)
    with pytest.raises(Exception, match="the run's report cannot be written"):
        results.close()

    assert path.read_text() == "earlier"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.json"]


def test_rejected_records_are_kept_while_there_is_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand at most, and not more than memory bears; the report says how many are missing, and counts all."""
    results = results_at(path)
    for index in range(1_003):
        results.add(SourceRecord("s", {"id": index}), "", NO)
    results.close()
    assert len(read_report(path)["rejected"]) == 1_000
    assert read_report(path)["rejected_not_shown"] == 3
    assert read_report(path)["totals"]["rejected"] == 1_003
    assert "3 more are only in the rejects file" in path.with_suffix(".html").read_text()

    monkeypatch.setattr(module, "MAX_CHARACTERS", 500)
    results = results_at(path)
    for _ in range(9):
        results.add(SourceRecord("s", {"text": "x" * 100}), "", NO)
    results.close()
    assert (len(read_report(path)["rejected"]), read_report(path)["rejected_not_shown"]) == (4, 5)


def test_the_report_must_not_overwrite_the_rejects_file(path: Path) -> None:
    """Two settings that name one file are a mistake."""
    with pytest.raises(SettingsError, match="rejects_path"):
        RunResults(RejectsFile(path), None, RunReport(path))
    with pytest.raises(SettingsError, match="rejects_path"):
        RunResults(RejectsFile(path.with_suffix(".html")), None, RunReport(path))


def test_sections_of_others_are_in_both(path: Path) -> None:
    """What another part of the target has to tell is a title, notes and a table."""
    results = results_at(path)
    results.add_section(Section("Removed from VIP", ["2 people left."], ["Profile", "Times"], [["01A", 2], ["01B", 1]]))
    results.add_section(Section("A plan", ["Nothing was sent."]))
    results.close()

    assert read_report(path)["sections"] == [
        {
            "title": "Removed from VIP",
            "notes": ["2 people left."],
            "table": {"columns": ["Profile", "Times"], "rows": [["01A", 2], ["01B", 1]]},
        },
        {"title": "A plan", "notes": ["Nothing was sent."], "table": {"columns": [], "rows": []}},
    ]
    text = path.with_suffix(".html").read_text()
    assert text.index("Removed from VIP") < text.index("01B") < text.index("A plan")


def test_sections_without_a_report_are_no_burden(tmp_path: Path) -> None:
    """Whoever tells something need not know whether anybody listens."""
    results = RunResults(RejectsFile(tmp_path / "rejects.jsonl"))
    results.add_section(Section("A plan", ["Nothing was sent."]))
    results.close()
    assert list(tmp_path.iterdir()) == []


def strings(report: Any) -> Iterator[str]:
    match report:
        case dict():
            for name, value in report.items():
                yield name
                yield from strings(value)
        case list():
            for value in report:
                yield from strings(value)
        case str():
            yield report


def test_whatever_a_record_holds_is_shown_as_text(path: Path) -> None:
    """Tags and quotes in streams, codes, reasons, records and sections stay what they are: text."""
    results = results_at(path)
    bad = Outcome(OutcomeKind.REJECTED, 400, NASTY, NASTY, NASTY)
    results.add(SourceRecord(NASTY, {NASTY: [NASTY, {"deep": NASTY}]}), NASTY, bad)
    results.add_line(NASTY, bad)
    results.add_section(Section(NASTY, [NASTY], [NASTY], [[NASTY], [{NASTY: NASTY}]]))
    results.close(RunEnd("failed", reason=NASTY), usage={NASTY: Usage(1, 1)})

    text = path.with_suffix(".html").read_text()

    assert sum(NASTY in value for value in strings(read_report(path))) > 15
    assert text.count("<script") == 1
    assert "<img" not in text
    assert text.count("</pre>") == 2
    assert html.unescape(text).count(NASTY) > 15
    inside = re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.DOTALL)
    assert all(
        re.fullmatch(r"""<[!/]?[\w-]+(?: [\w-]+(?:="[^"<>]*")?)*>""", tag) for tag in re.findall(r"<[^>]*>", inside)
    )


def test_the_page_needs_nothing_from_elsewhere(path: Path) -> None:
    """No address, script or import is in it, and a policy says that none may be."""
    results = results_at(path)
    results.close()
    text = path.with_suffix(".html").read_text()
    assert not re.search(r"https?:|url\(|@import|\bsrc=|<script|<link", text)
    assert "default-src 'none'" in text
    assert text == render_page(read_report(path))


def test_a_page_that_lacks_something_is_not_made(path: Path) -> None:
    """A name that is in the template and not in the report is an error, not an empty place."""
    results_at(path).close()
    report = read_report(path)
    del report["version"]
    with pytest.raises(UndefinedError, match="version"):
        render_page(report)


def test_only_a_page_needs_the_template_library() -> None:
    """A run without a report, and `--help`, do not wait for Jinja to be imported."""
    program = "import sys, target_klaviyo.__main__, target_klaviyo.target; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# However it ends


def ended(run: Run) -> dict[str, Any]:
    """The report of a run, which its page agrees with."""
    report = read_report(run.folder / "out" / "run.json")
    shown = totals_of((run.folder / "out" / "run.html").read_text())
    expected = {"records": report["records"], "not_sent": report["not_sent"], **report["totals"]}
    assert shown == {name: count for name, count in expected.items() if count or name not in ("left_out", "not_sent")}
    assert "out/run.json" in run.said("INFO", "WARNING")[-1]
    return report


def people(*emails: str) -> list[dict[str, Any]]:
    return [schema_of("profiles"), *records("profiles", [{"email": email} for email in emails])]


def test_a_run_that_is_done(target: Command) -> None:
    """Its totals are those of the log's last line, and requests are counted."""
    run = target(people("a@example.com", "b@example.com", "nobody"), report_path="out/run.json")
    report = ended(run)

    assert (run.code, report["ending"], report["reason"], report["signal"]) == (0, "done", None, None)
    assert report["records"] == 3
    assert report["totals"] == {"delivered": 2, "accepted": 0, "rejected": 1, "left_out": 0}
    last = run.said("INFO", "WARNING")[-1]
    assert "done: 2 delivered, 0 accepted, 1 rejected" in last
    assert [row["record"]["email"] for row in report["rejected"]] == ["nobody"]
    assert sum(entry["requests"] for entry in report["requests"]) >= 1


def test_no_report_unless_asked_for(target: Command) -> None:
    """Nothing but what was there is there."""
    run = target(people("a@example.com"))
    assert run.code == 0
    assert [entry.name for entry in run.folder.iterdir()] == ["config.json"]


def test_a_run_with_too_many_rejected_records(target: Command) -> None:
    """It failed, and says why."""
    run = target(people("a@example.com", "nobody"), report_path="out/run.json", on_reject="fail")
    report = ended(run)
    assert (run.code, report["ending"], report["totals"]["rejected"]) == (1, "failed", 1)
    assert "records were rejected" in report["reason"]


def test_a_run_that_ends_by_an_error(target: Command) -> None:
    """The reason is the line of the log, without personal data; what came before it is counted."""
    messages = [*people("a@example.com"), schema_of("ada@example.com")]
    run = target(messages, report_path="out/run.json")
    report = ended(run)
    assert (run.code, report["ending"], report["records"]) == (2, "failed", 1)
    assert "<email>" in report["reason"]
    assert report["reason"] in run.said("CRITICAL")[-1]


def test_a_run_that_a_signal_stops(target: Command, account: RunningSandbox) -> None:
    """What is under way is settled first, and then told."""
    config = {**target.config, "report_path": "out/run.json"}
    (target.folder / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
    with warm.Popen(command, stdin=warm.PIPE, stderr=warm.PIPE, text=True, cwd=target.folder) as run:
        assert run.stdin is not None
        assert run.stderr is not None
        run.stdin.write(singer_lines(people("a@example.com", "nobody")))
        run.stdin.flush()
        assert any("rejected (" in line for line in run.stderr)
        run.send_signal(signal.SIGTERM)
        errors = run.stderr.read()
        run.stdin.close()
        code = run.wait(timeout=PATIENCE)

    report = ended(Run(code, "", errors, target.folder))

    assert (code, report["ending"], report["signal"]) == (143, "stopped", signal.SIGTERM)
    assert report["totals"]["rejected"] == 1
    assert report["records"] == 2
    assert report["not_sent"] == 1


def test_a_report_that_cannot_be_written_is_a_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who asked for a report and gets none in the end is told by the exit code; the records are there all the same."""
    folder = tmp_path / "out"
    results = RunResults(RejectsFile(tmp_path / "rejects.jsonl"), report=RunReport(folder / "run.json"))
    results.add(SourceRecord("s", {}), "upsert_profile", Outcome(OutcomeKind.DELIVERED, 201))
    folder.write_text("no folder any more")
    with caplog.at_level(logging.INFO), pytest.raises(Incomplete, match="the run's report cannot be written"):
        results.close()
    assert "done: 1 delivered" in caplog.messages[-1]


def test_a_report_that_is_no_json_is_a_wrong_setting(target: Command) -> None:
    """The page needs a name of its own."""
    run = target(people("a@example.com"), report_path="out/run.html")
    assert run.code == 2
    assert "report_path" in run.said("CRITICAL")[-1]


# Who, why, what now


def test_the_page_says_who_was_rejected(path: Path) -> None:
    """In the closed line a masked identifier, by which its owner knows it again; the record whole when it is opened."""
    results = results_at(path)
    row = {"First name": "Augusta", "E-Mail": "augusta@example.com", "Phone": "N/A"}
    results.add(SourceRecord("s", row), "upsert_profile", NO)
    results.close()
    text = path.with_suffix(".html").read_text()
    [summary] = re.findall(r"<summary>.*?</summary>", text, re.DOTALL)
    assert "a***a@e***.com" in summary
    assert "augusta@example.com" not in summary
    assert "augusta@example.com" in text


@pytest.mark.parametrize(
    ("record", "hint"),
    [
        ({"EMAIL": "", "Mobile": "+14155550100"}, "+1***00"),
        ({"$email": "ada.l@example.com"}, "a***l@e***.com"),
        ({"event": "Waved", "customer_properties": {"$email": "ada.l@example.com"}}, "a***l@e***.com"),
        ({"event": "Waved", "customer": "ada.l@example.com"}, "a***l@e***.com"),
        ({"external_id": 1815}, "1***"),
        ({"Customer no": "C-1815", "VIP": True}, "C***"),
        ({"email": None}, ""),
        ({}, ""),
        ("{broken", ""),
    ],
)
def test_the_hint_is_of_the_person(record: Any, hint: str) -> None:
    """The best identifier that a record has, under whatever spelling; else what comes first."""
    assert hint_at_person(record) == hint


def test_the_page_says_what_now(target: Command, account: RunningSandbox) -> None:
    """Whose account it is, which list, where the rejected records are, and the command that sends them again."""
    streams = {"profiles": {"action": "list_members", "list": "VIP", "create_list": True}}
    run = target(people("a@example.com", "nobody"), report_path="out/run.json", streams=streams)
    report = ended(run)
    [list_id] = [row["id"] for row in account.store.lists.rows.values() if row["name"] == "VIP"]
    [name] = [row["attributes"]["contact_information"]["organization_name"] for row in accounts(account)]
    rejects = run.folder / "target-klaviyo-rejects.jsonl"

    assert report["account"] == name
    assert report["lists"] == [{"name": "VIP", "id": list_id, "link": f"{account.url}/lists/{list_id}"}]
    assert report["rejects_path"] == str(rejects)
    assert report["resend_command"].endswith(f"config.json --input {rejects}")
    text = (run.folder / "out" / "run.html").read_text()
    for shown in (name, report["lists"][0]["link"], str(rejects), report["resend_command"], "retry_rejects"):
        assert shown in html.unescape(text)


def accounts(account: RunningSandbox) -> list[dict[str, Any]]:
    client = KlaviyoClient("pk_0123456789abcdef", api_url=account.url)
    return list(client.page("get_accounts").data)


def test_nothing_is_to_be_done_where_nothing_was_rejected(target: Command) -> None:
    """No path of a file that is not there, and no command."""
    run = target(people("a@example.com"), report_path="out/run.json")
    report = ended(run)
    assert (report["rejects_path"], report["resend_command"]) == (None, None)
    assert "What now" not in (run.folder / "out" / "run.html").read_text()


def test_a_key_that_may_not_read_the_account_is_no_fault(make_sandbox: Any, tmp_path: Path) -> None:
    """The report is without its name."""
    account = make_sandbox(profiles=1, events=0, limits=False, scopes=["profiles:write", "profiles:read"])
    target = Command(tmp_path, {"api_key": "pk_0123456789abcdef", "api_url": account.url})
    run = target(people("a@example.com"), report_path="out/run.json")
    assert (run.code, ended(run)["account"]) == (0, None)


@pytest.mark.parametrize(
    ("outcomes", "is_red"), [([NO, NO], True), ([NO, YES], False), ([YES], False), ([], False)], ids=str
)
def test_a_run_of_which_nothing_arrived_is_red(path: Path, outcomes: list[Outcome], is_red: bool) -> None:
    """Whatever its ending is called; and so is the row of a stream."""
    results = results_at(path)
    for outcome in outcomes:
        results.add(SourceRecord("s", {}), "upsert_profile", outcome)
    results.close()
    text = path.with_suffix(".html").read_text()
    assert ('class="badge failed"' in text) is is_red
    assert ("Nothing arrived" in text) is is_red
    assert ('<tr role="row" class="bad">' in text) is is_red


def test_bars_are_of_all_records(path: Path) -> None:
    """One rejected record of a hundred is one per cent, and no full bar."""
    results = results_at(path)
    for outcome in [NO, *[YES] * 99]:
        results.add(SourceRecord("s", {}), "upsert_profile", outcome)
    results.close()
    text = path.with_suffix(".html").read_text()
    assert "width:1.00%" in text
    assert "1 rejected, 1.0 %" in text


@pytest.mark.parametrize(
    ("arguments", "environment", "command"),
    [
        (["/bin/target-klaviyo", "--config=a.json", "--config", "ENV"], {},
         "target-klaviyo --config ENV --config a.json --input 'my rejects.jsonl'"),
        (["/x/target_klaviyo/__main__.py", "--config", "a"], {},
         "python -m target_klaviyo --config a --input 'my rejects.jsonl'"),
        (["/x/.meltano/bin/target-klaviyo", "--config", "/x/run/1.json"],
         {"MELTANO_PROJECT_ROOT": "/x", "MELTANO_ENVIRONMENT": "prod"},
         "meltano --environment prod invoke target-klaviyo --input 'my rejects.jsonl'"),
        (["/bin/other", "people.csv"], {}, None),
        ([], {}, None),
    ],
)  # fmt: skip
def test_the_command_is_the_one_that_was_called(
    arguments: list[str], environment: dict[str, str], command: str | None
) -> None:
    """With its config, and quoted for a shell; none where another program ran the target."""
    assert resend_command(Path("my rejects.jsonl"), arguments, environment) == command
