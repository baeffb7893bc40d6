"""Calls an account with whichever edition of the vendor's SDK is installed beside it, as lines of JSON tell it.

A program of its own, for the environment of that SDK: it imports nothing of this project. Each line that it reads is a
call ``{"host", "key", "group", "operation", "arguments", "query"}``, and each that it writes is
``{"answer"}``, or ``{"error"}`` with what the SDK raised.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from typing import Any

import urllib3
from klaviyo_api import KlaviyoAPI


def client(host: str, key: str) -> Any:
    """The SDK without the retries that it hides below its own."""
    api = KlaviyoAPI(key, max_delay=1, max_retries=1, test_host=host)
    retry = urllib3.Retry(0, respect_retry_after_header=False, raise_on_status=False)
    api.api_client.rest_client.pool_manager.connection_pool_kw["retries"] = retry
    return api


def answer(api: Any, asked: dict[str, Any]) -> dict[str, Any]:
    operation = getattr(getattr(api, asked["group"]), asked["operation"])
    try:
        found = operation(*asked["arguments"], **asked["query"])
    except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
        return {"error": f"{type(error).__name__}: {error}"}
    return {"answer": found if isinstance(found, dict) else found.to_dict() if found else {}}


def plain(value: Any) -> Any:
    """What JSON has no form for: times, which the SDK makes of texts."""
    if isinstance(value, date):
        return {"$time": value.isoformat()}
    raise TypeError(type(value))


def main() -> None:
    """Answer until there is nothing more to read."""
    answers, sys.stdout = sys.stdout, sys.stderr
    clients: dict[str, Any] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        host = asked["host"]
        if host not in clients:
            # Those of accounts that are gone would keep their connections.
            for gone in clients.values():
                gone.api_client.rest_client.pool_manager.clear()
            clients = {host: client(host, asked["key"])}
        print(json.dumps(answer(clients[host], asked), default=plain), file=answers, flush=True)


if __name__ == "__main__":
    main()
