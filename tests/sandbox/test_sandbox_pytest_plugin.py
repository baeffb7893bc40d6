"""The fixtures that the package ships for tests of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.markdown import code_blocks

pytest_plugins = ["pytester"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "sandbox.md"
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


def test_the_example_in_the_documents_passes(pytester: pytest.Pytester) -> None:
    """Whoever copies both files has a test that passes."""
    conftest, example, *_ = [block.text for block in code_blocks(DOCUMENT.read_text()) if block.language == "python"]
    pytester.makeconftest(conftest)
    pytester.makepyfile(example)
    outcomes = pytester.runpytest_inprocess("--strict-markers").parseoutcomes()
    assert outcomes.get("passed", 0) >= 2
    assert set(outcomes) <= {"passed", "warnings", "warning"}
