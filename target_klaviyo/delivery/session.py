"""What the actions of one run share: the client, and what the run has learnt of lists, jobs and people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from klaviyo_client.client import KlaviyoClient
from target_klaviyo.delivery.jobs import IMPORTS, SUPPRESSIONS, UNSUPPRESSIONS, Jobs, Watch
from target_klaviyo.delivery.lists import Lists
from target_klaviyo.delivery.manifests import Manifests
from target_klaviyo.delivery.pairs import Pairs
from target_klaviyo.delivery.unsubscribes import Leavers


@dataclass(frozen=True)
class Session:
    """What the actions of one run share.

    Attributes:
        job_timeout: seconds to wait for one of Klaviyo's jobs.
    """

    client: KlaviyoClient
    job_timeout: float
    lists: Lists = field(init=False)
    watches: Mapping[Jobs, Watch] = field(init=False)
    leavers: Leavers = field(init=False, default_factory=Leavers)
    pairs: Pairs = field(init=False, default_factory=Pairs)
    manifests: Manifests = field(init=False, default_factory=Manifests)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lists", Lists(self.client))
        kinds = (IMPORTS, SUPPRESSIONS, UNSUPPRESSIONS)
        object.__setattr__(self, "watches", {jobs: Watch(self.client, self.job_timeout, jobs) for jobs in kinds})
