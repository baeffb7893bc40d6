"""What a run's report says beside its records: the account, the lists, and the command that sends rejects again."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from target_klaviyo.delivery.graceful_stop import GracefulStop
from target_klaviyo.delivery.session import Session

_ACCOUNTS, _FIELD = "get_accounts", "contact_information.organization_name"
# A record may name its list; so many are shown.
_MAX_LISTS = 100


class RunFacts:
    """Finds them out; the account is asked for while the run goes on.

    Args:
        session: what the actions share.
        stop: bounds how long the end of the run waits for the account's answer.
        api_url: where the API is.
    """

    def __init__(self, session: Session, stop: GracefulStop, api_url: str) -> None:
        self._session = session
        self._stop = stop
        self._api_url = api_url
        self._account: str | None = None
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """Begin to ask for the account's name."""
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        # The name is a kindness: that a key may not read it, or that nobody answers, is no fault of the run.
        with suppress(BaseException):
            (account,) = self._session.client.page(_ACCOUNTS, query={"fields[account]": _FIELD}).data
            self._account = str(account["attributes"]["contact_information"]["organization_name"])

    def to_json(self) -> dict[str, Any]:
        """The account's name (None when it is not known), and the lists with their links."""
        if self._thread is not None:
            self._thread.join(self._stop.seconds_left)
        lists = [
            {"name": name, "id": list_id, "link": list_link(self._api_url, list_id)}
            for list_id, name in self._session.lists.found.items()
        ]
        return {"account": self._account, "lists": lists[:_MAX_LISTS]}


def list_link(api_url: str, list_id: str) -> str:
    """The page of a list: at Klaviyo, or at the sandbox that stands for it.

    >>> list_link("https://a.klaviyo.com", "Y6nRLr"), list_link("http://127.0.0.1:8080", "Y6nRLr")
    ('https://www.klaviyo.com/list/Y6nRLr', 'http://127.0.0.1:8080/lists/Y6nRLr')
    """
    parts = urlsplit(api_url)
    if f".{parts.hostname}".endswith(".klaviyo.com"):
        return f"https://www.klaviyo.com/list/{quote(list_id, safe='')}"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/lists/{quote(list_id, safe='')}"


def resend_command(path: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """The command that sends a rejects file again, from how this process was called; None when by another program.

    >>> resend_command(Path("r.jsonl"), ["/bin/target-klaviyo", "--config", "my target.json", "--input", "a"], {})
    "target-klaviyo --config 'my target.json' --input r.jsonl"
    """
    if "MELTANO_PROJECT_ROOT" in environment:  # the config that it gives is gone when it ends
        name = environment.get("MELTANO_ENVIRONMENT")
        words = ["meltano", *(("--environment", name) if name else ()), "invoke", "target-klaviyo"]
        return shlex.join([*words, "--input", str(path)])
    program = Path(arguments[0]) if arguments else Path()
    if program.name == "__main__.py" and program.parent.name == "target_klaviyo":
        words = ["python", "-m", "target_klaviyo"]
    elif program.stem == "target-klaviyo":
        words = ["target-klaviyo"]
    else:
        return None
    configs = [after for word, after in pairwise(arguments) if word == "--config"]
    configs += [word.partition("=")[2] for word in arguments if word.startswith("--config=")]
    for config in configs:
        words += ["--config", config]
    return shlex.join([*words, "--input", str(path)])
