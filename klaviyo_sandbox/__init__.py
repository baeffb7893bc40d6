"""A strict local stand-in for a Klaviyo account.

    from klaviyo_sandbox import serve

    with serve(profiles=200, events=1000, seed=1) as sandbox:
        ...  # requests to sandbox.url; sandbox.store is the live account

A distribution of its own, ``klaviyo-sandbox``. It imports nothing of the tap, the target or their client, so that it
can bear witness about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from klaviyo_sandbox.http.request_log import Exchange
    from klaviyo_sandbox.server import PortTaken, RunningSandbox, serve

__all__ = ["Exchange", "PortTaken", "RunningSandbox", "serve"]


def __getattr__(name: str) -> Any:
    # Only who serves needs starlette; the command must be able to say that it is missing.
    if name == "Exchange":
        from klaviyo_sandbox.http import request_log

        return request_log.Exchange
    if name in __all__:
        from klaviyo_sandbox import server

        return getattr(server, name)
    raise AttributeError(name)
