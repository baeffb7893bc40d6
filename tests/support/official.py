"""The vendor's own client, pointed at a sandbox."""

from __future__ import annotations

from typing import Any

import urllib3
from klaviyo_api import KlaviyoAPI

from klaviyo_sandbox import RunningSandbox
from support.calls import KEY


def official(sandbox: RunningSandbox) -> tuple[KlaviyoAPI, Any]:
    """The SDK with its second hidden layer of retries off, and its connections, to be cleared."""
    api = KlaviyoAPI(KEY, max_delay=1, max_retries=1, test_host=sandbox.url)
    manager = api.api_client.rest_client.pool_manager
    manager.connection_pool_kw["retries"] = urllib3.Retry(0, respect_retry_after_header=False, raise_on_status=False)
    return api, manager


def plain(document: Any) -> dict[str, Any]:
    """An answer as a dictionary, whatever the SDK made of it."""
    return document if isinstance(document, dict) else document.to_dict()
