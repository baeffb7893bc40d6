"""The base class of the target: the parts of a run, as the sink and the other modules of the intake use them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping

from singer_sdk import Target

from target_klaviyo.audience.mirrors import Mirrors
from target_klaviyo.delivery.dispatch import Dispatcher
from target_klaviyo.delivery.ledger import Ledger
from target_klaviyo.delivery.session import Session
from target_klaviyo.intake.routes import Route
from target_klaviyo.intake.state_writer import StateWriter
from target_klaviyo.reporting.results import RunResults


class RunTarget(Target):
    """A target with the parts of its run. ``TargetKlaviyo`` makes them; it is the only such target.

    Attributes:
        is_rehearsal: whether nothing is sent.
        routes: stream -> what is done with its records.
        session: what all actions share.
        results: what became of the records.
        ledger: which records have their outcome.
        states: writes STATE messages.
        warned: what was said of the streams' SCHEMAs.
    """

    is_rehearsal: bool
    routes: Mapping[str, Route]
    session: Session
    results: RunResults
    ledger: Ledger
    states: StateWriter
    warned: set[str]

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
