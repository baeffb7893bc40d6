"""A revision other than the one that the sandbox speaks: answered with a warning, or refused with the reason."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import requests
from support.calls import KEY, REVISION, problem
from support.patience import PATIENCE

from klaviyo_sandbox import serve
from klaviyo_sandbox.http.control_fields import InvalidChange

OTHERS = ["2026-10-15", "2026-04-15", "2026-07-15.pre", "2099-01-15", "2023-09-15"]
NEWER = ["2026-10-15", "2026-10-15.pre", "2099-01-15"]
OPT_OUT = {"X-Klaviyo-Revision-Fall-Forward-Opt-Out": "1"}


def get(sandbox, revision=REVISION, path="profiles", **headers):
    given = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": revision, **headers}
    return requests.get(f"{sandbox.url}/api/{path}", headers=given, timeout=PATIENCE)


def page(sandbox):
    return requests.get(sandbox.url, headers={"Accept": "text/html"}, timeout=PATIENCE).text


@pytest.mark.parametrize("revision", OTHERS)
def test_another_revision_is_answered_with_a_warning(make_sandbox, caplog, revision):
    """In the log and on the page, which name both; the answer is that of the revision that is spoken."""
    sandbox = make_sandbox()
    assert get(sandbox).status_code == 200
    assert not caplog.records
    assert revision not in page(sandbox)
    with caplog.at_level(logging.WARNING):
        assert get(sandbox, revision).json()["data"] == get(sandbox).json()["data"]
    [record] = [record for record in caplog.records if record.name == "klaviyo_sandbox"]
    assert revision in record.getMessage()
    assert REVISION in record.getMessage()
    assert revision in page(sandbox)
    assert f"speaks {REVISION}" in page(sandbox)


def test_a_client_of_another_revision_is_warned_of_once(make_sandbox, caplog):
    """The log has a line for each revision, not for each request; the page counts them; a reset forgets."""
    sandbox = make_sandbox()
    for _ in range(3):
        for revision in ("2026-10-15", "2026-04-15"):
            get(sandbox, revision)
    assert len([record for record in caplog.records if record.name == "klaviyo_sandbox"]) == 2
    assert dict(sandbox.other_revisions) == {"2026-10-15": 3, "2026-04-15": 3}
    sandbox.control.reset()
    assert dict(sandbox.other_revisions) == {}


@pytest.mark.parametrize("headers", [{}, OPT_OUT])
@pytest.mark.parametrize("revision", OTHERS)
def test_another_revision_is_refused_where_that_is_asked_for(make_sandbox, revision, headers):
    """A 400 about the header, whose text says which revision the sandbox speaks."""
    sandbox = make_sandbox(other_revisions="refuse")
    refused = get(sandbox, revision, **headers)
    assert problem(refused) == (400, "invalid", {"parameter": "revision"})
    assert f"speaks {REVISION}" in refused.json()["errors"][0]["detail"]
    assert get(sandbox, **headers).status_code == 200


@pytest.mark.parametrize("other_revisions", ["warn", "refuse"])
@pytest.mark.parametrize("revision", NEWER)
def test_a_newer_revision_is_never_retired(make_sandbox, other_revisions, revision):
    """Also not for a client that opts out of being answered in another one."""
    answer = get(make_sandbox(other_revisions=other_revisions), revision, **OPT_OUT)
    assert answer.status_code == (200 if other_revisions == "warn" else 400)
    assert "retired" not in answer.text
    assert "no longer" not in answer.text


def test_a_retired_revision_says_what_is_spoken(make_sandbox):
    """A client that opts out is told by a 410, as Klaviyo tells it of one that is two years old."""
    sandbox = make_sandbox()
    refused = get(sandbox, "2023-09-15", **OPT_OUT)
    assert refused.status_code == 410
    assert REVISION in refused.json()["errors"][0]["detail"]
    assert get(sandbox, "2025-10-15", **OPT_OUT).status_code == 200


def test_what_becomes_of_other_revisions_can_be_changed(make_sandbox):
    """While it runs, and by no other word."""
    sandbox = make_sandbox()
    assert sandbox.control.settings["other_revisions"] == "warn"
    assert sandbox.control.change(other_revisions="refuse")["other_revisions"] == "refuse"
    assert get(sandbox, "2026-10-15").status_code == 400
    sandbox.control.change(other_revisions="warn")
    assert get(sandbox, "2026-10-15").status_code == 200
    with pytest.raises(InvalidChange):
        sandbox.control.change(other_revisions="ignore")
    with pytest.raises(ValueError, match="other_revisions"), serve(profiles=1, events=0, other_revisions="ignore"):
        pass


def test_the_command_warns_on_stderr_and_takes_the_option():
    """A line for a person to see, and a refusal with `--other-revisions refuse`."""
    for option, status in (("warn", 200), ("refuse", 400)):
        command = [sys.executable, "-m", "klaviyo_sandbox", "--port", "0", "--profiles", "2", "--events", "0"]
        with subprocess.Popen(
            [*command, "--other-revisions", option], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            url = process.stdout.readline().split()[4]
            headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-10-15"}
            assert requests.get(f"{url}/api/profiles", headers=headers, timeout=PATIENCE).status_code == status
            process.terminate()
            _, err = process.communicate(timeout=PATIENCE)
        assert ("2026-10-15" in err, REVISION in err) == ((status == 200,) * 2)
