"""Looks up which of a plan's people Klaviyo has, within bounds: the rest of the plan does not need it."""

from __future__ import annotations

from klaviyo_client.errors import KlaviyoError, NotAllowed
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints.people import find_profiles
from target_klaviyo.model.identifiers import IDENTIFIERS
from target_klaviyo.rehearsal.plan_stream import MAX_ASKED, StreamPlan


def look_up_people(session: Session, stream: StreamPlan) -> None:
    """Tell a stream's plan which of its people Klaviyo has, or why nobody was asked."""
    people = {
        person: row for person, row in stream.people.items() if any(name in IDENTIFIERS for name, _ in person)
    }  # a visitor's id cannot be asked for
    if len(people) > MAX_ASKED:
        stream.why_not_asked = f"more than {MAX_ASKED:,} people"
    elif len(people) < len(stream.people):
        stream.why_not_asked = "some have only a visitor's id"
    elif people:
        try:
            matches = find_profiles(session, people.values())
        except NotAllowed:
            stream.why_not_asked = "the key lacks profiles:read"
        except KlaviyoError:
            stream.why_not_asked = "Klaviyo did not answer"
        else:
            stream.known = frozenset(person for person, row in people.items() if row in matches.ids)
