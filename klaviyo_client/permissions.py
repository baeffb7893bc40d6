"""Permissions: finds out which scopes a key has, by harmless requests, for Klaviyo has no operation that tells them.

The requests change nothing. Reads ask for one row. Whatever is no read is sent without what the specification requires
of its body, ``{"data": ...}``, and to an id that nobody has: it cannot be done. Where the scope is there the answer is
400 or 404, and 403 where it is not. This relies on Klaviyo's looking at scopes before it looks at ids and bodies, which
its documents do not promise.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from klaviyo_client.api.operations import Operation, operation
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import BadRequest, Conflict, MissingScopes, NotAllowed, NotEnabled, NotFound, TooLarge

# Letters and digits, as ids are; long enough that no id of Klaviyo's can be it.
UNUSED_ID = "0" * 32
Scopes = frozenset[str]
Queries = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Requirement:
    """Something that a key is needed for: a stream, an action, a report.

    Attributes:
        name: what people call it, such as a stream's name.
        operations: the operations without which nothing of it can be done.
        optional: part of it that can be left out -> the operations that the part takes.
    """

    name: str
    operations: Collection[str]
    optional: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Permission:
    """Whether a key meets a requirement.

    Attributes:
        requirement: what the key is needed for.
        reason: why it cannot be used for that, in words; empty when it can.
        missing: optional part that must be left out -> the reason, in words.
        scopes: the scopes that the key lacks for all of that.
        enabled: whether the account's plan has it.
    """

    requirement: Requirement
    reason: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)
    scopes: Scopes = frozenset()
    enabled: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.reason and not self.missing

    def __str__(self) -> str:
        if self.reason:
            return f"{self.requirement.name}: not usable, {self.reason}"
        parts_by_reason: dict[str, list[str]] = {}
        for part, reason in self.missing.items():
            parts_by_reason.setdefault(reason, []).append(part)
        missing = "".join(f"; not {', '.join(parts)}, {reason}" for reason, parts in parts_by_reason.items())
        return f"{self.requirement.name}: usable{missing}"


class ScopeProbe:
    """Finds out which scopes a key has, and remembers it.

    Args:
        send: sends a harmless request of an operation; raises NotAllowed where the key may not do it.
        granted_scopes: gives the key's scopes where something has told them, else None; once they are known, no request
            is sent any more.
    """

    def __init__(self, send: Callable[[str], None], granted_scopes: Callable[[], Scopes | None] = lambda: None) -> None:
        self._send = send
        self._granted_scopes = granted_scopes
        self._granted: set[str] = set()
        self._missing: set[str] = set()
        self._refusals: dict[str, NotAllowed] = {}

    def probe(self, names: Iterable[str]) -> None:
        """Send the requests that tell whether the key may do these operations; each operation at most once."""
        for op in sorted(map(operation, dict.fromkeys(names)), key=_probe_order):
            if self._granted_scopes() is None and not self._granted | self._missing >= set(op.scopes):
                self._try(op)

    def _try(self, op: Operation) -> None:
        try:
            self._send(op.id)
        except NotAllowed as error:
            self._refusals[op.id] = error
            self._missing |= scopes_named_in(error) & set(op.scopes)
        else:
            self._granted |= set(op.scopes)

    def is_enabled(self, name: str) -> bool:
        """Whether the account's plan has the operation, as far as Klaviyo has not denied it."""
        return not isinstance(self._refusals.get(name), NotEnabled)

    def missing_scopes(self, name: str) -> tuple[Scopes, str]:
        """(the scopes that the key lacks for the operation, what else Klaviyo says); both empty if it may do it.

        A refusal that is not for want of a scope has another reason, which Klaviyo's words tell: the account's plan,
        say.
        """
        needed = frozenset(operation(name).scopes)
        granted, refusal = self._granted_scopes(), self._refusals.get(name)
        if granted is not None:
            return needed - granted, ""
        missing = needed & self._missing
        if refusal is None:
            return missing, ""
        if not missing and self.is_enabled(name):
            # A refusal that names no scope is about one of those that nothing has shown to be there.
            missing = needed - self._granted
        if not missing:
            return missing, "; ".join(error.detail or error.title for error in refusal.errors) or str(refusal)
        return missing, ""


def _probe_order(op: Operation) -> tuple[int, bool, bool]:
    """What is tried first: few scopes, for they answer for other operations; then what every account has."""
    return len(op.scopes), op.method != "GET", "{" in op.path


def scopes_named_in(error: NotAllowed) -> Scopes:
    """The scopes that Klaviyo's words name."""
    words = " ".join(entry.detail for entry in error.errors)
    return frozenset(re.findall(r"\b[a-z]+(?:-[a-z]+)*:(?:read|write)\b", words))


def probe_request(client: KlaviyoClient, queries: Queries | None = None) -> Callable[[str], None]:
    """A function that sends a harmless request of an operation to an account: the ``send`` of ``ScopeProbe``.

    Args:
        client: the account.
        queries: operation -> the query of a read; a page is of one row in any case.
    """

    def send(name: str) -> None:
        op = operation(name)
        path = dict.fromkeys(re.findall(r"\{(\w+)\}", op.path), UNUSED_ID)
        size = {"page[size]": "1"} if op.page_size else {}
        try:
            client.call(
                name,
                path=path,
                query={**(queries or {}).get(name, {}), **size},
                body=None if op.method == "GET" else {},
                idempotent=True,
            )
        except (BadRequest, NotFound, Conflict, TooLarge) as error:
            # The scope is there; but a proxy's answer, or a redirect, tells nothing.
            if not error.errors:
                raise

    return send


def for_client(client: KlaviyoClient, send: Callable[[str], None]) -> ScopeProbe:
    """The probe of a client's key. The access token of an OAuth app tells its scopes; else ``send`` finds them out.

    Raises:
        SettingsError: the app gets no token.
        SignInFault: the token endpoint is busy or broken.
    """
    client.credentials.authorization()
    return ScopeProbe(send, lambda: client.credentials.scopes)


def check_requirements(probe: ScopeProbe, requirements: Collection[Requirement]) -> list[Permission]:
    """Find out which requirements the key meets; one permission for each, in their order."""
    probe.probe(
        [
            *(name for requirement in requirements for name in requirement.operations),
            *(name for requirement in requirements for names in requirement.optional.values() for name in names),
        ]
    )
    return [_permission(probe, requirement) for requirement in requirements]


def _permission(probe: ScopeProbe, requirement: Requirement) -> Permission:
    missing, reason = _missing_of_all(probe, requirement.operations)
    parts = {part: _missing_of_all(probe, names) for part, names in requirement.optional.items()}
    return Permission(
        requirement,
        reason,
        missing={part: words for part, (_, words) in parts.items() if words},
        scopes=missing.union(*(scopes for scopes, _ in parts.values())),
        enabled=all(map(probe.is_enabled, requirement.operations)),
    )


def _missing_of_all(probe: ScopeProbe, names: Iterable[str]) -> tuple[Scopes, str]:
    """(the scopes that the key lacks for these operations, the reason in words)."""
    results = [probe.missing_scopes(name) for name in names]
    scopes = frozenset[str]().union(*(missing for missing, _ in results))
    reasons = [f"the key lacks {' and '.join(sorted(scopes))}"] if scopes else []
    reasons += dict.fromkeys(words for missing, words in results if words and not missing)
    return scopes, "; ".join(reasons)


def log_permissions(permissions: Collection[Permission], logger: logging.Logger, *, required: Collection[str]) -> None:
    """Log a line for each permission.

    Args:
        permissions: what was found out.
        logger: where the lines go.
        required: names of the requirements that the coming run cannot do without.

    Raises:
        MissingScopes: one of those is not met, or not whole.
    """
    for permission in permissions:
        logger.log(logging.INFO if permission.is_whole else logging.WARNING, "%s", permission)
    unmet = [entry for entry in permissions if not entry.is_whole and entry.requirement.name in required]
    if not unmet:
        return
    scopes = frozenset[str]().union(*(permission.scopes for permission in unmet))
    names = ", ".join(permission.requirement.name for permission in unmet)
    need = f"; these scopes are needed: {', '.join(sorted(scopes))}" if scopes else ""
    raise MissingScopes(f"the key lacks scopes: {names}{need}")
