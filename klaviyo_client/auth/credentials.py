"""What a client signs its requests with: a private key, or access tokens of an OAuth app. Threads may share both."""

from __future__ import annotations

import base64
import logging
import math
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from klaviyo_client import errors
from klaviyo_client.api import protocol
from klaviyo_client.auth import oauth
from klaviyo_client.auth.oauth import App, Token
from klaviyo_client.auth.token_file import TokenFile
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.rate_limits import Budget, Closed, Turn
from klaviyo_client.http.sending import Sender, asked_for
from klaviyo_client.http.transport import Request, TransportError
from klaviyo_client.privacy import redaction

logger = logging.getLogger("klaviyo_client")

# A token is renewed so long before its end, or a tenth of its life if that is less: a request that waits for its turn
# or its answer must not outlive it.
EARLY_SECONDS = 300.0
EARLY_PART = 0.1
# While the old token holds, a renewal that failed is tried again after so long.
AGAIN_SECONDS = 10.0
# A tap and a target that begin together ask at once; after so long the one that was first has written its token down.
OTHERS_SECONDS = 2.0


class Credentials(Protocol):
    """Signs requests.

    Attributes:
        scopes: what may be done with them, as far as Klaviyo has said so; None when it has not.
        refused: what to do about a 401.
    """

    refused: str

    @property
    def scopes(self) -> frozenset[str] | None: ...

    def authorization(self) -> str:
        """The value of the header, fit to be sent now."""

    def renewed(self, authorization: str) -> bool:
        """Whether there is another value to try, after a 401 to this one."""


@dataclass(frozen=True)
class PrivateKey:
    """A private key, which never changes, and says nothing of its scopes.

    Raises:
        SettingsError: it cannot be one.
    """

    key: str = field(repr=False)
    refused = protocol.KEY_REFUSED
    scopes = None

    def __post_init__(self) -> None:
        if not oauth.is_sendable(self.key):
            raise errors.SettingsError("api_key must be a private key such as pk_..., without spaces")

    def authorization(self) -> str:
        return f"Klaviyo-API-Key {self.key}"

    def renewed(self, authorization: str) -> bool:  # noqa: ARG002 - the protocol's signature
        return False


@dataclass(frozen=True)
class _Held:
    """The access token in use; renewed from ``renew_at`` on, and refused from ``ends_at`` on, by the clock's time."""

    token: Token
    renew_at: float
    ends_at: float


class SignedIn:
    """Access tokens of an OAuth app: one for all threads, and renewed by one of them while the others wait.

    Args:
        app: what to sign in with.
        api_url: where Klaviyo is; the secrets go to no other origin.
        user_agent: how the requests name themselves.
        sender: sends them.
        budget: that of the token endpoint.
        clock: what the life of a token is measured with.
        longest: how long, in seconds, to wait when the endpoint asks for it.

    Raises:
        SettingsError: the app's ``refresh_token_path`` cannot be used.
    """

    refused = (
        "Klaviyo does not accept the access token that it has just given: check that the app is still installed, and "
        "that api_url is right"
    )

    def __init__(
        self,
        app: App,
        *,
        api_url: str,
        user_agent: str,
        sender: Sender,
        budget: Budget,
        clock: Clock,
        longest: float,
    ) -> None:
        basic = base64.b64encode(f"{app.client_id}:{app.client_secret}".encode()).decode()
        redaction.add_secrets(app.client_secret, app.refresh_token, basic)
        self._basic = f"Basic {basic}"
        self._url = api_url + oauth.PATH
        self._headers = {"accept": "application/json", "content-type": oauth.MEDIA_TYPE, "user-agent": user_agent}
        self._sender = sender
        self._budget = budget
        self._clock = clock
        self._turn = Turn(longest=longest, told=self._tell)
        self._file: TokenFile | None = None
        if app.refresh_token_path is not None:
            self._file = TokenFile(Path(app.refresh_token_path), app.refresh_token)
            self._file.check()
            self._file.latest()
        self._refresh = app.refresh_token
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._asked = 0
        self._failure: errors.KlaviyoError | None = None
        self._met: errors.SignInFault | None = None
        self._warned = False

    @property
    def scopes(self) -> frozenset[str] | None:
        """What the latest answer of the token endpoint said of ``scope``; None before the first, or if it said none."""
        held = self._held
        return held.token.scopes if held else None

    def authorization(self) -> str:
        """The header for the token in use, renewed if it ends soon.

        Raises:
            SettingsError: Klaviyo gives no token to this app; ``GrantRefused`` when it must be authorised again.
            SignInFault: the endpoint is busy or broken, and no token holds.
        """
        held = self._held
        if held is None or self._clock.monotonic() >= held.renew_at:
            held = self._renew(held)
        return held.token.authorization

    def renewed(self, authorization: str) -> bool:
        """Whether there is another token than the one that Klaviyo answered with 401.

        Raises:
            SettingsError, SignInFault: as ``authorization``.
        """
        held = self._held
        if held is not None and held.token.authorization == authorization:
            self._renew(held, bears_old=False)
        return True

    def _renew(self, old: _Held | None, *, bears_old: bool = True) -> _Held:
        asked = self._asked
        with self._lock:
            held = self._held
            # A token that was refused is not fit because it was given a little longer meanwhile.
            if held is not None and held is not old and (bears_old or old is None or held.token is not old.token):
                return held
            # Of many threads that wait, one asks. What the user must change will not change by asking again.
            if self._failure and (self._asked != asked or isinstance(self._failure, errors.SettingsError)):
                raise self._failure
            try:
                self._held, self._failure = self._fetched(), None
            except errors.SignInFault as fault:
                now = self._clock.monotonic()
                if old is None or not bears_old or now >= old.ends_at:
                    self._failure = fault
                    raise
                logger.warning("%s; going on with the access token that still holds", fault)
                again = max(AGAIN_SECONDS, self._budget.closed(self._turn))
                self._held = replace(old, renew_at=now + again)
            except errors.SettingsError as error:
                self._failure = error
                raise
            finally:
                # Now, and not before: whoever came meanwhile has waited for this answer, too.
                self._asked += 1
            return self._held

    def _fetched(self) -> _Held:
        # Before the file is locked, for the wait may be long, and others may need no token now.
        self._wait()
        with self._sole_user():
            refresh = self._latest()
            asked_at = self._clock.monotonic()
            while True:
                try:
                    token = self._ask(refresh)
                    break
                except errors.GrantRefused:
                    newer = self._newer(refresh)
                    if newer == refresh:
                        raise
                    refresh = newer
            redaction.add_secrets(token.access)
            if token.refresh is not None and token.refresh != refresh:
                self._keep(token.refresh)
        if token.seconds is None:
            return _Held(token, float("inf"), float("inf"))
        ends_at = asked_at + token.seconds
        return _Held(token, ends_at - min(EARLY_SECONDS, token.seconds * EARLY_PART), ends_at)

    def _sole_user(self) -> AbstractContextManager[None]:
        """While it is entered, no other run asks with what the file holds, or writes it."""
        return nullcontext() if self._file is None else self._file.locked(self._clock.sleep)

    def _latest(self) -> str:
        if self._file is None:
            return self._refresh
        token = self._file.latest()
        redaction.add_secrets(token)
        return token

    def _newer(self, refresh: str) -> str:
        """What another run was given for a token that was then refused to us; the same token if there is none."""
        if self._file is not None and self._latest() == refresh:
            self._clock.sleep(OTHERS_SECONDS)
        return self._latest()

    def _keep(self, refresh: str) -> None:
        redaction.add_secrets(refresh)
        if self._file is not None:
            self._file.keep(refresh)
            return
        self._refresh = refresh
        if not self._warned:
            self._warned = True
            logger.warning(
                "Klaviyo gave a new refresh token, and the configured one may be accepted no more: set "
                "refresh_token_path, so that the next run has it"
            )

    def _wait(self) -> None:
        try:
            self._budget.acquire(self._turn)
        except Closed as closed:
            raise self._fault("Klaviyo asks to slow down", math.ceil(closed.seconds)) from closed

    def _ask(self, refresh: str) -> Token:
        request = Request("POST", self._url, self._headers, {}, oauth.form(refresh), self._basic)
        self._wait()
        try:
            response = self._sender.send(request, self._budget, self._turn)
            return oauth.answered(response.status, response.body, asked_for(response))
        except Closed as closed:
            raise self._fault("Klaviyo asks to slow down", math.ceil(closed.seconds)) from closed
        except TransportError as broken:
            self._budget.throttled(self._turn, None)
            raise self._fault(f"{broken} ({self._url})") from broken
        except errors.SignInFault as fault:
            # Whatever the status: every thread needs a token, and none is to ask sooner than the others.
            self._budget.throttled(self._turn, fault.retry_after)
            self._met = fault
            raise

    def _fault(self, said: str, seconds: int | None = None) -> errors.SignInFault:
        self._met = errors.SignInFault(f"{oauth.NAME}: {said}", operation=oauth.NAME, retry_after=seconds)
        return self._met

    def _tell(self, seconds: float) -> None:
        if self._met is not None:
            logger.warning("%s; trying again in %.1f s", self._met, seconds)
