"""What fails of a run: which errors are those of some tables only, and what the run says of them at its end. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from klaviyo_client.errors import (
    ConnectionFault,
    InvalidKey,
    KlaviyoError,
    Refused,
    RevisionRetired,
    SettingsError,
    SignInFault,
    Unavailable,
)

# So many failures one after the other, with nothing between them that was read: it is the account that fails.
MAX_IN_A_ROW = 5


def leaves_others(error: BaseException) -> bool:
    """Whether the tables of other operations can be read all the same.

    A setting that is wrong is that of all, unless whoever reads one table knows better.
    """
    if isinstance(error, (InvalidKey, RevisionRetired, SignInFault)):
        return False
    if isinstance(error, ConnectionFault):
        # Whom no request reached, none will reach.
        return error.may_have_succeeded
    if isinstance(error, Refused):
        # A redirect that leads nowhere is the address of all.
        return error.status >= 400
    return isinstance(error, Unavailable)


@dataclass
class Failures:
    """The tables that were left out so far, and why.

    Attributes:
        skipped: tables and columns that the key may not read.
        scopes: the scopes that these need.
        failed: tables that could not be read.
        errors: operation -> the error by which it failed.
        settings_error: the first that a setting of one of them caused; None where none did.
    """

    skipped: list[str] = field(default_factory=list)
    scopes: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    errors: dict[str, KlaviyoError] = field(default_factory=dict)
    settings_error: SettingsError | None = None
    _in_a_row: list[KlaviyoError] = field(default_factory=list)

    def add_skipped(self, names: Iterable[str], scopes: Iterable[str]) -> None:
        """Add tables or columns that need these scopes."""
        self.skipped += [name for name in names if name not in self.skipped]
        self.scopes.update(scopes)

    def add_failed(self, names: Iterable[str], error: KlaviyoError) -> bool:
        """Add tables that could not be read; whether the others are worth an attempt."""
        self.failed += [name for name in names if name not in self.failed]
        if isinstance(error, SettingsError):
            self.settings_error = self.settings_error or error
            return True
        if isinstance(error, (Refused, Unavailable)):
            self.errors[error.operation] = error
        # What hangs on a table that failed fails by the same error.
        if not any(error is other for other in self._in_a_row):
            self._in_a_row.append(error)
        return len(self._in_a_row) < MAX_IN_A_ROW

    def add_success(self) -> None:
        """Something was read."""
        self._in_a_row.clear()

    def message(self) -> str | None:
        """What the run lacks, in one line; None where it is whole."""
        parts = []
        if self.skipped:
            parts.append(
                f"{', '.join(self.skipped)} skipped, because the key lacks a scope; "
                f"these are needed: {', '.join(sorted(self.scopes))}"
            )
        if self.failed:
            parts.append(
                f"{', '.join(self.failed)} failed, see above; their bookmarks stay, and the next run continues there"
            )
        return f"incomplete: {'; '.join(parts)}" if parts else None
