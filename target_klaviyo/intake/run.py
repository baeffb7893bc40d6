"""The target as its sinks see it: what a sink asks of the run that it belongs to."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from singer_sdk import Target

from target_klaviyo.audience.mirrors import Mirrors
from target_klaviyo.delivery.dispatch import Dispatcher
from target_klaviyo.delivery.session import Session
from target_klaviyo.intake.routes import Route


class RunTarget(Target):
    """The parts of a run that sinks use. ``TargetKlaviyo`` makes them; it is the only such target.

    Attributes:
        routes: stream -> what is done with its records.
        session: what all actions share.
    """

    routes: Mapping[str, Route]
    session: Session

    @property
    @abstractmethod
    def despatch(self) -> Dispatcher:
        """Where records are sent from."""

    @property
    @abstractmethod
    def mirrors(self) -> Mirrors:
        """The lists that are made equal to streams."""
