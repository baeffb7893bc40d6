from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from importlib import metadata
from pathlib import Path
from unittest.mock import Mock

import pytest
import requests
import yaml
from support.calls import KEY, REVISION, Caller
from support.commands import run_command
from support.markdown import code_blocks
from support.patience import PATIENCE

from klaviyo_sandbox.__main__ import main

COMMAND = [sys.executable, "-m", "klaviyo_sandbox"]
SMALL = ["--profiles", "20", "--events", "30"]


def start(*arguments):
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*arguments):
    return run_command([*COMMAND, *arguments])


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_leaves_cleanly(ending):
    """One line on stdout gives the address, the account answers there, and a signal ends it with 0 and no words."""
    with start("--port", "0", *SMALL, "--key", "pk_mine") as process:
        line = process.stdout.readline()
        url = line.split()[4]
        assert line == f"Klaviyo sandbox ready at {url} (20 profiles, 30 events)\n"
        assert url.startswith("http://127.0.0.1:")
        headers = {"Authorization": "Klaviyo-API-Key pk_mine", "revision": REVISION}
        assert requests.get(f"{url}/api/profiles", headers=headers, timeout=PATIENCE).status_code == 200
        headers["Authorization"] = f"Klaviyo-API-Key {KEY}"
        assert requests.get(f"{url}/api/profiles", headers=headers, timeout=PATIENCE).status_code == 401
        process.send_signal(ending)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "Klaviyo sandbox ended: no breaches of manners\n", "")


def test_it_ends_with_the_number_of_breaches():
    """And with their kinds."""
    with start("--port", "0", *SMALL, "--no-limits", "--max-repeats", "1") as process:
        url = process.stdout.readline().split()[4]
        headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}
        for _ in range(4):
            requests.get(f"{url}/api/lists", headers=headers, timeout=PATIENCE)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "Klaviyo sandbox ended: 2 breaches of manners: 2 repetition\n", "")


def test_who_reads_only_the_address_disturbs_nothing():
    """The last line finds nobody, and the command ends with 0 and no words."""
    with start("--port", "0", *SMALL) as process:
        process.stdout.readline()
        process.stdout.close()
        process.send_signal(signal.SIGTERM)
        assert (process.wait(timeout=PATIENCE), process.stderr.read()) == (0, "")


def test_a_port_that_is_taken_is_one_line():
    """When the port is in use the command ends with 2 and one line that says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("--port", str(taken.getsockname()[1]), *SMALL)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "cannot listen on 127.0.0.1 port" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scopes", "profiles:all"],
        ["--port", "99999"],
        ["--profiles", "-1"],
        ["--include-limit", "0:5"],
        ["--faults", "418=1"],
        ["--repeats", "always"],
        ["--job-end", "failed"],
        ["--pointers", "some"],
        ["--other-revisions", "ignore"],
        ["--attribution", "email"],
        ["--conversions", "all"],
        ["--job-seconds", "-1"],
    ],
)
def test_bad_options_are_told_without_a_traceback(arguments):
    """An unknown scope, an impossible port or number ends the command with 2 and a reason."""
    done = run(*SMALL, *arguments)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_without_what_it_needs_it_says_what_to_install():
    """When starlette is not there the command says what brings it in one line."""
    program = """
        import sys
        sys.modules["starlette"] = None
        from klaviyo_sandbox.__main__ import main
        sys.exit(main(["--port", "0"]))
    """
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=environment,
    )
    assert done.returncode == 2
    assert done.stderr.endswith(
        "needs starlette and uvicorn: pip install ./klaviyo_sandbox in a clone of singer-klaviyo\n"
    )
    assert done.stderr.count("\n") == 1


def test_its_version_is_told_where_nothing_is_installed(monkeypatch, capsys):
    """In a checkout that nobody installed, `--version` says so."""
    monkeypatch.setattr(metadata, "version", Mock(side_effect=metadata.PackageNotFoundError))
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == "klaviyo-sandbox, not installed\n"


def test_faults_are_asked_for_by_option():
    """`--faults` makes requests fail, and a text that cannot be read is one line."""
    with start("--port", "0", *SMALL, "--faults", "503=1") as process:
        url = process.stdout.readline().split()[4]
        assert requests.get(f"{url}/api/profiles", timeout=PATIENCE).status_code == 503
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    refused = run(*SMALL, "--port", "0", "--faults", "503=2")
    assert refused.returncode == 2
    assert refused.stderr == (
        "klaviyo-sandbox: faults: 503 must be a number from 0 to 1, not '2' (503x2: the next 2 requests)\n"
    )


def test_how_long_and_how_often_is_attributed_are_options():
    """`--attribution` and `--conversions` reach the account."""
    arguments = ["--attribution", "email=0,sms=0,sms_received=0,push=0", "--conversions", "each"]
    with start("--port", "0", "--profiles", "60", "--events", "400", *arguments) as process:
        caller = Caller(process.stdout.readline().split()[4])
        rows = caller.rows("events", include="attributions", page__size=1000)
        assert not any("attributions" in row["relationships"] for row in rows)
        settings = requests.get(f"{caller.url}/sandbox/settings", timeout=PATIENCE).json()
        assert settings["conversions"] == "each"
        caller.close()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def test_how_jobs_end_and_what_is_a_repetition_are_options():
    """`--job-end`, `--job-seconds`, `--repeats` and `--quiet-suppressions` reach the account."""
    arguments = ["--job-end", "cancelled", "--job-seconds", "0", "--repeats", "history", "--quiet-suppressions"]
    with start("--port", "0", *SMALL, *arguments) as process:
        caller = Caller(process.stdout.readline().split()[4])
        settings = requests.get(f"{caller.url}/sandbox/settings", timeout=PATIENCE).json()
        assert settings["quiet_suppressions"] is True
        rows = {"profiles": {"data": [{"type": "profile", "attributes": {"email": "a@example.com"}}]}}
        job = {"data": {"type": "profile-bulk-import-job", "attributes": rows}}
        job_id = caller.post("profile-bulk-import-jobs", job).json()["data"]["id"]
        attributes = caller.get(f"profile-bulk-import-jobs/{job_id}").json()["data"]["attributes"]
        assert attributes["status"] == "cancelled"
        metric = {"data": {"type": "metric", "attributes": {"name": "Tried On"}}}
        event = {"type": "event", "attributes": {"properties": {}, "metric": metric, "unique_id": "1"}}
        entry = {"profile": {"data": rows["profiles"]["data"][0]}, "events": {"data": [event]}}
        entries = {"events-bulk-create": {"data": [{"type": "event-bulk-create", "attributes": entry}]}}
        body = {"data": {"type": "event-bulk-create-job", "attributes": entries}}
        answers = [caller.post("event-bulk-create-jobs", body).status_code for _ in range(2)]
        assert answers == [202, 400]
        caller.close()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def test_the_steps_for_continuous_integration_work(tmp_path):
    """Each in a shell of its own, as a runner types them: one waits, one finds the address, the last reports."""
    page = (Path(__file__).parents[2] / "docs" / "start" / "sandbox.md").read_text()
    (workflow,) = (block.text for block in code_blocks(page) if block.language == "yaml")
    typed = [step["run"] for step in yaml.safe_load(workflow)["jobs"]["test"]["steps"] if "run" in step]
    _, start_it, wait, _, end = [text.replace("8765", "0") for text in typed]
    environment = {**os.environ, "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"}

    def type_step(text):
        # What goes on in the background must not hold a pipe open.
        output = tmp_path / "output"
        with output.open("wb") as file:
            command = ["bash", "-e", "-o", "pipefail", "-c", text]
            done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=file, stderr=file, check=False)
        assert done.returncode == 0, output.read_text()
        return output.read_text()

    type_step(f"{start_it.replace('--profiles 500 --events 3000', '--profiles 5 --events 5')}")
    find_address = "until " + next(line for line in page.splitlines() if "grep -o" in line).split("`")[-2]
    url = type_step(f"{find_address}; do sleep 0.05; done").split()[-1]
    assert '"faults":""' in type_step(wait.replace("http://127.0.0.1:0", url))
    assert "Klaviyo sandbox ended: no breaches of manners" in type_step(end)
