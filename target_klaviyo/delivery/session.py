"""What the actions of one run share: the client, and what the run has learnt of lists, jobs and people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from klaviyo_client.client import KlaviyoClient
from target_klaviyo.delivery.consent_order import ConsentOrder
from target_klaviyo.delivery.jobs import KINDS, JobKind, JobPoller
from target_klaviyo.delivery.linked_identifiers import LinkedIdentifiers
from target_klaviyo.delivery.lists import ListFinder
from target_klaviyo.delivery.manifests import AudienceSizes
from target_klaviyo.delivery.merges import Merges
from target_klaviyo.delivery.unsubscribes import PendingUnsubscribes


@dataclass(frozen=True)
class Session:
    """What the actions of one run share.

    Attributes:
        job_timeout: seconds to wait for one of Klaviyo's jobs.
    """

    client: KlaviyoClient
    job_timeout: float
    lists: ListFinder = field(init=False)
    job_pollers: Mapping[JobKind, JobPoller] = field(init=False)
    pending_unsubscribes: PendingUnsubscribes = field(init=False, default_factory=PendingUnsubscribes)
    linked_identifiers: LinkedIdentifiers = field(init=False, default_factory=LinkedIdentifiers)
    consent_order: ConsentOrder = field(init=False, default_factory=ConsentOrder)
    audience_sizes: AudienceSizes = field(init=False, default_factory=AudienceSizes)
    merges: Merges = field(init=False, default_factory=Merges)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lists", ListFinder(self.client))
        pollers = {kind: JobPoller(self.client, self.job_timeout, kind) for kind in KINDS}
        object.__setattr__(self, "job_pollers", pollers)
