"""Checks that a request may be answered: its key or token, its revision and its scopes."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from klaviyo_sandbox.http.oauth import Tokens
from klaviyo_sandbox.spec import errors, facts
from klaviyo_sandbox.spec.facts import Operation

_LOGGER = logging.getLogger("klaviyo_sandbox")
_KEY = re.compile(r"Klaviyo-API-Key(?: (\S*))?")
_PRIVATE = re.compile(r"pk_\S+")
_BEARER = re.compile(r"Bearer (\S+)")
_REVISION = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:\.pre)?")
OTHER_REVISIONS = ("warn", "refuse")
_OPT_OUT = "x-klaviyo-revision-fall-forward-opt-out"


@dataclass(frozen=True)
class Access:
    """Who may do what.

    Attributes:
        key: None: any private key opens the account.
        scopes: None: every scope is granted.
        advanced_kdp: whether the account has Advanced KDP, without which there are no webhooks.
        other_revisions: one of ``OTHER_REVISIONS``: whether other revisions than the current one are answered.
    """

    key: str | None = None
    scopes: frozenset[str] | None = None
    advanced_kdp: bool = True
    other_revisions: str = "warn"

    @property
    def granted_scopes(self) -> frozenset[str]:
        """The scopes by name, also when every scope is granted."""
        return all_scopes() if self.scopes is None else self.scopes


def check_credentials(access: Access, tokens: Tokens | None, headers: Mapping[str, str]) -> None:
    """Refuse a request with neither a private key of the account nor an access token of its OAuth app.

    Raises:
        Refusal: 401.
    """
    authorization = headers.get("authorization")
    if authorization is None:
        raise errors.unauthenticated("Missing or invalid authorization header.")
    if tokens is not None and (bearer := _BEARER.fullmatch(authorization)) and tokens.is_valid(bearer[1]):
        return
    key = _KEY.fullmatch(authorization)
    if key is None:
        raise errors.unauthenticated("Incorrect authentication credentials.")
    if not _PRIVATE.fullmatch(key[1] or "") or access.key not in (None, key[1]):
        raise errors.wrong_key()


def asked_revision(headers: Mapping[str, str]) -> str | None:
    """The revision that a request asks for; None where it names none that can be read."""
    revision = headers.get("revision", "")
    return revision if _is_revision(revision) else None


def check_revision(access: Access, headers: Mapping[str, str], spoken: facts.Facts) -> str | None:
    """Refuse a request without a revision, or with one that is not spoken where only those are answered.

    Returns:
        The revision that was asked for, when it is another one and is answered all the same.

    Raises:
        Refusal: 400 without a readable revision, or where another one is refused; 410 for a retired one, when the
            request opts out of falling forward.
    """
    revision = headers.get("revision")
    if revision is None:
        raise errors.invalid_parameter("A revision header is required, such as a date.", "revision")
    if not _is_revision(revision):
        raise errors.invalid_parameter(f"'{revision}' is not a revision: it must be YYYY-MM-DD.", "revision")
    if revision in spoken.revisions:
        return None
    if access.other_revisions == "refuse":
        detail = f"klaviyo-sandbox speaks {spoken.revision_list}, not {revision}."
        raise errors.invalid_parameter(detail, "revision")
    # Without the opt-out Klaviyo quietly serves a newer revision instead.
    if headers.get(_OPT_OUT) == "1" and _is_retired(revision, spoken.revisions[-1]):
        raise errors.revision_retired(revision, spoken.revision_list)
    return revision


def _is_revision(text: str) -> bool:
    """Whether a text is a day, or one with ``.pre``."""
    match = _REVISION.fullmatch(text)
    if match is None:
        return False
    try:
        date.fromisoformat(match[1])
    except ValueError:
        return False
    return True


def _is_retired(revision: str, current: str) -> bool:
    """Whether Klaviyo supports it no more when the current one is new: a revision lives for two years."""
    year, rest = int(current[:4]), current[4:10]
    return revision[:10] <= f"{year - 2}{rest}"


def count_revision(requests: Counter[str], other: str | None, spoken: facts.Facts) -> None:
    """Count a request that asked for a revision that is not spoken, and warn in the log of the first."""
    if other is None:
        return
    if other not in requests:
        _LOGGER.warning(
            "klaviyo-sandbox speaks %s: what asks for %s is answered in %s",
            spoken.revision_list,
            other,
            spoken.answering_revision(other),
        )
    requests[other] += 1


def check_scopes(access: Access, operation: Operation) -> None:
    """Refuse an operation whose scopes are not granted, or that needs Advanced KDP where the account has none.

    Raises:
        Refusal: 403.
    """
    granted = access.scopes
    missing = [] if granted is None else [scope for scope in operation.scopes if scope not in granted]
    if missing:
        raise errors.forbidden(missing)
    if operation.path.startswith("/api/webhook") and not access.advanced_kdp:
        raise errors.not_enabled("Advanced KDP")


def all_scopes() -> frozenset[str]:
    """Every scope that an operation asks for."""
    return frozenset(scope for operation in facts.load().operations.values() for scope in operation.scopes)


def parse_scopes(text: str) -> frozenset[str]:
    """Scopes separated by spaces or commas.

    Raises:
        ValueError: a scope that no operation asks for.
    """
    scopes = frozenset(text.replace(",", " ").split())
    known = all_scopes()
    if unknown := sorted(scopes.difference(known)):
        raise ValueError(f"unknown scopes: {', '.join(unknown)} (known: {', '.join(sorted(known))})")
    return scopes
