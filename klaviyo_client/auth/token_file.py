"""The token file: keeps the latest refresh token from one run to the next."""

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

# Longer than a request for a token takes. A run that hangs while it has the lock must not stop all others.
LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class TokenFile:
    """The file of one authorisation: JSON, readable by its owner only, and never half written.

    Beside the token it holds a fingerprint of the configured token that it descends from. A configured token with
    another fingerprint came with a newer authorisation: it is preferred, and the file is written anew.

    Attributes:
        path: where it is; need not be there yet.
        configured: the refresh token of the settings.
    """

    path: Path
    configured: str = field(repr=False)

    def latest(self) -> str:
        """The token to use: the file's where it descends from the configured one, else the configured one.

        Raises:
            SettingsError: the file cannot be read, or is another kind of file.
        """
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            token, ancestor = document["refresh_token"], document["descends_from"]
        except FileNotFoundError:
            return self.configured
        except OSError as error:
            raise SettingsError(f"refresh_token_path cannot be read: {error}") from error
        except (ValueError, TypeError, KeyError):
            # Not chained: the reason may quote what the file holds.
            raise SettingsError(
                f"refresh_token_path names a file without a refresh token ({self.path}): name another, or delete it"
            ) from None
        return token if isinstance(token, str) and token and ancestor == self._fingerprint else self.configured

    def check(self) -> None:
        """Refuse a path where no file can be written, before a token could be lost.

        Raises:
            SettingsError: naming the path.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"refresh_token_path cannot be written: {error}") from error
        if self.path.is_dir() or not os.access(self.path.parent, os.W_OK):
            raise SettingsError(f"refresh_token_path must be a file that can be written: {self.path}")

    def keep(self, token: str) -> None:
        """Write the token to the file.

        Raises:
            SettingsError: it cannot be written, and the next run would not have it.
        """
        document = {"refresh_token": token, "descends_from": self._fingerprint}
        try:
            private_files.write_private(self.path, json.dumps(document, indent=2) + "\n")
        except OSError as error:
            raise SettingsError(
                f"the new refresh token could not be written ({error}), and Klaviyo may no longer accept the old "
                "one: correct refresh_token_path; authorise the app again if the next run is refused"
            ) from error

    def lock(self, sleep: Callable[[float], None]) -> AbstractContextManager[None]:
        """A lock that only one run has at a time; a run that has waited for a minute goes on without it.

        Klaviyo may take each refresh token only once: of two runs that ask with the same one, one would be refused.
        """
        return private_files.file_lock(self.path, sleep, LOCK_SECONDS)

    @property
    def _fingerprint(self) -> str:
        return hashlib.sha256(self.configured.encode()).hexdigest()
