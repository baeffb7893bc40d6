"""The tree of errors: everything that can go wrong between us and Klaviyo, split by who must act.

::

    KlaviyoError
    ├── SettingsError            the user: a setting is wrong, nothing was sent
    │   ├── UntrustedOrigin      the user: the key would have left for another origin
    │   ├── GrantRefused         the user: the OAuth app must be authorised again
    │   └── MissingScopes        the user: a check of the key's scopes has found that some of those needed are missing
    ├── Refused                  Klaviyo answered 4xx and will answer the same again
    │   ├── InvalidKey       401 the user: the private key is wrong or was revoked, or a fresh access token refused
    │   ├── NotAllowed       403 in Klaviyo's words, the user: a scope is missing, or the account may not do this
    │   │   └── NotEnabled       nobody, unless it is needed: the account's plan does not have it
    │   ├── NotFound         404 the caller: the thing is gone
    │   ├── Conflict         409 the caller: another profile has this identifier
    │   ├── RevisionRetired  410, or 400 about the header, the user: the revision asked for is not served, or no more
    │   ├── TooLarge         413 the caller: send less at once
    │   └── BadRequest       400 and the others: the caller, ``errors`` says where
    ├── Unavailable              nobody: retried already, try again later
    │   ├── Throttled        429 certainly not done
    │   ├── DailyLimitReached    certainly not done: the limit of this day is used up, by us or, says a 429, by others
    │   ├── ServerFault      5xx, 408: may have been done
    │   ├── Blocked          403 without Klaviyo's words: certainly not done, a proxy or firewall has answered
    │   ├── ConnectionFault      may have been done, see ``may_have_succeeded``
    │   ├── BadDocument          the answer is not what the specification promises
    │   └── SignInFault          certainly not done: there is no access token to sign it with
    └── Incomplete               the user: the run of a plugin ended in order, but left something out
        └── CapExceeded          the user: more would be removed than a cap allows

Data lives in attributes. ``str(error)`` is one line without keys, e-mail addresses and phone numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from klaviyo_client.privacy.redaction import mask


@dataclass(frozen=True)
class ApiError:
    """One entry of the ``errors`` member of Klaviyo's error document."""

    code: str
    title: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    id: str | None = None
    meta: dict[str, object] | None = None


class KlaviyoError(Exception):
    """Root of the tree."""

    def __str__(self) -> str:
        return mask(" ".join(super().__str__().split()))


class SettingsError(KlaviyoError):
    """A setting is missing or wrong."""


class UntrustedOrigin(SettingsError):
    """A link or redirect points to another origin than ``api_url``."""


class GrantRefused(SettingsError):
    """Klaviyo accepts a refresh token no more."""


class MissingScopes(SettingsError):
    """The key lacks scopes that the settings and the catalog need."""


class Refused(KlaviyoError):
    """Klaviyo answered 4xx.

    Attributes:
        status: the HTTP status.
        operation: Klaviyo's operation id, such as ``get_profiles``.
        errors: what Klaviyo says, one entry per fault that it found.
    """

    def __init__(self, message: str, *, status: int, operation: str, errors: tuple[ApiError, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.operation = operation
        self.errors = errors


class InvalidKey(Refused):
    """401."""


class NotAllowed(Refused):
    """403."""


class NotEnabled(NotAllowed):
    """403 that no scope mends."""


class NotFound(Refused):
    """404."""


class Conflict(Refused):
    """409."""


class RevisionRetired(Refused):
    """410, or a 400 about the header."""


class TooLarge(Refused):
    """413."""


class BadRequest(Refused):
    """400, 405, 415 and every other 4xx."""


class Unavailable(KlaviyoError):
    """No usable answer, after as many attempts as were allowed.

    Attributes:
        operation: Klaviyo's operation id.
        retry_after: seconds that Klaviyo asked us to wait, if it did.
        may_have_succeeded: whether Klaviyo may have carried the request out.
        waits_in_limiter: whether the rate limiter makes the next attempt wait, so that a retry need not wait itself.
    """

    may_have_succeeded = True
    waits_in_limiter = False

    def __init__(self, message: str, *, operation: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.operation = operation
        self.retry_after = retry_after


class Throttled(Unavailable):
    """429."""

    may_have_succeeded = False
    waits_in_limiter = True

    @classmethod
    def of(cls, operation: str, seconds: int | None) -> Throttled:
        """The error for an operation that may be called again in so many seconds; None where Klaviyo does not say."""
        pause = "" if seconds is None else f" for {seconds} s"
        message = f"{operation}: Klaviyo asks to slow down{pause} (429)"
        return cls(message, operation=operation, retry_after=seconds)


class DailyLimitReached(Unavailable):
    """The daily limit of an operation is reached. Trying again within minutes does not help."""

    may_have_succeeded = False

    @classmethod
    def of(cls, operation: str, seconds: int) -> DailyLimitReached:
        """The error for an operation that may be called again in so many seconds."""
        message = f"{operation}: today's requests are used up; the next are possible in {seconds / 3600:.1f} hours"
        return cls(message, operation=operation, retry_after=seconds)


class ServerFault(Unavailable):
    """500, 502, 503, 504, 524 and every other 5xx, and 408: the request was not whole in time."""


class Blocked(Unavailable):
    """403 without Klaviyo's error document: what stands between has answered, with a challenge for a browser, say."""

    may_have_succeeded = False


class ConnectionFault(Unavailable):
    """No connection, a connection that broke, or silence for longer than the time-out."""

    def __init__(self, message: str, *, operation: str, may_have_succeeded: bool) -> None:
        super().__init__(message, operation=operation)
        self.may_have_succeeded = may_have_succeeded


class BadDocument(Unavailable):
    """A success whose body is not the JSON document that the specification promises."""


class SignInFault(Unavailable):
    """The token endpoint is busy, broken, or out of reach."""

    may_have_succeeded = False
    waits_in_limiter = True


class Incomplete(KlaviyoError):
    """The run ended in order, but something was left out; the message says what and why."""


class CapExceeded(Incomplete):
    """More would be removed than a cap allows, so nothing is."""
