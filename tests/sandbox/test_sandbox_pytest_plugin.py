"""The fixtures that the package ships for tests of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.markdown import code_blocks

pytest_plugins = ["pytester"]

DOCS = Path(__file__).parents[2] / "docs"
CONFTEST = 'pytest_plugins = ["klaviyo_sandbox.pytest_plugin"]'


def test_marks_say_what_the_account_is_like(pytester: pytest.Pytester) -> None:
    """The nearest mark wins, each test has an account of its own, and all end with it."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import pytest, requests

        pytestmark = pytest.mark.klaviyo(profiles=3, events=0, limits=False)
        HEADERS = {"Authorization": "Klaviyo-API-Key pk_test", "revision": "2026-07-15"}
        seen = []

        def profiles(klaviyo):
            seen.append(klaviyo.url)
            return len(requests.get(f"{klaviyo.url}/api/profiles", headers=HEADERS, timeout=300).json()["data"])

        def test_a_module_is_marked(klaviyo):
            assert profiles(klaviyo) == 3

        @pytest.mark.klaviyo(profiles=5)
        def test_a_test_is_marked(klaviyo):
            assert profiles(klaviyo) == 5

        def test_several_accounts(make_klaviyo):
            assert [profiles(make_klaviyo(profiles=n, events=0)) for n in (1, 2)] == [1, 2]

        def test_shared(make_shared_klaviyo):
            assert profiles(make_shared_klaviyo(profiles=4, events=0)) == 4

        def test_they_ended():
            shared = seen.pop()
            assert requests.get(shared, timeout=300).ok
            for url in seen:
                with pytest.raises(requests.ConnectionError):
                    requests.get(url, timeout=300)
        """
    )
    pytester.runpytest_inprocess("--strict-markers", "-p", "no:randomly").assert_outcomes(passed=5)


def python_blocks(page: str) -> list[str]:
    """The examples of a page, in order."""
    return [block.text for block in code_blocks((DOCS / page).read_text()) if block.language == "python"]


@pytest.mark.klaviyo_breaches("early", reason="an example makes some, in this process")
def test_the_examples_in_the_documents_pass(pytester: pytest.Pytester) -> None:
    """Whoever copies the files has tests that pass, the first of them in six lines."""
    conftest, reader, retries, _ = python_blocks("start/sandbox.md")
    (breaches,) = python_blocks("sandbox/manners.md")
    assert len([line for line in reader.splitlines() if line]) <= 6
    assert (DOCS / "start" / "sandbox.md").read_text().count("\n") <= 130
    pytester.makeconftest(conftest)
    pytester.makepyfile(test_reader=reader, test_retries=retries, test_breaches=breaches)
    outcomes = pytester.runpytest_inprocess("--strict-markers").parseoutcomes()
    assert outcomes.get("passed", 0) == 3
    assert set(outcomes) <= {"passed", "warnings", "warning"}


def test_the_account_that_tests_share_in_the_documents_is_new_for_each(pytester: pytest.Pytester) -> None:
    """It keeps its address; rows, faults and requests of the test before are gone."""
    *_, conftest = python_blocks("start/sandbox.md")
    pytester.makeconftest(conftest)
    pytester.makepyfile(
        """
        import pytest, requests

        HEADERS = {"Authorization": "Klaviyo-API-Key pk_test", "revision": "2026-07-15"}
        seen = set()

        @pytest.mark.parametrize("number", range(2))
        def test_alone(klaviyo, number):
            seen.add(klaviyo.url)
            assert len(seen) == 1
            assert list(klaviyo.requests) == []
            assert len(klaviyo.store.lists.rows) == 12
            klaviyo.control.delete("lists", next(iter(klaviyo.store.lists.rows)))
            klaviyo.control.change(faults="503x9", latency=0.001)
            assert requests.get(f"{klaviyo.url}/api/lists", headers=HEADERS, timeout=300).status_code == 503
        """
    )
    pytester.runpytest_inprocess("--strict-markers", "-p", "no:randomly", "-p", "no:xdist").assert_outcomes(passed=2)


def test_a_test_whose_client_has_bad_manners_fails(pytester: pytest.Pytester) -> None:
    """Whatever account it was, unless the test's mark allows the kind; those of others are not held against it."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import pytest, requests
        from klaviyo_sandbox import serve

        HEADERS = {"Authorization": "Klaviyo-API-Key pk_test", "revision": "2026-07-15"}
        OPTIONS = {"profiles": 1, "events": 0, "max_repeats": 1, "limits": False}

        def hammer(sandbox, times=4):
            for _ in range(times):
                requests.get(f"{sandbox.url}/api/lists", headers=HEADERS, timeout=300)

        @pytest.fixture(scope="session")
        def shared(make_shared_klaviyo):
            return make_shared_klaviyo(**OPTIONS)

        @pytest.fixture
        def hammered(make_klaviyo):
            hammer(make_klaviyo(**OPTIONS))

        @pytest.mark.klaviyo(**OPTIONS)
        def test_passes_1(klaviyo):
            hammer(klaviyo, 2)

        @pytest.mark.klaviyo(**OPTIONS)
        def test_fails_1(klaviyo):
            hammer(klaviyo)

        def test_fails_2(shared):
            hammer(shared)

        def test_passes_2(shared):
            pass

        def test_fails_3(shared):
            hammer(shared, 1)

        def test_fails_4():
            with serve(**OPTIONS) as sandbox:
                hammer(sandbox)

        def test_fails_5(make_klaviyo):
            sandbox = make_klaviyo(**OPTIONS)
            hammer(sandbox)
            sandbox.control.reset()

        def test_fails_6(hammered):
            pass

        @pytest.mark.klaviyo_breaches("early", reason="another kind")
        def test_fails_7(shared):
            hammer(shared)

        @pytest.mark.klaviyo_breaches("early", "repetition", reason="the point")
        def test_passes_3(shared):
            hammer(shared)

        @pytest.mark.klaviyo_breaches(reason="the point")
        def test_passes_4(shared):
            hammer(shared)

        def test_passes_5(make_klaviyo):
            hammer(make_klaviyo(**OPTIONS, allowed_breaches=["repetition"]))
        """
    )
    result = pytester.runpytest_subprocess("--strict-markers", "-p", "no:randomly", "-p", "no:xdist")
    result.assert_outcomes(passed=5, failed=7)
    result.stdout.fnmatch_lines(["2 breaches of manners:", "repetition: GET /api/lists: number 2 that only repeats*"])


@pytest.mark.klaviyo_breaches("repetition", reason="an example makes some, in this process")
def test_a_fixture_that_has_bad_manners_when_the_test_is_over_fails_it(pytester: pytest.Pytester) -> None:
    """At its own account or a shared one, once; what a mark allows or the test was failed for is not told again."""
    pytester.makeconftest('pytest_plugins = ["klaviyo_sandbox.pytest_plugin"]')
    pytester.makepyfile(
        """
        import pytest
        import requests

        HEADERS = {"Authorization": "Klaviyo-API-Key pk_test", "revision": "2026-07-15"}
        OPTIONS = {"profiles": 1, "events": 0, "max_repeats": 1}

        def hammer(sandbox):
            for _ in range(4):
                requests.get(f"{sandbox.url}/api/lists", headers=HEADERS, timeout=30)

        @pytest.fixture(scope="session")
        def shared(make_shared_klaviyo):
            return make_shared_klaviyo(**OPTIONS)

        @pytest.fixture
        def own(make_klaviyo):
            return make_klaviyo(**OPTIONS)

        @pytest.fixture
        def hammers_at_the_end(request):
            yield
            hammer(request.getfixturevalue("shared"))

        @pytest.fixture
        def hammers_its_own_at_the_end(own):
            yield
            hammer(own)

        def test_fails_1(shared, hammers_at_the_end):
            pass

        def test_passes_1(shared):
            pass

        def test_fails_2(hammers_its_own_at_the_end):
            pass

        @pytest.mark.klaviyo_breaches("repetition", reason="the point")
        def test_passes_2(shared, hammers_at_the_end):
            hammer(shared)

        def test_fails_by_itself(shared):
            hammer(shared)
        """
    )
    result = pytester.runpytest_inprocess("-rfE")
    result.assert_outcomes(passed=4, failed=1, errors=2)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_fails_1*", "2 breaches of manners:"])
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_fails_2*", "2 breaches of manners:"])


def test_a_mark_that_no_fixture_reads_is_refused(pytester: pytest.Pytester) -> None:
    """Where a fixture of the tests' own takes the package's place, a mark would change nothing, and say nothing."""
    *_, conftest = python_blocks("start/sandbox.md")
    pytester.makeconftest(conftest)
    pytester.makepyfile(
        test_shared="""
        import pytest

        @pytest.mark.klaviyo(faults="429x2")
        def test_refused(klaviyo): pass

        @pytest.mark.klaviyo(faults="429x2")
        class TestRefused:
            def test_in_a_class(self, klaviyo): pass

        def test_no_mark(klaviyo): pass

        @pytest.mark.klaviyo
        def test_nothing_is_said(klaviyo): pass
        """,
        test_own="""
        import pytest

        @pytest.fixture
        def klaviyo(request, make_klaviyo):
            return make_klaviyo(**request.node.get_closest_marker("klaviyo").kwargs)

        @pytest.mark.klaviyo(profiles=1, events=0)
        def test_it_reads_the_mark_itself(klaviyo):
            assert len(klaviyo.store.profiles) == 1
        """,
        test_wrapped="""
        import pytest

        @pytest.fixture(scope="module")
        def made(make_shared_klaviyo): return make_shared_klaviyo(profiles=1, events=0)

        class TestWrapped:
            @pytest.fixture
            def klaviyo(self, klaviyo): return klaviyo

            @pytest.mark.klaviyo(faults="429x2")
            def test_what_it_wraps_does_not(self, klaviyo): pass

        @pytest.mark.klaviyo(profiles=1, events=0)
        class TestOverrides:
            @pytest.fixture
            def klaviyo(self, made): return made

            def test_refused(self, klaviyo): pass

            def test_without_the_fixture(self): pass
        """,
    )
    result = pytester.runpytest_inprocess("--strict-markers", "-p", "no:xdist")
    result.assert_outcomes(passed=4, errors=4)
    result.stdout.fnmatch_lines(["*the mark klaviyo(faults=...) changes nothing*control.change*"])


def test_a_mark_whose_options_have_no_names_is_refused(pytester: pytest.Pytester) -> None:
    """They would be passed over. Those that have are read by a fixture which another one wraps, too."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.klaviyo("429x2")
        def test_refused(klaviyo): pass

        class TestWrapped:
            @pytest.fixture
            def klaviyo(self, klaviyo): return klaviyo

            @pytest.mark.klaviyo(profiles=1, events=0)
            def test_it(self, klaviyo): assert len(klaviyo.store.profiles) == 1
        """
    )
    result = pytester.runpytest_inprocess("--strict-markers", "-p", "no:xdist")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*options are named*"])


@pytest.mark.parametrize(
    ("arguments", "said"), [("'late', reason='it is'", "known: early"), ("'early'", "a reason must be given")]
)
def test_a_mark_that_says_nothing_is_refused(pytester: pytest.Pytester, arguments: str, said: str) -> None:
    """An unknown kind, or no reason."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(f"import pytest\n@pytest.mark.klaviyo_breaches({arguments})\ndef test_it(klaviyo): pass\n")
    result = pytester.runpytest_subprocess("--strict-markers", "-p", "no:xdist")
    result.stdout.fnmatch_lines([f"*{said}*"])
    assert result.ret != 0
