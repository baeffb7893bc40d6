"""Pages of cast rows as bytes, without a dictionary for each row.

How a resource looks is asked of ``Documents`` once for every mould and kind of request, with marks in place of the
values; so a printed page is what the ordinary way would have given (a test compares the two).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from klaviyo_sandbox.account.procedural.events import NAMES, TOUCHES, EventCast, EventMould
from klaviyo_sandbox.account.procedural.row_templates import Cast, Mould, Stencil, mark
from klaviyo_sandbox.account.relations import find_row, related_identities
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.attributions import attribution
from klaviyo_sandbox.account.seeded.mailings import Mailing
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.documents import Documents, Identity
from klaviyo_sandbox.spec.exchange import encode_json

_INCLUDES = frozenset({"attributions", "metric", "profile"})
# Bounds what is remembered: forgetting costs a few milliseconds, a full scan of two years makes thousands of stencils.
_MOST_SHAPES, _MOST_STENCILS = 8, 4096

Shape = tuple[Any, ...]


class TemplateRenderer:
    """Prints pages for one store, and remembers the stencils that they need. Hold the store's lock."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shapes: dict[Shape, dict[tuple[object, object], Stencil]] = {}

    def can_render(self, documents: Documents, rows: Sequence[Any]) -> bool:
        """Are these rows cast, and is nothing included that only the ordinary way knows?"""
        if not rows or not all(isinstance(row, Cast) for row in rows):
            return False
        if not documents.include:
            return True
        if not isinstance(rows[0], EventCast) or not documents.include <= _INCLUDES:
            return False
        # An event knows its person as they were before anything was written.
        changed = self._store.profiles.overridden if "profile" in documents.include else ()
        return not changed or not any(row.person.own[0].decode() in changed for row in rows)

    def page(
        self, documents: Documents, kind: str, rows: Sequence[Any], path: str, before: str | None, after: str | None
    ) -> bytes:
        """The document that ``documents.many`` would give for these rows."""
        sheet = _Sheet(self._store, documents, self._known(documents.shape))
        parts = [b'{"data":[', b",".join([sheet.primary(kind, row) for row in rows])]
        if documents.include:
            parts += [b'],"included":[', b",".join(sheet.included(rows))]
        parts += [b'],"links":', encode_json(documents.links(path, before, after)), b"}"]
        return b"".join(parts)

    def _known(self, shape: Shape) -> dict[tuple[object, object], Stencil]:
        if shape not in self._shapes and len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        known = self._shapes.setdefault(shape, {})
        if len(known) > _MOST_STENCILS:
            known.clear()
        return known


class _Sheet:
    """One page being printed."""

    def __init__(self, store: Store, documents: Documents, known: dict[tuple[object, object], Stencil]) -> None:
        self._store = store
        self._documents = documents
        self._known = known
        include = documents.include
        self._attributions, self._metric, self._profile = (name in include for name in sorted(_INCLUDES))

    def primary(self, kind: str, row: Cast) -> bytes:
        touches = row.touches if self._attributions and isinstance(row, EventCast) else ()
        stencil = self._known.get((row.mould, len(touches)))
        if stencil is None:
            stencil = self._known[row.mould, len(touches)] = self._stencil(kind, row.mould, len(touches))
        return stencil.fill((*row.own, *(touch[0].encode() for touch in touches)) if touches else row.own)

    def included(self, rows: Sequence[EventCast]) -> list[bytes]:
        """Each included resource once, in the order in which the rows name them."""
        made: dict[object, bytes] = {}
        for row in rows:
            if self._attributions and row.touches:
                for touch_id, mailing in row.touches:
                    made[row.own[0], touch_id] = self._attribution(row.own[0], touch_id, mailing)
            if self._metric and row.mould.fixed["metric_id"] not in made:
                made[row.mould.fixed["metric_id"]] = self._metric_of(row.mould)
            if self._profile and row.person.own[0] not in made:
                made[row.person.own[0]] = self._person(row.person)
        return list(made.values())

    def _attribution(self, event_id: bytes, touch_id: str, mailing: Mailing) -> bytes:
        stencil = self._known.get(("attribution", mailing))
        if stencil is None:
            row = attribution(mark("id"), mark("first"), mailing)
            stencil = Stencil(self._marked().other("attribution", row), ("id", "first"))
            self._known["attribution", mailing] = stencil
        return stencil.fill((event_id, touch_id.encode()))

    def _metric_of(self, mould: Mould) -> bytes:
        metric_id = mould.fixed["metric_id"]
        stencil = self._known.get(("metric", metric_id))
        if stencil is None:
            row = find_row(self._store, "metric", metric_id)
            if row is None:
                raise ValueError(f"there is no metric {metric_id}")
            stencil = self._known["metric", metric_id] = Stencil(self._documents.other("metric", row), ())
        return stencil.fill(())

    def _person(self, person: Cast) -> bytes:
        stencil = self._known.get((person.mould, "included"))
        if stencil is None:
            stencil = Stencil(self._documents.other("profile", person.mould.row), person.mould.names)
            self._known[person.mould, "included"] = stencil
        return stencil.fill(person.own)

    def _stencil(self, kind: str, mould: Mould, touches: int) -> Stencil:
        names = NAMES if isinstance(mould, EventMould) else mould.names
        return Stencil(self._marked(touches).primary(kind, mould.row), names)

    def _marked(self, touches: int = 0) -> Documents:
        """The documents, with marks for as many attributions."""

        def marked(kind: str, row: Row, name: str) -> Sequence[Identity]:
            if (kind, name) == ("event", "attributions"):
                return [("attribution", f"{mark('id')}:{mark(touch)}") for touch in TOUCHES[:touches]]
            return related_identities(self._store, kind, row, name)

        return self._documents.of(marked)
