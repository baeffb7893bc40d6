"""The base class of the target: the parts of a run, as the sink and the other modules of the intake use them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from singer_sdk import Target

from klaviyo_client.errors import Incomplete, SettingsError
from target_klaviyo.audience.mirrors import Mirrors
from target_klaviyo.delivery.dispatch import Dispatcher
from target_klaviyo.delivery.fingerprints import Fingerprints
from target_klaviyo.delivery.ledger import Ledger
from target_klaviyo.delivery.session import Session
from target_klaviyo.intake.routes import Route
from target_klaviyo.intake.state_writer import StateWriter
from target_klaviyo.rehearsal.plan import Plan
from target_klaviyo.reporting.left_out import unchanged_section
from target_klaviyo.reporting.results import RunResults, TooManyRejects


class RunTarget(Target):
    """A target with the parts of its run. ``TargetKlaviyo`` makes them; it is the only such target.

    Attributes:
        is_rehearsal: whether nothing is sent.
        plan: what would be done, in a rehearsal.
        routes: stream -> what is done with its records.
        session: what all actions share.
        results: what became of the records.
        ledger: which records have their outcome.
        fingerprints: which rows were delivered before.
        states: writes STATE messages.
        warned: what was said of the streams' SCHEMAs.
        refused: in a rehearsal, the streams whose settings cannot be used.
    """

    is_rehearsal: bool
    plan: Plan | None
    routes: Mapping[str, Route]
    session: Session
    results: RunResults
    ledger: Ledger
    fingerprints: Fingerprints
    states: StateWriter
    warned: set[str]
    refused: set[str]

    @contextmanager
    def judging(self, stream: str) -> Iterator[None]:
        """The context of what may find out that a stream cannot be sent; a rehearsal then looks at the others, too.

        Raises:
            SettingsError: it cannot, and this is no rehearsal.
        """
        try:
            yield
        except SettingsError as error:
            if self.plan is None:
                raise
            self.refuse(stream, error)

    def refuse(self, stream: str, error: SettingsError) -> None:
        """Note in a rehearsal's plan that a stream's settings cannot be used, once, and let its records pass."""
        if self.plan is not None and stream not in self.refused:
            self.plan.add_problem(str(error))
        self.refused.add(stream)

    def forget_streams(self) -> None:
        """Begin anew, as if no SCHEMA had come. Nothing waits to be sent."""
        self.mapper.stream_maps.clear()
        self._sinks_active.clear()

    def warn_once(self, warnings: Iterable[str]) -> None:
        """Log what is to be said of a stream, unless it was: a SCHEMA may come again."""
        for warning in warnings:
            if warning not in self.warned:
                self.warned.add(warning)
                self.logger.warning("%s", warning)

    def finish_mirrors(self) -> None:
        """Finish the mirrors: where too many records were rejected, only to tell what else is in their way.

        Raises:
            TooManyRejects: they were.
        """
        rejects = self.results.excess_rejects(ended=True)
        try:
            self.mirrors.finish(too_many_rejects=rejects is not None)
        except Incomplete as error:
            if rejects is None:
                raise
            raise TooManyRejects(f"{rejects}; {error}") from error
        finally:
            for result in self.mirrors.results:
                self.results.add_section(result.section())
        if rejects is not None:
            raise rejects

    def close_fingerprints(self) -> None:
        """Keep on file what was delivered, and tell what was left out as unchanged. A second call does nothing.

        Raises:
            Incomplete: it cannot be kept.
        """
        for stream, fingerprints in self.fingerprints.close().items():
            if fingerprints.left_out and not self.is_rehearsal:  # whose plan counts it with its other reasons
                self.results.add_section(unchanged_section(stream, fingerprints.left_out, fingerprints.path))

    @property
    @abstractmethod
    def is_retrying(self) -> bool:
        """Whether what is read now is an earlier run's rejects file."""

    @property
    @abstractmethod
    def dispatcher(self) -> Dispatcher:
        """Sends rows."""

    @property
    @abstractmethod
    def mirrors(self) -> Mirrors:
        """The lists that are made equal to streams."""
