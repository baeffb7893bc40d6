"""The result of a mirror: how many people are on the list, left it and joined it, and every reason why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from target_klaviyo.audience.completeness import Decision
from target_klaviyo.audience.mirror import Mirror
from target_klaviyo.audience.reasons import (
    EXPLAINED_STRANGERS,
    Obstacle,
    Reason,
    is_mostly_strange,
    people,
    strangers_of,
)
from target_klaviyo.model.identifiers import ATTRIBUTE_IDENTIFIERS
from target_klaviyo.reporting.run_report import Section

# Of those who are removed, so many stand in the report.
_MAX_SHOWN = 10_000


@dataclass(frozen=True)
class MirrorCounts:
    """A mirror in numbers: of people, unless it is said otherwise.

    What adds up: ``before + joined - left == after``. Whoever else joins while the run goes on is in none of them.

    Attributes:
        before: how many were on the list when the run began.
        joined: how many the run has put on it (in a rehearsal: would put), who were not on it.
        left: how many it has taken off (would take off).
        after: how many are on it then.
        absent: how many of those before are not in the stream, whether they left or not.
        audience: how many of those who came are on the list then.
        came: how many came.
        refused_on_list: how many of those who came could not be sent, and are on the list already, where they stay.
        refused_elsewhere: how many could not be sent, and are not on it.
        records: how many records came (not people).
        repeated: how many records were about people who had come before (not people).
        unidentified: how many records name nobody (not people).
    """

    before: int
    joined: int
    left: int
    after: int
    absent: int
    audience: int
    came: int
    refused_on_list: int
    refused_elsewhere: int
    records: int
    repeated: int
    unidentified: int


@dataclass(frozen=True)
class MirrorResult:
    """The result of one mirror: for the log, the report and the plan.

    Attributes:
        removed: how many people were removed; in a rehearsal, how many would be.
        is_rehearsal: whether nothing is sent anyway.
    """

    mirror: Mirror
    decision: Decision
    removed: int = 0
    is_rehearsal: bool = False

    @cached_property
    def counts(self) -> MirrorCounts:
        members, feed, absent = self.mirror.members or {}, self.mirror.feed, len(self.decision.absent)
        joined, refused = feed.count_strangers(members)
        stayed = len(members) - absent
        return MirrorCounts(
            before=len(members),
            joined=joined,
            left=self.removed,
            after=len(members) + joined - self.removed,
            absent=absent,
            audience=stayed + joined,
            came=feed.distinct,
            refused_on_list=stayed - feed.count_present(members),
            refused_elsewhere=refused,
            records=feed.records,
            repeated=feed.repeated,
            unidentified=feed.nameless,
        )

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why nobody is removed: every reason, with what to set."""
        return self.decision.reasons

    def to_json(self) -> dict[str, Any]:
        """The result as plain data. It names people in ``repeated_examples``, ``name -> text`` each."""
        return {
            "stream": self.mirror.stream,
            "list_id": self.mirror.list_id,
            "list": self.mirror.name,
            "rehearsal": self.is_rehearsal,
            **asdict(self.counts),
            "reasons": [
                {"code": str(reason.obstacle), "text": reason.text, "advice": reason.advice} for reason in self.reasons
            ],
            "notes": self.notes,
            "repeated_examples": [dict(names) for names in self.mirror.feed.repeated_examples.values()],
        }

    def section(self) -> Section:
        """The part of the report about this mirror, with a row for each who is not in the stream."""
        members, absent = self.mirror.members or {}, self.decision.absent
        notes = [f"{self.summary}.", *(f"{reason}." for reason in self.reasons), *self.notes]
        if len(absent) > _MAX_SHOWN:
            notes.append(f"{len(absent) - _MAX_SHOWN:,} more are not shown.")
        rows = [
            [profile_id, *(dict(members[profile_id]).get(name, "") for name in ATTRIBUTE_IDENTIFIERS)]
            for profile_id in absent[:_MAX_SHOWN]
        ]
        return Section(self.heading, notes, ["profile", *ATTRIBUTE_IDENTIFIERS], rows, facts=self.to_json())

    @property
    def heading(self) -> str:
        """What happened to those who are not in the stream; in a rehearsal, what would."""
        name, absent = repr(self.mirror.name), len(self.decision.absent)
        if self.reasons and absent:
            was = "would be" if self.is_rehearsal else "was"
            stay = f"{people(absent)} not in the stream {_stay(absent)}"
            return f"Nobody {was} removed from {name}: {stay}"
        if not absent:
            return f"Nobody {'would have' if self.is_rehearsal else 'had'} to be removed from {name}"
        return f"{people(self.removed)} {'would be ' if self.is_rehearsal else ''}removed from {name}"

    @property
    def summary(self) -> str:
        """The result in one line, which adds up: without the stream, and without naming anybody."""
        counts, name = self.counts, repr(self.mirror.name)
        if self.is_rehearsal:
            has, removed, now = "has", "would be removed", "then"
        else:
            has, removed, now = "had", "removed", "now"
        of_all = f" of {counts.absent:,}" if counts.left != counts.absent else ""
        members = "member" if counts.before == 1 else "members"
        return (
            f"list {name} {has} {counts.before:,} {members}: {counts.left:,}{of_all} {removed}, {counts.joined:,} "
            f"added, {counts.after:,} {now}; the audience has {people(counts.audience)}"
        )

    @property
    def notes(self) -> list[str]:
        """What else is to be known of those who came and those who left; names nobody."""
        return list(self._notes())

    def _notes(self) -> Iterator[str]:
        counts = self.counts
        if counts.repeated:
            yield f"{_records(counts.repeated)} about a person of an earlier record; each person counts once."
        if counts.unidentified:
            yield f"{_records(counts.unidentified)} without an e-mail, phone or id{self._may_be_wrong(counts)}."
        if counts.refused_on_list:
            stay = _stay(counts.refused_on_list)
            yield f"{people(counts.refused_on_list)} could not be sent, and {stay} on the list."
        if counts.refused_elsewhere:
            not_on_it = "is not on it" if counts.refused_elsewhere == 1 else "are not on it"
            yield f"{people(counts.refused_elsewhere)} could not be sent, and {not_on_it}."
        if not self._is_explained and is_mostly_strange(counts.absent, counts.before):
            yield f"{strangers_of(counts.absent, counts.before)}: {EXPLAINED_STRANGERS}."

    @property
    def _is_explained(self) -> bool:
        """Whether it is told elsewhere, or over, that people leave who came from elsewhere."""
        told = {reason.obstacle for reason in self.reasons} & {Obstacle.OVER_CAP, Obstacle.NOT_OWNED}
        return bool(told) or (bool(self.removed) and not self.is_rehearsal)

    def _may_be_wrong(self, counts: MirrorCounts) -> str:
        """How many of those who left may have been meant by records that name nobody."""
        at_most = min(counts.unidentified, counts.left)
        if not at_most:
            return ""
        return f", so up to {at_most:,} of the removals may be wrong"

    @property
    def problem(self) -> str | None:
        """Why the list does not equal the stream, None when it does."""
        stream, name, absent = self.mirror.stream, repr(self.mirror.name), len(self.decision.absent)
        if self.reasons:
            count = len(self.reasons)
            numbered = [f"({number}) {reason}" for number, reason in enumerate(self.reasons, 1)]
            why = f"for {count} reasons: {'; '.join(numbered)}" if count > 1 else f"({self.reasons[0]})"
            is_ = "would be" if self.is_rehearsal else "is"
            return f"{stream}: nobody {is_} removed from {name} {why}; {people(absent)} {_stay(absent)} on the list"
        if self.removed < absent:
            refused = absent - self.removed
            return f"{stream}: Klaviyo refused {refused:,} removal{'' if refused == 1 else 's'}"
        return None


def _records(count: int) -> str:
    return f"{count:,} {'record is' if count == 1 else 'records are'}"


def _stay(count: int) -> str:
    return "stays" if count == 1 else "stay"
