"""Renders pages of template rows as bytes, without a dictionary for each row.

``Documents`` is asked once for every row template and kind of request how a resource looks, with placeholders for the
values; so a rendered page is what ``Documents.many`` would have given (a test compares the two).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from klaviyo_sandbox.account.procedural.events import TOUCH_NAMES, VALUE_NAMES, EventRow, EventTemplate
from klaviyo_sandbox.account.procedural.row_templates import JsonTemplate, RowTemplate, TemplateRow, placeholder
from klaviyo_sandbox.account.relations import find_row, related_identities
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.attributions import attribution
from klaviyo_sandbox.account.seeded.mailings import Mailing
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.documents import Documents, Identity
from klaviyo_sandbox.spec.exchange import encode_json

_INCLUDES = frozenset({"attributions", "metric", "profile"})
# Bounds of the cache: emptying it costs a few milliseconds; a full scan of two years makes thousands of templates.
_MAX_SHAPES, _MAX_TEMPLATES = 8, 4096

Shape = tuple[Any, ...]


class TemplateRenderer:
    """Renders pages for one store, and caches the JSON templates that they need. Hold the store's lock."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shapes: dict[Shape, dict[tuple[object, object], JsonTemplate]] = {}

    def can_render(self, documents: Documents, rows: Sequence[Any]) -> bool:
        """Are all of these template rows, and is nothing included that only ``Documents`` knows?"""
        if not rows or not all(isinstance(row, TemplateRow) for row in rows):
            return False
        if not documents.include:
            return True
        if not isinstance(rows[0], EventRow) or not documents.include <= _INCLUDES:
            return False
        # An event row has its person as they were before anything was written.
        changed = self._store.profiles.overridden if "profile" in documents.include else ()
        return not changed or not any(row.person.row_values[0].decode() in changed for row in rows)

    def page(
        self, documents: Documents, kind: str, rows: Sequence[Any], path: str, before: str | None, after: str | None
    ) -> bytes:
        """The document that ``documents.many`` would give for these rows."""
        rendering = _Rendering(self._store, documents, self._templates_for(documents.cache_key))
        parts = [b'{"data":[', b",".join([rendering.primary_resource(kind, row) for row in rows])]
        if documents.include:
            parts += [b'],"included":[', b",".join(rendering.included(rows))]
        parts += [b'],"links":', encode_json(documents.links(path, before, after)), b"}"]
        return b"".join(parts)

    def _templates_for(self, shape: Shape) -> dict[tuple[object, object], JsonTemplate]:
        if shape not in self._shapes and len(self._shapes) >= _MAX_SHAPES:
            self._shapes.clear()
        templates = self._shapes.setdefault(shape, {})
        if len(templates) > _MAX_TEMPLATES:
            templates.clear()
        return templates


class _Rendering:
    """The rendering of one page."""

    def __init__(
        self, store: Store, documents: Documents, templates: dict[tuple[object, object], JsonTemplate]
    ) -> None:
        self._store = store
        self._documents = documents
        self._templates = templates
        include = documents.include
        self._attributions, self._metric, self._profile = (name in include for name in sorted(_INCLUDES))

    def primary_resource(self, kind: str, row: TemplateRow) -> bytes:
        touches = row.touches if self._attributions and isinstance(row, EventRow) else ()
        key = (row.template, len(touches))
        json_template = self._templates.get(key)
        if json_template is None:
            json_template = self._templates[key] = self._make_template(kind, *key)
        values = row.row_values
        return json_template.fill((*values, *(touch[0].encode() for touch in touches)) if touches else values)

    def included(self, rows: Sequence[EventRow]) -> list[bytes]:
        """Each included resource once, in the order in which the rows name them."""
        resources: dict[object, bytes] = {}
        for row in rows:
            if self._attributions and row.touches:
                event_id = row.row_values[0]
                for touch_id, mailing in row.touches:
                    resources[event_id, touch_id] = self._attribution_resource(event_id, touch_id, mailing)
            if self._metric and row.template.fixed["metric_id"] not in resources:
                resources[row.template.fixed["metric_id"]] = self._metric_resource(row.template)
            if self._profile and row.person.row_values[0] not in resources:
                resources[row.person.row_values[0]] = self._profile_resource(row.person)
        return list(resources.values())

    def _attribution_resource(self, event_id: bytes, touch_id: str, mailing: Mailing) -> bytes:
        json_template = self._templates.get(("attribution", mailing))
        if json_template is None:
            row = attribution(placeholder("id"), placeholder("first_touch"), mailing)
            json_template = JsonTemplate(
                self._with_placeholders().included_resource("attribution", row), ("id", "first_touch")
            )
            self._templates["attribution", mailing] = json_template
        return json_template.fill((event_id, touch_id.encode()))

    def _metric_resource(self, template: RowTemplate) -> bytes:
        metric_id = template.fixed["metric_id"]
        json_template = self._templates.get(("metric", metric_id))
        if json_template is None:
            row = find_row(self._store, "metric", metric_id)
            if row is None:
                raise ValueError(f"there is no metric {metric_id}")
            json_template = JsonTemplate(self._documents.included_resource("metric", row), ())
            self._templates["metric", metric_id] = json_template
        return json_template.fill(())

    def _profile_resource(self, person: TemplateRow) -> bytes:
        json_template = self._templates.get((person.template, "included"))
        if json_template is None:
            json_template = JsonTemplate(
                self._documents.included_resource("profile", person.template.row), person.template.names
            )
            self._templates[person.template, "included"] = json_template
        return json_template.fill(person.row_values)

    def _make_template(self, kind: str, template: RowTemplate, touches: int) -> JsonTemplate:
        names = VALUE_NAMES if isinstance(template, EventTemplate) else template.names
        return JsonTemplate(self._with_placeholders(touches).primary_resource(kind, template.row), names)

    def _with_placeholders(self, touches: int = 0) -> Documents:
        """The documents, with placeholders for so many attributions."""

        def related_or_placeholders(kind: str, row: Row, name: str) -> Sequence[Identity]:
            if (kind, name) == ("event", "attributions"):
                return [("attribution", f"{placeholder('id')}:{placeholder(touch)}") for touch in TOUCH_NAMES[:touches]]
            return related_identities(self._store, kind, row, name)

        return self._documents.with_related(related_or_placeholders)
