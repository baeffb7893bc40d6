from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading

import pytest
import requests
from support import warm
from support.calls import Caller
from support.commands import run_command

from klaviyo_sandbox import serve
from klaviyo_sandbox.account.persistence import FILE, DataRefused
from klaviyo_sandbox.writes.consents import confirm, waiting

COMMAND = [sys.executable, "-m", "klaviyo_sandbox", "--port", "0", "--no-limits"]
SMALL = {"profiles": 40, "events": 60, "limits": False, "job_seconds": 0.0}
PROCEDURAL = {**SMALL, "procedural": True, "profiles": 2000, "events": 3000}


@contextlib.contextmanager
def served(**arguments):
    """(account, caller) of a sandbox that runs until the block ends."""
    with serve(**arguments) as account, contextlib.closing(Caller(account.url)) as caller:
        yield account, caller


def person(**attributes):
    return {"type": "profile", "attributes": attributes}


def members(who):
    return {"data": [{"type": "profile", "id": who}]}


def event(email, unique_id):
    attributes = {
        "properties": {"a": 1},
        "unique_id": unique_id,
        "metric": {"data": {"type": "metric", "attributes": {"name": "Tried On"}}},
        "profile": {"data": person(email=email)},
    }
    return {"data": {"type": "event", "attributes": attributes}}


def rows_job(kind, rows, **more):
    return {"data": {"type": kind, "attributes": {"profiles": {"data": rows}, **more}}}


def snapshot(store):
    """Everything that can be asked of the account; sequences in whatever type."""
    tables = {name: held for name, held in vars(store).items() if hasattr(held, "rows_at")}
    for name in ("list_members", "segment_members"):
        tables.update({f"{name} {group}": table for group, table in getattr(store, name).items()})
    found = {name: {row_id: _plain(row) for row_id, row in table.rows.items()} for name, table in tables.items()}
    return {**found, "order": {name: list(rows) for name, rows in found.items()}, "identifiers": store.identifiers}


def _plain(value):
    if hasattr(value, "keys"):
        return {name: _plain(value[name]) for name in value}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def write_everything(account, call):
    """One write of every kind; all are taken."""
    store = account.store
    first, second, third, *_ = [row_id for _, row_id in store.profiles.sorted_keys("id")]
    list_id = next(group for group, table in store.list_members.items() if len(table) > 1)
    inside = store.list_members[list_id].sorted_keys("id")[0][1]
    made = call.post("lists", {"data": {"type": "list", "attributes": {"name": "Mine"}}}).json()["data"]["id"]
    double = {"name": "Double", "opt_in_process": "double_opt_in"}
    asked = call.post("lists", {"data": {"type": "list", "attributes": double}}).json()["data"]["id"]
    wanted = person(email="waits@example.com", subscriptions={"email": {"marketing": {"consent": "SUBSCRIBED"}}})
    consent = rows_job("profile-subscription-bulk-create-job", [wanted])
    consent["data"]["relationships"] = {"list": {"data": {"type": "list", "id": asked}}}
    deletion = {"profile": {"data": {"type": "profile", "id": third, "attributes": {}}}}
    answers = [
        call.post("profile-import", {"data": person(email="new@example.com", properties={"$table": [1], "ö": None})}),
        call.send("PATCH", f"profiles/{first}", {"data": {**person(external_id="changed"), "id": first}}),
        call.post("profile-bulk-import-jobs", rows_job("profile-bulk-import-job", [person(email="job@example.com")])),
        call.post("events", event("new@example.com", "u1")),
        call.post(f"lists/{list_id}/relationships/profiles", members(second)),
        call.send("DELETE", f"lists/{list_id}/relationships/profiles", members(inside)),
        call.post(f"lists/{made}/relationships/profiles", members(first)),
        call.post("profile-subscription-bulk-create-jobs", consent),
        call.post(
            "profile-suppression-bulk-create-jobs",
            rows_job("profile-suppression-bulk-create-job", [person(email="new@example.com")]),
        ),
        call.post(
            "data-privacy-deletion-jobs", {"data": {"type": "data-privacy-deletion-job", "attributes": deletion}}
        ),
    ]
    assert all(answer.status_code < 300 for answer in answers), [answer.text for answer in answers]
    return asked


@pytest.mark.parametrize("kind", [SMALL, PROCEDURAL])
def test_an_account_that_is_kept_is_the_same_again(tmp_path, kind):
    """After writes of every kind, a sandbox started again on the directory has the same account, row by row."""
    with served(data=tmp_path / "kept", **kind) as (account, call):
        asked = write_everything(account, call)
        before = snapshot(account.store)
        assert before["pending_consents"]
    with served(data=tmp_path / "kept", **kind) as (account, call):
        assert snapshot(account.store) == before
        assert call.post("events", event("new@example.com", "u1")).status_code == 202
        assert len(account.store.events) == len(before["events"])
        confirm(account.store, *waiting(account.store, "waits@example.com", asked))
        assert len(account.store.list_members[asked]) == 1
    with served(data=tmp_path / "kept", **kind) as (account, _):
        assert (len(account.store.list_members[asked]), len(account.store.pending_consents)) == (1, 0)


def test_jobs_and_their_errors_are_kept(tmp_path):
    """A job that was complete shows its errors again; one that was under way ends in the next sandbox."""
    rows = [person(email="a@example.com", phone_number="+12025550111"), person(email="b@example.com")]
    body = rows_job("profile-bulk-import-job", rows)
    with served(data=tmp_path, **SMALL) as (account, call):
        taken = [row for row in account.store.profiles.rows.values() if row["phone_number"] and row["email"]]
        clash = {**rows[0]["attributes"], "email": taken[0]["email"], "phone_number": taken[1]["phone_number"]}
        rows[0]["attributes"] = clash
        done = call.post("profile-bulk-import-jobs", body).json()["data"]["id"]
        errors = call.rows(f"profile-bulk-import-jobs/{done}/import-errors")
        assert len(errors) == 1
    with served(data=tmp_path, **{**SMALL, "job_seconds": 60.0}) as (account, call):
        assert [one["id"] for one in call.rows(f"profile-bulk-import-jobs/{done}/import-errors")] == [errors[0]["id"]]
        rows[:] = [person(email="later@example.com")]
        waits = call.post("profile-bulk-import-jobs", body).json()["data"]["id"]
        assert account.store.find_profile_id("email", "later@example.com") is None
    later = account.store.now().timestamp() + 120
    with served(data=tmp_path, clock=lambda: later, **SMALL) as (account, call):
        job = call.get(f"profile-bulk-import-jobs/{waits}").json()["data"]["attributes"]
        assert (job["status"], job["completed_count"]) == ("complete", 1)
        assert account.store.find_profile_id("email", "later@example.com")


# An answer that the kill cut off is half read, and `requests` keeps no hold of its connection to close it by.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("size", [["--events", "50", "--profiles", "20"], ["--events", "100_000_000"]])
def test_what_was_answered_outlives_a_kill(tmp_path, size):
    """A sandbox that is killed in the middle of writes has, started again, every profile that it said it had."""
    answered = []

    def write(url, number):
        # The kill may come in the middle of an answer.
        with contextlib.closing(Caller(url)) as call, contextlib.suppress(requests.RequestException):
            for at in range(10_000):
                email = f"writer{number}.{at}@example.com"
                answer = call.post("profile-import", {"data": person(email=email)})
                answered.append((email, answer.json()["data"]["id"]))
                if len(answered) >= 150:
                    process.kill()  # whoever comes second finds it gone, which is no error

    with start("--data", str(tmp_path), *size) as process:
        url = process.stdout.readline().split()[4]
        writers = [threading.Thread(target=write, args=(url, number)) for number in range(3)]
        for thread in writers:
            thread.start()
        for thread in writers:
            thread.join()
    assert len(answered) >= 150
    # Nothing is said of the account this time: the directory knows.
    with start("--data", str(tmp_path)) as process:
        line = process.stdout.readline()
        assert f"{int(size[1])} events" in line
        with contextlib.closing(Caller(line.split()[4])) as call:
            for at in range(0, len(answered), 50):
                part = dict(answered[at : at + 50])
                listed = ",".join(f'"{email}"' for email in part)
                rows = call.rows("profiles", filter=f"any(email,[{listed}])", page__size=100)
                assert {row["attributes"]["email"]: row["id"] for row in rows} == part
        process.terminate()


def start(*arguments):
    return warm.Popen([*COMMAND, *arguments], stdout=warm.PIPE, stderr=warm.PIPE, text=True)


def refused(*arguments):
    """What the command says when it ends with 2."""
    done = run_command([*COMMAND, *arguments])
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "other", [["--seed", "2"], ["--profiles", "41"], ["--events", "61"], ["--procedural"], ["--events", "100_000_000"]]
)
def test_a_directory_belongs_to_one_account(tmp_path, other):
    """Another seed, number or kind than the account was made with is refused, in one line that names both."""
    with served(data=tmp_path, **SMALL):
        pass
    said = refused("--data", str(tmp_path), *other)
    assert f"{tmp_path} holds a seeded account of seed 1 with 40 profiles and 60 events, not a" in said


def test_two_sandboxes_cannot_share_a_directory(tmp_path):
    """While one has it open another is refused, from this process or another one."""
    with served(data=tmp_path, **SMALL) as (_, call):
        assert "another process has it open" in refused("--data", str(tmp_path))
        with pytest.raises(DataRefused, match="has it open"), serve(data=tmp_path, **SMALL):
            pass
        assert call.post("profile-import", {"data": person(email="a@example.com")}).status_code == 201


def test_what_is_no_account_is_refused_and_left_alone(tmp_path):
    """A text file, a database of another program and one of a newer format are told apart, and none is changed."""
    path = tmp_path / FILE
    path.write_text("I am not a database, but I am long enough to be looked at as one. " * 20)
    before = path.read_bytes()
    assert "is no account of klaviyo-sandbox" in refused("--data", str(tmp_path))
    assert path.read_bytes() == before
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE made (name)")
    before = path.read_bytes()
    assert "is no account of klaviyo-sandbox" in refused("--data", str(tmp_path))
    assert path.read_bytes() == before
    path.unlink()
    with served(data=tmp_path, **SMALL):
        pass
    with contextlib.closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")
    assert "has format 99" in refused("--data", str(tmp_path))
    assert "cannot keep data in" in refused("--data", str(path))


def test_an_account_that_would_come_out_otherwise_is_refused(tmp_path):
    """What was written belongs to the account it was written to, when a later version makes another of the seed."""
    with served(data=tmp_path, **SMALL):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute("UPDATE made SET value = 'other' WHERE name = 'fingerprint'")
    assert "another version" in refused("--data", str(tmp_path))


def test_only_the_owner_can_read_what_is_kept(tmp_path):
    """Directory and files are for their owner from the start, whatever the mask allows."""
    old = os.umask(0)
    try:
        with served(data=tmp_path / "kept", **SMALL) as (_, call):
            call.post("profile-import", {"data": person(email="a@example.com")})
            modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "kept").iterdir()}
            assert set(modes.values()) == {0o600}
            assert f"{FILE}-wal" in modes
            assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(old)


def test_an_unwritable_change_is_not_answered_as_done(tmp_path, monkeypatch):
    """When the database cannot be written the request meets a 500, and the next one writes both changes."""
    with served(data=tmp_path, **SMALL) as (account, call):
        save = account.store.save

        def full():
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(account.store, "save", full)
        assert call.post("profile-import", {"data": person(email="a@example.com")}).status_code == 500
        monkeypatch.setattr(account.store, "save", save)
        # A 500 closes its connection.
        with contextlib.closing(Caller(account.url)) as again:
            assert again.post("profile-import", {"data": person(email="b@example.com")}).status_code == 201
    with served(data=tmp_path, **SMALL) as (account, _):
        assert account.store.find_profile_id("email", "a@example.com")
        assert account.store.find_profile_id("email", "b@example.com")
