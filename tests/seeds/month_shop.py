"""A shop whose account changes from day to day, as accounts do; what happens follows from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from inspect import signature

from month_account import METRICS, RENAMED, START, Account
from support.calls import Caller

from klaviyo_sandbox import RunningSandbox
from klaviyo_sandbox.account import changes
from klaviyo_sandbox.spec.times import format_datetime

DAY = timedelta(days=1)
# Klaviyo says nowhere whether these move a profile's time of change, so here they do so half of the time.
MAYBE_QUIET = ("bounces", "complains", "is_suppressed_by_hand", "is_suppressed_on_a_list")


class Shop(Account):
    """An account, and what may happen in it: every public method without arguments is one thing.

    Attributes:
        happened: what happened on the last day, in its order.
        merged_into: the profiles that others were merged into.
    """

    def __init__(self, sandbox: RunningSandbox, caller: Caller, seed: int) -> None:
        super().__init__(sandbox, caller, seed)
        self._bag: list[str] = []
        self._last_run = START
        self.happened: list[str] = []
        self.merged_into: set[str] = set()

    def live_a_day(self, count: int, verbs: Sequence[str]) -> None:
        """Let so many things happen, the last one at the very end of the day; every one of ``verbs`` in its turn."""
        self.happened.clear()
        self._last_run = self._sandbox.control.now
        ends = self._last_run + DAY
        for number in range(count):
            if not self._bag:
                self._bag = self._rng.sample(verbs, len(verbs))
            is_last = number == count - 1
            remaining = ends - self._sandbox.control.now
            passing = remaining if is_last else remaining * self._rng.uniform(0.05, 0.4)
            self._sandbox.control.advance(seconds=passing.total_seconds())
            verb = self._bag.pop()
            self._sandbox.control.change(quiet_suppressions=verb in MAYBE_QUIET and self._rng.random() < 0.5)
            getattr(self, verb)()
            self.happened.append(verb)

    # People ----------------------------------------------------------------------------------------------------------

    def comes_new(self) -> None:
        person = self._create(f"new{self._rng.randrange(10**9)}@example.com")
        self._members("POST", self._a_list(), person)

    def joins_a_list(self) -> None:
        self._members("POST", self._a_list(), self._somebody())

    def leaves_a_list(self) -> None:
        list_id = self._a_list(members=True)
        self._members("DELETE", list_id, self._member_of(list_id))

    def unsubscribes_from_a_list(self) -> None:
        list_id = self._a_list(members=True)
        person = self._member_of(list_id)
        self._withdraw(person, "email", list_id)
        self._event(person, "UNSB02", {"List": "Newsletter", "$message": "", "$flow": ""})

    def is_suppressed_on_a_list(self) -> None:
        """Once more, maybe, and for the same reason; the person stays a member."""
        list_id = self._a_list(members=True)
        with self.store.lock:
            changes.suppress_profile(self.store, self._member_of(list_id), "UNSUBSCRIBE", list_id)

    def unsubscribes_everywhere(self) -> None:
        person = self._somebody()
        self._withdraw(person, "email")
        self._event(person, self._rng.choice(("UNSB01", "UNSB03")), {"$message": "", "$flow": None})

    def unsubscribes_by_text(self) -> None:
        person = self._somebody(phone=True)
        self._withdraw(person, "sms")
        for metric_id in ("TXT01", "TXT02", "TXT03"):
            self._event(person, metric_id)

    def subscribes_again(self) -> None:
        person = self._somebody(subscribed=False)
        self._give(person, "email", self._a_list() if self._rng.random() < 0.5 else None)

    def subscribes_by_text(self) -> None:
        person = self._somebody(phone=True)
        self._give(person, "sms")
        for metric_id in ("TXT04", "TXT05"):
            self._event(person, metric_id)

    def is_suppressed_by_hand(self) -> None:
        self._suppression("create", self._somebody(reason=None))

    def suppression_is_lifted(self) -> None:
        person = self._somebody(reason="USER_SUPPRESSED")
        if person is not None:
            self._suppression("delete", person)

    def bounces(self) -> None:
        person = self._somebody(reason=None)
        with self.store.lock:
            changes.suppress_profile(self.store, person, "HARD_BOUNCE")
        self._event(person, "BNCE01", {"Bounce Type": "Hard"})

    def complains(self) -> None:
        person = self._somebody(reason=None)
        with self.store.lock:
            changes.suppress_profile(self.store, person, "SPAM_COMPLAINT")
        self._event(person, "SPAM01")

    def says_what_it_consents_to(self) -> None:
        said = self._rng.choice((["email", "sms"], ["email"], "email", []))
        self._patch(self._somebody(), {"properties": {"$consent": said, "Loyalty Tier": "Gold"}})

    def changes_its_address(self) -> None:
        self._patch(self._somebody(), {"email": f"new{self._rng.randrange(10**9)}@example.com"})

    def loses_a_property(self) -> None:
        person = self._somebody(has_properties=True)
        names = [name for name in self.store.profiles.rows[person]["properties"] if not name.startswith("$")]
        patch = {"patch_properties": {"unset": names[:1]}}
        self._patch(person, {}, meta=patch)

    def is_deleted(self) -> None:
        body = {"type": "profile", "id": self._bystander(), "attributes": {}}
        attributes = {"profile": {"data": body}}
        self._call(
            "POST", "data-privacy-deletion-jobs", {"type": "data-privacy-deletion-job", "attributes": attributes}
        )

    def is_merged(self) -> None:
        destination = self._somebody()
        with self.store.lock:
            changes.merge_profiles(self.store, self._bystander(), destination)
        self.merged_into.add(destination)

    # Groups -----------------------------------------------------------------------------------------------------------

    def segment_is_calculated_late(self) -> None:
        """Who has come is a member since some hours before the last run, which has read the segment without them."""
        with self.store.lock:
            members = self.store.segment_members[self._pick(self.store.segments.rows)]
            outside = [row_id for row_id in self.store.profiles.rows if row_id not in members]
            for person in self._rng.sample(sorted(members.rows), min(1, len(members))):
                members.drop(person)
            joined = self._last_run - timedelta(hours=self._rng.uniform(1, 20))
            for person in self._rng.sample(outside, min(2, len(outside))):
                members.put({"id": person, "joined_group_at": format_datetime(joined.replace(microsecond=0))})

    def group_is_renamed(self) -> None:
        kind = self._rng.choice(("list", "segment"))
        with self.store.lock:
            row_id = self._pick(getattr(self.store, f"{kind}s").rows)
            changes.edit(self.store, kind, row_id, name=f"Renamed {self._rng.randrange(1000)}")

    def tag_is_put_on(self) -> None:
        with self.store.lock:
            kind, row = self._tagged()
            tag_ids = [*row["tag_ids"], *(tag for tag in self.store.tags.rows if tag not in row["tag_ids"])]
            changes.set_tags(self.store, kind, row["id"], tag_ids[: len(row["tag_ids"]) + 1])

    def tag_is_taken_off(self) -> None:
        with self.store.lock:
            kind, row = self._tagged(with_tags=True)
            changes.set_tags(self.store, kind, row["id"], row["tag_ids"][1:])

    def group_is_deleted(self) -> None:
        """A list or segment that nobody uses; those of the stories stay."""
        kind = self._rng.choice(("lists", "segments"))
        rows = getattr(self.store, kind).rows
        spare = [row_id for row_id in rows if row_id not in self._lists]
        if len(spare) > 2:
            self._sandbox.control.delete(kind, self._rng.choice(spare))

    def tag_is_deleted(self) -> None:
        if len(self.store.tags.rows) > 3:
            self._sandbox.control.delete("tags", self._pick(self.store.tags.rows))

    # Messages ---------------------------------------------------------------------------------------------------------

    def flow_is_deleted(self) -> None:
        """After it has sent a message; one more is reported when it is gone."""
        flow_ids = {row["flow_id"] for row in self.store.flow_messages.rows.values()} & set(self.store.flows.rows)
        if len(flow_ids) > 3:
            flow_id = self._pick(dict.fromkeys(sorted(flow_ids)))
            message = next(row for row in self.store.flow_messages.rows.values() if row["flow_id"] == flow_id)
            said = {
                "$flow": flow_id,
                "$message": message["id"],
                "Message Name": message["name"],
                "Subject": message["definition"].get("subject_line"),
            }
            self._event(self._somebody(), "SENT01", said)
            self._sandbox.control.delete("flows", flow_id)
            self._event(self._somebody(), "SENT01", said)

    def campaign_is_edited(self) -> None:
        with self.store.lock:
            campaign_id = self._pick(self.store.campaigns.rows)
            audiences = self.store.campaigns.rows[campaign_id]["audiences"]
            changes.edit(
                self.store,
                "campaign",
                campaign_id,
                name=f"Edited {self._rng.randrange(1000)}",
                audiences={**audiences, "included": audiences["included"][1:] or [self._lists[0]]},
            )

    def campaign_is_deleted(self) -> None:
        if len(self.store.campaigns.rows) > 5:
            self._sandbox.control.delete("campaigns", self._pick(self.store.campaigns.rows))

    def metric_is_renamed(self) -> None:
        with self.store.lock:
            for row in list(self.store.metrics.rows.values()):
                if row["name"] in RENAMED:
                    changes.edit(self.store, "metric", row["id"], name=RENAMED[row["name"]])
                    break

    # Events -----------------------------------------------------------------------------------------------------------

    def event_comes_late(self) -> None:
        """By hours or days, but within what the tap looks back."""
        hours = self._rng.uniform(1, 24 * 6)
        self._event(self._somebody(), self._rng.choice(sorted(METRICS)), hours=hours)

    def other_integration_says_the_same(self) -> None:
        self._event(self._somebody(), "UNSB04")


VERBS = sorted(
    name
    for name, value in vars(Shop).items()
    if not name.startswith("_") and callable(value) and list(signature(value).parameters) == ["self"]
)
