"""The file that keeps the latest refresh token from one run to the next."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from klaviyo_client.errors import SettingsError
from klaviyo_client.privacy import private_files

# Longer than a request for a token takes; a run that was stopped in the middle must not stop all others.
LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class TokenFile:
    """One authorisation's file: JSON, readable by its owner only, and never half written.

    Beside the token stands a fingerprint of the configured one that it descends from: a token in the config that came
    with a newer authorisation wins over the file, and the file is written anew.

    Attributes:
        path: where it is; need not be there yet.
        configured: the refresh token of the settings.
    """

    path: Path
    configured: str = field(repr=False)

    def latest(self) -> str:
        """The token to use: the file's where it descends from the configured one, or else that.

        Raises:
            SettingsError: the file cannot be read, or is another kind of file.
        """
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            token, ancestor = found["refresh_token"], found["descends_from"]
        except FileNotFoundError:
            return self.configured
        except OSError as error:
            raise SettingsError(f"refresh_token_path cannot be read: {error}") from error
        except (ValueError, TypeError, KeyError):
            # Not chained: the reason may quote what the file holds.
            raise SettingsError(
                f"refresh_token_path names a file that holds no refresh token ({self.path}): name another, or delete it"
            ) from None
        return token if isinstance(token, str) and token and ancestor == self._fingerprint else self.configured

    def check(self) -> None:
        """Refuse a place where no file could be written, before a token is at stake.

        Raises:
            SettingsError: naming the place.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"refresh_token_path cannot be written: {error}") from error
        if self.path.is_dir() or not os.access(self.path.parent, os.W_OK):
            raise SettingsError(f"refresh_token_path must be a file that can be written: {self.path}")

    def keep(self, token: str) -> None:
        """Write the token down.

        Raises:
            SettingsError: it cannot be written, and the next run would not have it.
        """
        document = {"refresh_token": token, "descends_from": self._fingerprint}
        try:
            private_files.write_private(self.path, json.dumps(document, indent=2) + "\n")
        except OSError as error:
            raise SettingsError(
                f"the new refresh token could not be written ({error}), and Klaviyo may take the old one no more: "
                "correct refresh_token_path; authorise the app again if the next run is refused"
            ) from error

    def locked(self, sleep: Callable[[float], None]) -> AbstractContextManager[None]:
        """While it is entered, no other run that locks the file is in there; after a minute's wait one goes in alone.

        Each refresh token may be taken once only: of two runs that asked with the same, one would be refused.
        """
        return private_files.file_lock(self.path, sleep, LOCK_SECONDS)

    @property
    def _fingerprint(self) -> str:
        return hashlib.sha256(self.configured.encode()).hexdigest()
