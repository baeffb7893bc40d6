"""The SDK's standard suite for taps, over the local account."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from support.others import profile_jobs
from tap_support import discovered, select

from klaviyo_client.http.clock import Clock
from klaviyo_sandbox import serve
from tap_klaviyo.tables import STREAMS
from tap_klaviyo.tap import TapKlaviyo

_ACCOUNT = serve(profiles=60, events=400, seed=5, limits=False, job_seconds=0.0)
_SANDBOX = _ACCOUNT.__enter__()
profile_jobs.ask(_SANDBOX)


# Not the module's: where the suite runs in several processes, one may come back to it later.
@pytest.fixture(scope="session", autouse=True)
def _account_until_the_end() -> Iterator[None]:
    # The suite wants its settings when the class is made, before any fixture.
    yield
    _ACCOUNT.__exit__(None, None, None)


@pytest.fixture(scope="module", autouse=True)
def _no_waiting() -> Iterator[None]:
    # Of some tables Klaviyo allows fifteen requests a minute.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Clock.__init__, "__defaults__", (time.monotonic, lambda _: None))
        yield


TestTapKlaviyo = get_tap_test_class(
    TapKlaviyo,
    config={"api_key": "pk_suite", "api_url": _SANDBOX.url},
    suite_config=SuiteConfig(max_records_limit=None, ignore_no_records=False),
    # The suite reads every table, and knows the columns only of those that are selected.
    catalog=select(discovered(), dict.fromkeys(STREAMS)),
)
