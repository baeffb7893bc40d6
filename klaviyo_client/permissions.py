"""What a key may do, found out by asking: Klaviyo has no operation that tells the scopes of a key.

Nothing is changed by it. Reads are made of one row. Whatever is no read is sent without what the specification requires
of it, ``{"data": ...}``, and to an id that nobody has: it cannot be done. Where the scope is there the answer is 400 or
404, and 403 where it is not. This relies on Klaviyo's looking at scopes before it looks at ids and bodies, which its
documents do not promise.
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
NOBODY = "0" * 32
Scopes = frozenset[str]
Queries = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Use:
    """Something that a key is to be used for.

    Attributes:
        name: what people call it, such as a stream.
        needs: the operations without which nothing of it can be done.
        parts: what of it can be left out -> the operations that it takes.
    """

    name: str
    needs: Collection[str]
    parts: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """Whether a key can be used for it.

    Attributes:
        refused: why not, in words; empty when it can be.
        without: the same for its parts, only of those that must be left out.
        scopes: what the key lacks for all of that.
        enabled: whether the account's plan has it.
    """

    use: Use
    refused: str = ""
    without: Mapping[str, str] = field(default_factory=dict)
    scopes: Scopes = frozenset()
    enabled: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.refused and not self.without

    def __str__(self) -> str:
        if self.refused:
            return f"{self.use.name}: not usable, {self.refused}"
        reasons: dict[str, list[str]] = {}
        for part, reason in self.without.items():
            reasons.setdefault(reason, []).append(part)
        missing = "".join(f"; not {', '.join(parts)}, {reason}" for reason, parts in reasons.items())
        return f"{self.use.name}: usable{missing}"


class Known:
    """What is known of a key's scopes.

    Args:
        ask: sends a harmless request of an operation; raises NotAllowed where the key may not do it.
        told: the scopes, when something has told them; nothing more is asked then.
    """

    def __init__(self, ask: Callable[[str], None], told: Callable[[], Scopes | None] = lambda: None) -> None:
        self._ask = ask
        self._told = told
        self._granted: set[str] = set()
        self._missing: set[str] = set()
        self._refusals: dict[str, NotAllowed] = {}

    def learn(self, names: Iterable[str]) -> None:
        """Ask what it takes to know whether the key may do these operations, and no more: each at most once."""
        for op in sorted(map(operation, dict.fromkeys(names)), key=_place):
            if self._told() is None and not self._granted | self._missing >= set(op.scopes):
                self._try(op)

    def _try(self, op: Operation) -> None:
        try:
            self._ask(op.id)
        except NotAllowed as error:
            self._refusals[op.id] = error
            self._missing |= named(error) & set(op.scopes)
        else:
            self._granted |= set(op.scopes)

    def is_enabled(self, name: str) -> bool:
        """Whether Klaviyo has not said that the account's plan is without the operation."""
        return not isinstance(self._refusals.get(name), NotEnabled)

    def lacking(self, name: str) -> tuple[Scopes, str]:
        """(the scopes that the key lacks for the operation, what else Klaviyo says); both empty if it may do it.

        A refusal for want of no scope has another reason, which Klaviyo's words tell: the account's plan, say.
        """
        wanted = frozenset(operation(name).scopes)
        told, refusal = self._told(), self._refusals.get(name)
        # A refusal that names no scope is about one of those that nothing has shown to be there.
        found = wanted - told if told is not None else wanted & self._missing
        if refusal is not None and told is None:
            if not found and self.is_enabled(name):
                found = wanted - self._granted
            if not found:
                return found, "; ".join(error.detail or error.title for error in refusal.errors) or str(refusal)
        return found, ""


def _place(op: Operation) -> tuple[int, bool, bool]:
    """What is asked first: what has few scopes, for it answers for others; then what the account is sure to have."""
    return len(op.scopes), op.method != "GET", "{" in op.path


def named(error: NotAllowed) -> Scopes:
    """The scopes that Klaviyo's words name."""
    words = " ".join(entry.detail for entry in error.errors)
    return frozenset(re.findall(r"\b[a-z]+(?:-[a-z]+)*:(?:read|write)\b", words))


def harmless(client: KlaviyoClient, queries: Queries | None = None) -> Callable[[str], None]:
    """The ``ask`` of ``Known`` for an account.

    Args:
        client: the account.
        queries: what to ask of reads, by operation; a page is of one row in any case.
    """

    def ask(name: str) -> None:
        op = operation(name)
        path = dict.fromkeys(re.findall(r"\{(\w+)\}", op.path), NOBODY)
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

    return ask


def of_key(client: KlaviyoClient, ask: Callable[[str], None]) -> Known:
    """What is to be found out of a client's key by ``ask``; the first access token of an OAuth app tells its scopes.

    Raises:
        SettingsError: the app gets no token.
        SignInFault: the token endpoint is busy or broken.
    """
    client.credentials.authorization()
    return Known(ask, lambda: client.credentials.scopes)


def found(known: Known, uses: Collection[Use]) -> list[Finding]:
    """What the key can be used for."""
    known.learn(
        [
            *(name for use in uses for name in use.needs),
            *(name for use in uses for names in use.parts.values() for name in names),
        ]
    )
    return [_finding(known, use) for use in uses]


def _finding(known: Known, use: Use) -> Finding:
    lacks, refused = _lacking(known, use.needs)
    parts = {part: _lacking(known, names) for part, names in use.parts.items()}
    without = {part: reason for part, (_, reason) in parts.items() if reason}
    scopes = lacks.union(*(scopes for scopes, _ in parts.values()))
    return Finding(use, refused, without, scopes, all(map(known.is_enabled, use.needs)))


def _lacking(known: Known, names: Iterable[str]) -> tuple[Scopes, str]:
    """As ``Known.lacking``, for several operations."""
    answers = [known.lacking(name) for name in names]
    scopes = frozenset[str]().union(*(missing for missing, _ in answers))
    reasons = [f"the key lacks {' and '.join(sorted(scopes))}"] if scopes else []
    reasons += dict.fromkeys(reason for missing, reason in answers if reason and not missing)
    return scopes, "; ".join(reasons)


def report(findings: Collection[Finding], logger: logging.Logger, *, relied_on: Collection[str]) -> None:
    """Log a line for each finding.

    Args:
        findings: what was found.
        logger: where the lines go.
        relied_on: names of what the run that is to come relies on.

    Raises:
        MissingScopes: something of that cannot be used, or not whole.
    """
    for finding in findings:
        logger.log(logging.INFO if finding.is_whole else logging.WARNING, "%s", finding)
    wrong = [finding for finding in findings if not finding.is_whole and finding.use.name in relied_on]
    if not wrong:
        return
    scopes = frozenset[str]().union(*(finding.scopes for finding in wrong))
    names = ", ".join(finding.use.name for finding in wrong)
    need = f"; these scopes are needed: {', '.join(sorted(scopes))}" if scopes else ""
    raise MissingScopes(f"the key may not do all that is asked of it: {names}{need}")
