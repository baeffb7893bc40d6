"""Access tokens of an OAuth app: requested, kept for all threads, and renewed before they expire."""

from __future__ import annotations

import base64
import logging
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from klaviyo_client import errors
from klaviyo_client.auth import oauth
from klaviyo_client.auth.oauth import App, Token
from klaviyo_client.auth.token_file import TokenFile
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.permits import Permit
from klaviyo_client.http.rate_limits import RateLimiter
from klaviyo_client.http.sending import Sender
from klaviyo_client.http.transport import Request, TransportError
from klaviyo_client.privacy import redaction

logger = logging.getLogger("klaviyo_client")

# A token is renewed so long before its end, or a tenth of its life if that is less: a request that waits for the rate
# limits or for its answer must not outlive it.
EARLY_SECONDS = 300.0
EARLY_FRACTION = 0.1
# While the old token is still valid, a renewal that failed is tried again after so long.
RETRY_SECONDS = 10.0
# A tap and a target that begin together ask for a token at the same time. So many seconds later, the one that was first
# has written its refresh token to the file.
OTHER_RUN_SECONDS = 2.0


@dataclass(frozen=True)
class _CurrentToken:
    """The access token in use. From ``renew_at`` on it is renewed, at ``ends_at`` it expires; both by the clock."""

    token: Token
    renew_at: float
    ends_at: float


class OAuthCredentials:
    """Access tokens of an OAuth app: one for all threads. One thread renews it while the others wait.

    Args:
        app: what to sign in with.
        api_url: where Klaviyo is; the secrets go to no other origin.
        user_agent: how the requests name themselves.
        sender: sends them.
        rate_limiter: that of the token endpoint.
        clock: what the life of a token is measured with.
        max_wait: how many seconds to wait at most when the endpoint asks for it.

    Raises:
        SettingsError: the app's ``refresh_token_path`` cannot be used.
    """

    advice_on_401 = (
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
        rate_limiter: RateLimiter,
        clock: Clock,
        max_wait: float,
    ) -> None:
        basic = base64.b64encode(f"{app.client_id}:{app.client_secret}".encode()).decode()
        redaction.add_secrets(app.client_secret, app.refresh_token, basic)
        self._basic = f"Basic {basic}"
        self._url = api_url + oauth.PATH
        self._headers = {"accept": "application/json", "content-type": oauth.MEDIA_TYPE, "user-agent": user_agent}
        self._sender = sender
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._permit = Permit(max_wait=max_wait, on_wait=self._log_wait)
        self._file: TokenFile | None = None
        if app.refresh_token_path is not None:
            self._file = TokenFile(Path(app.refresh_token_path), app.refresh_token)
            self._file.check()
            self._file.latest()
        self._refresh_token = app.refresh_token
        self._lock = threading.Lock()
        self._current: _CurrentToken | None = None
        self._renewals = 0
        self._renewal_error: errors.KlaviyoError | None = None
        self._latest_fault: errors.SignInFault | None = None
        self._warned = False

    @property
    def scopes(self) -> frozenset[str] | None:
        """What the latest answer of the token endpoint said of ``scope``; None before the first, or if it said none."""
        current = self._current
        return current.token.scopes if current else None

    def authorization(self) -> str:
        """The header for the token in use, renewed if it ends soon.

        Raises:
            SettingsError: Klaviyo gives no token to this app; ``GrantRefused`` when it must be authorised again.
            SignInFault: the endpoint is busy or broken, and no token is valid.
        """
        current = self._current
        if current is None or self._clock.monotonic() >= current.renew_at:
            current = self._renew(current)
        return current.token.authorization

    def refresh_after_401(self, authorization: str) -> bool:
        """Whether there is another token than the one that Klaviyo answered with 401; asks for one if need be.

        Raises:
            SettingsError, SignInFault: as ``authorization``.
        """
        current = self._current
        if current is not None and current.token.authorization == authorization:
            self._renew(current, may_keep_old=False)
        return True

    # Renewing ---------------------------------------------------------------------------------------------------------

    def _renew(self, old: _CurrentToken | None, *, may_keep_old: bool = True) -> _CurrentToken:
        """A token in place of ``old``. Of many threads that come here together, one asks for it.

        Args:
            old: the token that ends soon or was refused; None when there was none.
            may_keep_old: whether ``old`` may be used on while no other can be had; not one that was refused.
        """
        renewals_before = self._renewals
        with self._lock:
            renewed = self._renewed_meanwhile(old, may_keep_old=may_keep_old)
            if renewed is not None:
                return renewed
            error = self._renewal_error
            failed_meanwhile = self._renewals != renewals_before
            # What the user must change will not change by asking again.
            if error is not None and (failed_meanwhile or isinstance(error, errors.SettingsError)):
                raise error
            try:
                self._current = self._request_or_keep(old if may_keep_old else None)
                return self._current
            finally:
                # Only now: threads that came meanwhile waited for this result, too.
                self._renewals += 1

    def _renewed_meanwhile(self, old: _CurrentToken | None, *, may_keep_old: bool) -> _CurrentToken | None:
        """The token that another thread has put in place of ``old``, None when none has."""
        current = self._current
        if current is None or current is old:
            return None
        # Another thread may only have put off the renewal of the same token, which is no help when it was refused.
        is_same_token = old is not None and current.token is old.token
        return current if may_keep_old or not is_same_token else None

    def _request_or_keep(self, old: _CurrentToken | None) -> _CurrentToken:
        """A new token; ``old``, to be renewed a little later, where none can be had and it is still valid."""
        try:
            token = self._request_token()
        except errors.SignInFault as fault:
            now = self._clock.monotonic()
            if old is None or now >= old.ends_at:
                self._renewal_error = fault
                raise
            logger.warning("%s; continuing with the access token, which is still valid", fault)
            wait = max(RETRY_SECONDS, self._rate_limiter.pause_left(self._permit))
            return replace(old, renew_at=now + wait)
        except errors.SettingsError as error:
            self._renewal_error = error
            raise
        self._renewal_error = None
        return token

    def _request_token(self) -> _CurrentToken:
        # Before the file is locked, for the wait may be long, and other runs may need no token now.
        self._acquire()
        with self._file_lock():
            refresh_token = self._latest_refresh_token()
            asked_at = self._clock.monotonic()
            while True:
                try:
                    token = self._call_endpoint(refresh_token)
                    break
                except errors.GrantRefused:
                    newer = self._refresh_token_of_other_run(refresh_token)
                    if newer == refresh_token:
                        raise
                    refresh_token = newer
            redaction.add_secrets(token.access)
            if token.refresh is not None and token.refresh != refresh_token:
                self._keep(token.refresh)
        if token.seconds is None:
            return _CurrentToken(token, float("inf"), float("inf"))
        ends_at = asked_at + token.seconds
        return _CurrentToken(token, ends_at - min(EARLY_SECONDS, token.seconds * EARLY_FRACTION), ends_at)

    # The refresh token ------------------------------------------------------------------------------------------------

    def _file_lock(self) -> AbstractContextManager[None]:
        """While it is entered, no other run asks with what the file holds, or writes it."""
        return nullcontext() if self._file is None else self._file.lock(self._clock.sleep)

    def _latest_refresh_token(self) -> str:
        if self._file is None:
            return self._refresh_token
        token = self._file.latest()
        redaction.add_secrets(token)
        return token

    def _refresh_token_of_other_run(self, refused: str) -> str:
        """What another run was given in place of a token that was refused to us; the same token if there is none."""
        if self._file is not None and self._latest_refresh_token() == refused:
            self._clock.sleep(OTHER_RUN_SECONDS)
        return self._latest_refresh_token()

    def _keep(self, refresh_token: str) -> None:
        redaction.add_secrets(refresh_token)
        if self._file is not None:
            self._file.keep(refresh_token)
            return
        self._refresh_token = refresh_token
        if not self._warned:
            self._warned = True
            logger.warning(
                "Klaviyo gave a new refresh token, and the configured one may stop working: set refresh_token_path, "
                "so that the next run has it"
            )

    # The token endpoint -----------------------------------------------------------------------------------------------

    def _acquire(self) -> None:
        try:
            self._rate_limiter.acquire(self._permit)
        except errors.Throttled as error:
            raise self._fault("Klaviyo asks to slow down", error.retry_after) from error

    def _call_endpoint(self, refresh_token: str) -> Token:
        request = Request("POST", self._url, self._headers, {}, oauth.refresh_body(refresh_token), self._basic)
        self._acquire()
        try:
            response = self._sender.send(request, self._rate_limiter, self._permit)
            return oauth.parse_token_response(response.status, response.body, response.retry_after)
        except errors.Throttled as error:
            raise self._fault("Klaviyo asks to slow down", error.retry_after) from error
        except TransportError as error:
            self._rate_limiter.back_off(self._permit, None)
            raise self._fault(f"{error} ({self._url})") from error
        except errors.SignInFault as fault:
            # Whatever the status: every thread needs a token, and none may ask sooner than the others.
            self._rate_limiter.back_off(self._permit, fault.retry_after)
            self._latest_fault = fault
            raise

    def _fault(self, reason: str, seconds: int | None = None) -> errors.SignInFault:
        self._latest_fault = errors.SignInFault(f"{oauth.NAME}: {reason}", operation=oauth.NAME, retry_after=seconds)
        return self._latest_fault

    def _log_wait(self, seconds: float) -> None:
        if self._latest_fault is not None:
            logger.warning("%s; trying again in %.1f s", self._latest_fault, seconds)
