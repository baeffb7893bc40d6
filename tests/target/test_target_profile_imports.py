"""Requests, refusals and jobs, over a wire that is a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_support import refused, respond, scripted_session

from klaviyo_client.errors import Incomplete, InvalidKey, Refused, SettingsError, Unavailable
from klaviyo_client.http.transport import Request, Response, TransportError
from target_klaviyo.actions.suppressions import SUPPRESS
from target_klaviyo.delivery.action import Row
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.endpoints.profile_imports import MAX_SINGLE, deliver
from target_klaviyo.model.records import ListRef, Outcome, OutcomeKind, SourceRecord

ON_LIST = ListRef(id="LIST01")


def people(count: int, on: ListRef | None = None, **attributes: Any) -> list[Row]:
    rows = []
    for index in range(count):
        payload = {"type": "profile", "attributes": {"email": f"p{index}@example.com", **attributes}}
        rows.append(Row(SourceRecord("s", payload["attributes"]), payload, encode_json(payload), on))
    return rows


def sent(request: Request) -> list[str]:
    profiles = json.loads(request.body or b"")["data"]["attributes"]["profiles"]["data"]
    return [profile["attributes"]["email"] for profile in profiles]


class Imports:
    """Import jobs that fail the people of `failing`; `judge` may refuse a request first."""

    def __init__(self, judge: Callable[[Request], Response | None] = lambda _: None, **job: Any) -> None:
        self.judge = judge
        self.job = job
        self.failing: list[dict[str, Any]] = []
        self.requests: list[list[str]] = []

    def __call__(self, request: Request) -> Response:
        path = request.url.removeprefix("https://a.klaviyo.com/api/")
        if path == "profile-bulk-import-jobs":
            self.requests.append(sent(request))
            if verdict := self.judge(request):
                return verdict
            return respond(202, {"data": {"type": "profile-bulk-import-job", "id": "J", "attributes": {}}})
        if path == "profile-bulk-import-jobs/J":
            job = {"status": "complete", "total_count": 1, "failed_count": len(self.failing), **self.job}
            return respond(200, {"data": {"type": "profile-bulk-import-job", "id": "J", "attributes": job}})
        if path == "profile-bulk-import-jobs/J/import-errors":
            assert request.query["page[size]"] == "100"
            start = int(request.query.get("page[cursor]", 0))
            page = self.failing[start : start + 100]
            more = f"{request.url}?page[size]=100&page[cursor]={start + 100}" if self.failing[start + 100 :] else None
            data = [{"type": "import-error", "id": "1", "attributes": error} for error in page]
            return respond(200, {"data": data, "links": {"next": more}})
        if path.startswith("lists/"):
            return respond(200, {"data": {"type": "list", "id": "LIST01", "attributes": {"name": "x"}}})
        raise AssertionError(path)


def error_about(email: str | None, pointer: str = "/data") -> dict[str, Any]:
    payload = None if email is None else {"email": email}
    return {
        "code": "conflict",
        "title": "No",
        "detail": "Taken",
        "source": {"pointer": pointer},
        "original_payload": payload,
    }


def outcomes_of(session: Any, rows: list[Row]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for unit, outcome in deliver(session, rows):
        for row in unit.rows:
            assert row.source.record["email"] not in outcomes
            outcomes[row.source.record["email"]] = outcome
    assert len(outcomes) == len(rows)
    return outcomes


def rejected(outcomes: dict[str, Outcome]) -> set[str]:
    return {email for email, outcome in outcomes.items() if outcome.kind is OutcomeKind.REJECTED}


def test_few_people_go_one_by_one_and_many_in_one_job() -> None:
    """Up to MAX_SINGLE single requests are quicker than a job; with a list it is always a job."""
    paths: list[str] = []
    jobs = Imports()

    def wire(request: Request) -> Response:
        paths.append(request.url.rpartition("/")[2])
        return respond(201, {"data": {}}) if request.url.endswith("profile-import") else jobs(request)

    session, _ = scripted_session(wire)
    outcomes_of(session, people(MAX_SINGLE))
    assert paths == ["profile-import"] * MAX_SINGLE
    paths.clear()
    outcomes_of(session, people(MAX_SINGLE + 1))
    assert paths == ["profile-bulk-import-jobs", "J"]
    paths.clear()
    outcomes_of(session, people(1, ON_LIST))
    assert paths == ["LIST01", "profile-bulk-import-jobs", "J"]


def test_rows_that_a_400_points_at_are_dropped_and_the_rest_is_sent_again() -> None:
    """One bad row never sinks a batch, and it is rejected with Klaviyo's words."""

    def judge(request: Request) -> Response | None:
        indexes = [index for index, email in enumerate(sent(request)) if email in ("p3@example.com", "p7@example.com")]
        pointers = [f"/data/attributes/profiles/data/{index}/attributes/email" for index in indexes]
        return refused(400, *pointers) if pointers else None

    jobs = Imports(judge)
    outcomes = outcomes_of(scripted_session(jobs)[0], people(30))
    assert rejected(outcomes) == {"p3@example.com", "p7@example.com"}
    assert outcomes["p3@example.com"] == Outcome(
        OutcomeKind.REJECTED, 400, "invalid", "/data/attributes/profiles/data/3/attributes/email", "No."
    )
    assert [len(emails) for emails in jobs.requests] == [30, 28]


def test_a_400_that_points_nowhere_is_bisected() -> None:
    """The one bad row among 1,024 is found in a logarithmic number of requests."""

    def judge(request: Request) -> Response | None:
        return refused(400, None) if "p700@example.com" in sent(request) else None

    jobs = Imports(judge)
    assert rejected(outcomes_of(scripted_session(jobs)[0], people(1024))) == {"p700@example.com"}
    assert len(jobs.requests) == 21


def test_a_413_halves() -> None:
    """What is too large at once is sent in two."""
    jobs = Imports(lambda request: respond(413) if len(sent(request)) > 30 else None)
    outcomes = outcomes_of(scripted_session(jobs)[0], people(100))
    assert not rejected(outcomes)
    assert [len(emails) for emails in jobs.requests] == [100, 50, 25, 25, 50, 25, 25]


def test_a_400_about_the_list_rejects_its_rows_at_once() -> None:
    """When the list is at fault there is no row to look for."""
    jobs = Imports(lambda _: refused(400, "/data/relationships/lists/data/0/id"))
    assert len(rejected(outcomes_of(scripted_session(jobs)[0], people(64, ON_LIST)))) == 64
    assert len(jobs.requests) == 1


def test_a_list_that_vanishes_during_the_run_rejects_its_rows_at_once() -> None:
    """A 404 is about the list, not about one of the rows."""
    jobs = Imports(lambda _: refused(404, None))
    assert len(rejected(outcomes_of(scripted_session(jobs)[0], people(64, ON_LIST)))) == 64
    assert len(jobs.requests) == 1


@pytest.mark.parametrize("count", [1, 50])
def test_a_wrong_key_stops_the_run(count: int) -> None:
    """401 is nobody's row's fault."""
    session, wire = scripted_session(lambda _: refused(401, None))
    with pytest.raises(InvalidKey):
        outcomes_of(session, people(count))
    assert len(wire.asked) == 1


def test_a_refusal_that_is_not_klaviyos_stops_the_run() -> None:
    """A proxy's 404 says nothing about rows."""
    session, wire = scripted_session(lambda _: respond(404))
    with pytest.raises(Refused):
        outcomes_of(session, people(50))
    assert len(wire.asked) == 1


def test_requests_that_are_all_refused_stop_the_run() -> None:
    """Bisecting ten thousand rows that share one fault would take twenty thousand requests."""
    session, wire = scripted_session(lambda _: refused(400, None))
    with pytest.raises(Refused):
        outcomes_of(session, people(5000))
    assert len(wire.asked) == 50


def test_import_errors_are_read_to_the_last_page() -> None:
    """A job that fails 250 of 300 people rejects just them, with their own reasons."""
    jobs = Imports()
    jobs.failing = [error_about(f"P{i}@example.com") for i in range(250)]
    outcomes = outcomes_of(scripted_session(jobs)[0], people(300))
    assert rejected(outcomes) == {f"p{i}@example.com" for i in range(250)}
    assert outcomes["p0@example.com"].code == "conflict"


def test_a_page_of_errors_that_comes_twice_hides_no_failure() -> None:
    """Counted twice, its errors would stand for those that Klaviyo does not name: nobody else is delivered for sure."""
    jobs, repeated = Imports(failed_count=130), [True]
    jobs.failing = [error_about(f"p{i}@example.com") for i in range(110)]

    def answer(request: Request) -> Response:
        response = jobs(request)
        if request.url.endswith("/import-errors") and "page[cursor]" not in request.query and repeated:
            repeated.clear()
            document = json.loads(response.body)
            document["links"]["next"] = f"{request.url}?page[size]=100"
            return respond(200, document)
        return response

    outcomes = outcomes_of(scripted_session(answer)[0], people(200))
    assert rejected(outcomes) == {f"p{i}@example.com" for i in range(110)}
    assert {outcomes[f"p{i}@example.com"].kind for i in range(110, 200)} == {OutcomeKind.ACCEPTED}
    assert "20 rows" in (outcomes["p150@example.com"].reason or "")


def test_an_import_error_without_payload_is_told_by_its_pointer() -> None:
    """Where the row is not repeated, its position says which it was."""
    jobs = Imports()
    jobs.failing = [error_about(None, "/data/attributes/profiles/data/5/attributes/email")]
    assert rejected(outcomes_of(scripted_session(jobs)[0], people(30))) == {"p5@example.com"}


@pytest.mark.parametrize(
    "error", [error_about(None), error_about("z@example.com"), error_about("z@example.com", "/profiles/data/5")]
)
def test_an_import_error_of_nobody_is_said_and_not_guessed(error: dict[str, Any]) -> None:
    """The rows of that job count as accepted, not as delivered."""
    jobs = Imports()
    jobs.failing = [error_about("p1@example.com"), error]
    outcomes = outcomes_of(scripted_session(jobs)[0], people(30))
    assert rejected(outcomes) == {"p1@example.com"}
    assert {outcome.kind for email, outcome in outcomes.items() if email != "p1@example.com"} == {OutcomeKind.ACCEPTED}
    assert "1 rows" in (outcomes["p2@example.com"].reason or "")


def test_a_cancelled_job_rejects_its_rows() -> None:
    """They can be sent again from the rejects file."""
    outcomes = outcomes_of(scripted_session(Imports(status="cancelled"))[0], people(30))
    assert {outcome.code for outcome in outcomes.values()} == {"job_cancelled"}


@pytest.mark.parametrize("kind", ["import", "suppression"])
def test_a_job_that_is_not_there_yet_is_waited_for(kind: str) -> None:
    """Klaviyo has taken it, and a part of Klaviyo that has not heard of it answers 404 for a while."""
    answers = [404, 404, 200, 200]

    def wire(request: Request) -> Response:
        if request.method == "POST":
            return respond(202, {"data": {"type": "job", "id": "J"}})
        status = answers.pop(0)
        job = {"status": "queued" if answers else "complete", "total_count": 30, "completed_count": 30}
        if status == 404:
            return refused(404, None)
        return respond(200, {"data": {"type": "job", "id": "J", "attributes": {**job, "failed_count": 0}}})

    session, _ = scripted_session(wire)
    rows = people(30)
    settled = list(deliver(session, rows) if kind == "import" else SUPPRESS.deliver(session, rows))  # type: ignore[misc]
    assert ({outcome.kind for _, outcome in settled}, answers) == ({OutcomeKind.DELIVERED}, [])


@pytest.mark.parametrize("timeout", [60, 3600])
def test_a_job_that_is_never_there_rejects_its_rows(timeout: float) -> None:
    """After some minutes, or job_timeout: like a cancelled one's they can be sent again, and other jobs' go on."""
    jobs = Imports()
    session, wire = scripted_session(lambda request: jobs(request) if request.method == "POST" else refused(404, None))
    found = outcomes_of(replace(session, job_timeout=timeout), people(30))
    assert {(outcome.kind, outcome.code) for outcome in found.values()} == {(OutcomeKind.REJECTED, "job_not_found")}
    assert len(wire.asked) < 40


def test_a_proxys_404_about_a_job_is_not_waited_for() -> None:
    """Only Klaviyo knows its jobs."""
    jobs = Imports()
    session, wire = scripted_session(lambda request: jobs(request) if request.method == "POST" else respond(404))
    with pytest.raises(Refused):
        outcomes_of(session, people(30))
    assert len(wire.asked) == 2


COUNTS = ("total_count", "completed_count", "failed_count")


@pytest.mark.parametrize("value", [None, "missing", "30", [], True])
@pytest.mark.parametrize("without", [COUNTS, *((name,) for name in COUNTS)])
def test_a_job_without_counts_is_judged_by_its_errors(value: Any, without: tuple[str, ...]) -> None:
    """Counts may be null: then the import errors say who failed, and the others are delivered."""
    counts = {"total_count": 30, "completed_count": 29, "failed_count": 1, **dict.fromkeys(without, value)}
    jobs = Imports(**{name: count for name, count in counts.items() if count != "missing"})
    jobs.failing = [error_about("p3@example.com")]
    outcomes = outcomes_of(scripted_session(jobs)[0], people(30))
    assert rejected(outcomes) == {"p3@example.com"}
    assert {outcome.kind for email, outcome in outcomes.items() if email != "p3@example.com"} == {OutcomeKind.DELIVERED}


def test_errors_that_are_not_there_leave_the_rows_accepted() -> None:
    """A 404 about a job's errors: that some failed is known, and not who."""
    jobs = Imports(failed_count=1)
    session, _ = scripted_session(
        lambda request: refused(404, None) if request.url.endswith("/import-errors") else jobs(request)
    )
    assert {outcome.kind for outcome in outcomes_of(session, people(30)).values()} == {OutcomeKind.ACCEPTED}


NULLS = [
    {"code": None, "title": None, "detail": None, "source": None, "original_payload": {"email": "p3@example.com"}},
    {"code": None, "title": None, "detail": None, "source": {"pointer": None}, "original_payload":
     {"attributes": {"email": "p3@example.com", "phone_number": None}, "id": None}},
    {"source": {"pointer": "/data/attributes/profiles/data/3"}, "original_payload": {"attributes": None}},
    {"source": {"pointer": "/data/attributes/profiles/data/3"}, "original_payload": None, "title": 7, "detail": []},
]  # fmt: skip


@pytest.mark.parametrize("error", NULLS)
def test_an_import_error_of_nulls_is_said_in_words(error: dict[str, Any]) -> None:
    """Neither its code nor its reason is the word None, nor a status that says success."""
    jobs = Imports()
    jobs.failing = [error]
    outcomes = outcomes_of(scripted_session(jobs)[0], people(30))
    assert rejected(outcomes) == {"p3@example.com"}
    outcome = outcomes["p3@example.com"]
    assert outcome.code == "import_error"
    assert outcome.reason
    assert "None" not in outcome.reason
    assert "202" not in outcome.reason


@pytest.mark.parametrize("error", [{}, None, {"source": "x", "original_payload": "x"}, {"source": {"pointer": 3}}])
def test_an_import_error_that_says_nothing_is_of_nobody(error: Any) -> None:
    """All rows of the job are accepted then, for one of them has failed."""
    jobs = Imports(failed_count=1)
    jobs.failing = [error]
    assert {outcome.kind for outcome in outcomes_of(scripted_session(jobs)[0], people(30)).values()} == {
        OutcomeKind.ACCEPTED
    }


@pytest.mark.parametrize("error", [{"code": None, "title": None, "detail": None, "source": None}, {"id": None},
                                   {"code": 5, "detail": {}, "source": {"pointer": 3, "parameter": []}}])  # fmt: skip
def test_a_refusal_of_nulls_is_said_in_words(error: dict[str, Any]) -> None:
    """The same of an error document."""
    session, _ = scripted_session(lambda _: respond(400, {"errors": [error]}))
    [outcome] = outcomes_of(session, people(1)).values()
    assert outcome.kind is OutcomeKind.REJECTED
    assert outcome.code in ("400", "5")
    assert "None" not in f"{outcome.reason} {outcome.code}"


def test_a_job_that_does_not_end_fails_the_run() -> None:
    """After job_timeout seconds the run says so, and no state can go out."""
    with pytest.raises(Incomplete, match="job_timeout"):
        outcomes_of(scripted_session(Imports(status="processing"))[0], people(30))


def test_a_lost_reply_is_sent_again_unless_it_appends() -> None:
    """An upsert may be repeated; an append would be done twice."""
    tries = 0

    def wire(request: Request) -> Response:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise TransportError("no answer", may_have_succeeded=True)
        return respond(200, {"data": {}})

    session, _ = scripted_session(wire)
    assert not rejected(outcomes_of(session, people(1)))
    tries = 0
    [row] = people(1)
    payload = {**row.payload, "meta": {"patch_properties": {"append": {"tags": "x"}}}}
    with pytest.raises(Unavailable):
        list(deliver(session, [Row(row.source, payload, encode_json(payload))]))
    assert tries == 1


def test_a_dropped_phone_number_is_reported_on_its_row() -> None:
    """Klaviyo answers 2xx and says in a header that it kept the rest only."""
    session, _ = scripted_session(lambda _: respond(201, {"data": {}}, x_klaviyo_partial_failure="phone_number"))
    [outcome] = outcomes_of(session, people(1, phone_number="+14155550100")).values()
    assert (outcome.kind, outcome.code) == (OutcomeKind.DELIVERED, "partial_failure")


def test_a_conflict_names_the_other_profile() -> None:
    """A 409 is a rejected record with the id of the profile that is in the way."""
    error = {"code": "duplicate_profile", "detail": "Conflict.", "meta": {"duplicate_profile_id": "01ABC"}}
    session, _ = scripted_session(lambda _: respond(409, {"errors": [error]}))
    [outcome] = outcomes_of(session, people(1)).values()
    assert outcome.status == 409
    assert "01ABC" in (outcome.reason or "")


def lists_named(*ids: str) -> Callable[[Request], Response]:
    def wire(request: Request) -> Response:
        if request.method == "POST" and request.url.endswith("/lists"):
            return respond(201, {"data": {"type": "list", "id": "NEW001", "attributes": {"name": "VIP"}}})
        if request.url.endswith("/lists"):
            data = [{"type": "list", "id": i, "attributes": {"name": "VIP"}} for i in ids]
            return respond(200, {"data": data, "links": {"next": None}})
        return refused(404, None)

    return wire


def test_a_list_is_looked_up_once() -> None:
    """Its id is known for the rest of the run."""
    session, wire = scripted_session(lists_named("A"))
    ref = ListRef(id="VIP", name="VIP", configured=True)
    assert [session.lists.id_of(ref), session.lists.id_of(ref)] == ["A", "A"]
    assert [request.query["filter"] for request in wire.asked] == ['any(name,["VIP"])']


def test_two_lists_of_one_name_are_an_error_with_both_ids() -> None:
    """Guessing would put people on the wrong list."""
    session, _ = scripted_session(lists_named("A", "B"))
    with pytest.raises(SettingsError, match="A, B"):
        session.lists.id_of(ListRef(id="VIP", name="VIP", configured=True))


def test_a_list_that_is_missing_is_made_on_request_only() -> None:
    """create_list: true makes it; without, the error says so."""
    session, _ = scripted_session(lists_named())
    with pytest.raises(SettingsError, match="create_list"):
        session.lists.id_of(ListRef(id="VIP", name="VIP", configured=True))
    assert session.lists.id_of(ListRef(id="VIP", name="VIP", create=True, configured=True)) == "NEW001"


@pytest.mark.parametrize("made", [True, False])
@pytest.mark.parametrize("lost", [503, 201, 0])
def test_a_lost_answer_about_a_new_list_makes_no_second_one(lost: int, made: bool) -> None:
    """After a 503, a broken answer or none, the list is looked for: found, it is the one, and else it is made."""
    names: list[str] = []
    asked: list[str] = []

    def answer(request: Request) -> Response:
        if request.method == "GET":
            lists = [{"type": "list", "id": name, "attributes": {"name": "VIP"}} for name in names]
            return respond(200, {"data": lists})
        asked.append(request.method)
        if made or len(asked) > 1:
            names.append(f"NEW{len(asked)}")
        if len(asked) > 1:
            return respond(201, {"data": {"type": "list", "id": names[-1]}})
        if lost == 0:
            raise TransportError("no answer", may_have_succeeded=True)
        return Response(lost, {}, b'{"data"')

    session, _ = scripted_session(answer)
    assert session.lists.id_of(ListRef(name="VIP", create=True)) == ("NEW1" if made else "NEW2")
    assert len(names) == 1


def test_a_list_that_cannot_be_made_ends_in_time() -> None:
    """Each attempt looks first; when patience has ended, the fault is told."""
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.method)
        return respond(200, {"data": []}) if request.method == "GET" else respond(503)

    session, _ = scripted_session(answer)
    with pytest.raises(Unavailable, match="503"):
        session.lists.id_of(ListRef(name="VIP", create=True))
    attempts = session.client.retry_policy.attempts
    assert asked == ["GET", "POST"] * attempts


def test_a_list_that_only_a_record_names_rejects_that_record() -> None:
    """Another list's rows go on."""
    session, _ = scripted_session(lists_named())
    [(_, outcome)] = deliver(session, people(1, ListRef(name="Nope")))
    assert outcome.code == "list_not_found"


@given(
    st.integers(21, 60),
    st.sets(st.integers(0, 59)),
    st.sets(st.integers(0, 59)),
    st.sets(st.integers(0, 59), max_size=3),
)
def test_any_mix_of_good_and_bad_rows_gives_one_outcome_each(
    count: int, pointed: set[int], failing: set[int], hidden: set[int]
) -> None:
    """Whatever Klaviyo refuses, now or later, with or without a pointer: nothing good is lost, nothing bad passes."""

    def judge(request: Request) -> Response | None:
        emails = sent(request)
        indexes = [index for index, email in enumerate(emails) if int(email[1:].partition("@")[0]) in pointed]
        if indexes:
            return refused(400, *(f"/data/attributes/profiles/data/{i}/attributes/email" for i in indexes[:2]))
        if any(int(email[1:].partition("@")[0]) in hidden for email in emails):
            return refused(400, "/data")
        return None

    jobs = Imports(judge)
    jobs.failing = []
    bad = {f"p{i}@example.com" for i in pointed | hidden if i < count}
    if not bad:
        jobs.failing = [error_about(f"p{i}@example.com") for i in failing if i < count]
        bad = {f"p{i}@example.com" for i in failing if i < count}
    outcomes = outcomes_of(scripted_session(jobs)[0], people(count))
    assert rejected(outcomes) == bad


def test_some_bad_rows_among_thousands_are_all_found() -> None:
    """Many refusals are no sign that nothing is taken while other parts of the batch are."""
    bad = {f"p{index}@example.com" for index in range(500, 10_000, 1_000)}

    def judge(request: Request) -> Response | None:
        return refused(400, None) if not bad.isdisjoint(sent(request)) else None

    assert rejected(outcomes_of(scripted_session(Imports(judge))[0], people(10_000))) == bad
