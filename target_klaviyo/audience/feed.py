"""What a stream shows of an audience: who came, who was taken, and what the records say of its size. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping

from target_klaviyo.model.identifiers import Identifier, parse_email, parse_phone_number
from target_klaviyo.model.records import RejectedRecord

# The size that a record gives whose column is missing or holds no whole number. No audience has it.
NO_SIZE = -1
# People with several records who are kept as examples.
_MAX_EXAMPLES = 5

Members = Mapping[str, Iterable[Identifier]]


def can_name(identifiers: Mapping[str, str]) -> bool:
    """Whether one of these identifiers of a rejected record can be somebody's: ``N/A`` in place of an address cannot.

    >>> can_name({"email": "N/A"}), can_name({"email": "N/A", "external_id": "C1"})
    (False, True)
    """
    checks = {"email": parse_email, "phone_number": parse_phone_number}
    for name, text in identifiers.items():
        try:
            if name not in checks or checks[name](text):
                return True
        except RejectedRecord:
            continue
    return False


class AudienceFeed:
    """What a stream has shown of an audience, record by record.

    Records that share an identifier are about one person; a person is known by a number, which ``add`` gives.

    Attributes:
        named: how many records name somebody.
        nameless: how many name nobody: they have no identifier, or none that can be anybody's.
        unattributed: records and lines that could not be read at all, or name no list.
        sizes: what the records give as the audience's size; None of a record that gives none.
        version_ended: whether an ACTIVATE_VERSION came after records of its version, and no record after that.
        repeated_examples: identifiers of the first people of whom a second record came.
    """

    def __init__(self) -> None:
        self.named = 0
        self.nameless = 0
        self.unattributed = 0
        self.sizes: set[int | None] = set()
        self.version_ended = False
        self.repeated_examples: dict[int, tuple[Identifier, ...]] = {}
        self._version: int | None = None
        self._people: dict[Identifier, int] = {}
        # Person -> themselves, or who they turned out to be; and whether a record of theirs was taken.
        self._same_as = array("q")
        self._taken = bytearray()
        self._merged = 0
        self._unusable: set[Identifier] = set()

    @property
    def distinct(self) -> int:
        """How many people came."""
        return len(self._same_as) - self._merged

    @property
    def repeated(self) -> int:
        """How many records were about people who had come before."""
        return self.named - self.distinct

    @property
    def records(self) -> int:
        """How many records came."""
        return self.named + self.nameless

    @property
    def size(self) -> int | None:
        """The audience's size, where all records give the same."""
        size = next(iter(self.sizes)) if len(self.sizes) == 1 else None
        return None if size == NO_SIZE else size

    def add(self, identifiers: Collection[Identifier], size: int | None, version: int | None = None) -> int:
        """Add a record about a person, and give the person's number.

        Args:
            identifiers: of the person, at least one.
            size: the audience's size that the record gives, None when it gives none.
            version: the version of the table that it is of.
        """
        self.named += 1
        self._note(size, version)
        known = {self._leader(self._people[one]) for one in identifiers if one in self._people}
        if known:
            person = min(known)
            for other in known - {person}:
                self._merge(other, person)
            if person in self.repeated_examples or len(self.repeated_examples) < _MAX_EXAMPLES:
                self.repeated_examples[person] = tuple(identifiers)
        else:
            person = len(self._same_as)
            self._same_as.append(person)
            self._taken.append(False)
        self._people.update(dict.fromkeys(identifiers, person))
        return person

    def add_nameless(self, unusable: Collection[Identifier], size: int | None, version: int | None = None) -> None:
        """Add a record that names nobody. ``unusable``: what it has for identifiers; whoever goes by them stays."""
        self.nameless += 1
        self._note(size, version)
        self._unusable.update(unusable)

    def take(self, person: int) -> None:
        """Note that a record of the person was taken."""
        self._taken[self._leader(person)] = True

    def end_version(self, version: int | None) -> None:
        """Take an ACTIVATE_VERSION. One that comes before the first record of its version does not end it."""
        self.version_ended = version is not None and version == self._version and self.distinct > 0

    def absent(self, members: Members) -> tuple[str, ...]:
        """The ids of the members (id -> identifiers) who did not come."""
        return tuple(
            member
            for member, identifiers in members.items()
            if not any(one in self._people or one in self._unusable for one in identifiers)
        )

    def count_present(self, members: Members) -> int:
        """How many of the members came and were taken."""
        return sum(any(self._taken[person] for person in self._people_of(names)) for names in members.values())

    def count_strangers(self, members: Members) -> tuple[int, int]:
        """(how many people who are no members were taken, how many were not)."""
        present = {person for identifiers in members.values() for person in self._people_of(identifiers)}
        strangers = [
            self._taken[person]
            for person, same_as in enumerate(self._same_as)
            if person == same_as and person not in present
        ]
        taken = sum(strangers)
        return taken, len(strangers) - taken

    def _people_of(self, identifiers: Iterable[Identifier]) -> Iterator[int]:
        return (self._leader(self._people[one]) for one in identifiers if one in self._people)

    def _note(self, size: int | None, version: int | None) -> None:
        self.sizes.add(size)
        self._version = version
        self.version_ended = False

    def _leader(self, person: int) -> int:
        """The number that a person has now: the smallest of those that turned out to be theirs."""
        while self._same_as[person] != person:
            self._same_as[person] = person = self._same_as[self._same_as[person]]
        return person

    def _merge(self, other: int, person: int) -> None:
        self._same_as[other] = person
        self._taken[person] |= self._taken[other]
        self._merged += 1
        self.repeated_examples.pop(other, None)
