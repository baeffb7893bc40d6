"""Credentials sign requests. This module has their protocol, and a private key's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from klaviyo_client import errors
from klaviyo_client.api import protocol
from klaviyo_client.auth import oauth


class Credentials(Protocol):
    """What signs requests. Threads may share it.

    Attributes:
        scopes: what may be done with it, as far as Klaviyo has said so; None when it has not.
        advice_on_401: what the user is to do when a request is answered with 401.
    """

    advice_on_401: str

    @property
    def scopes(self) -> frozenset[str] | None: ...

    def authorization(self) -> str:
        """The value of the header, fit to be sent now."""

    def refresh_after_401(self, authorization: str) -> bool:
        """Whether there is another value to try, after a 401 to this one."""


@dataclass(frozen=True)
class PrivateKey:
    """A private key, which never changes. Klaviyo does not say which scopes it has.

    Raises:
        SettingsError: the text cannot be a key.
    """

    key: str = field(repr=False)
    advice_on_401 = protocol.KEY_REFUSED
    scopes = None

    def __post_init__(self) -> None:
        if not oauth.is_sendable(self.key):
            raise errors.SettingsError("api_key must be a private key such as pk_..., without spaces")

    def authorization(self) -> str:
        return f"Klaviyo-API-Key {self.key}"

    def refresh_after_401(self, authorization: str) -> bool:  # noqa: ARG002 - the protocol's signature
        return False
