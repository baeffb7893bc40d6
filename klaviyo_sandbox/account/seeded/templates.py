"""Templates of every editor; those of drag-and-drop editors have a definition."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import random_time
from klaviyo_sandbox.spec.times import format_datetime

_TEMPLATES = (
    ("Newsletter: plain", "SIMPLE"),
    ("Newsletter: two columns", "SYSTEM_DRAGGABLE"),
    ("Été & Nouveautés", "SYSTEM_DRAGGABLE"),
    ("Order confirmation", "CODE"),
    ("Abandoned cart", "SYSTEM_DRAGGABLE"),
    ("Welcome", "USER_DRAGGABLE"),
    ("Win-back", "SIMPLE"),
    ("Geburtstag 🎂", "CODE"),
    ("Price drop", "USER_DRAGGABLE"),
    ("Review request", "SYSTEM_DRAGGABLE"),
)


def templates(rng: random.Random, start: datetime, end: datetime) -> list[Row]:
    return [_template(rng, name, editor, start, end) for name, editor in _TEMPLATES]


def _template(rng: random.Random, name: str, editor: str, start: datetime, end: datetime) -> Row:
    created = random_time(rng, start, end)
    template_id = short_id(rng)
    return {
        "id": template_id,
        "name": name,
        "editor_type": editor,
        "html": f"<html><body><h1>{name}</h1><p>{{{{ first_name|default:'friend' }}}}, grüß dich!</p></body></html>",
        "text": rng.choice((None, "", f"{name}\n\nHello {{{{ first_name }}}}")),
        "amp": "<html amp4email></html>" if editor == "CODE" and rng.random() < 0.5 else None,
        "created": format_datetime(created),
        "updated": format_datetime(random_time(rng, created, end)),
        "definition": _definition(rng, template_id) if editor.endswith("DRAGGABLE") else None,
    }


def _definition(rng: random.Random, template_id: str) -> dict[str, Any]:
    return {
        "id": str(rng.randrange(10**6, 10**7)),
        "template_id": template_id,
        "body": {
            "id": str(rng.randrange(10**6, 10**7)),
            "properties": {"id": "bodyTable", "css_class": "root-container"},
            "styles": {"background_color": "#ffffff", "width": 600},
            "sections": [],
        },
        "styles": [{"id": None, "style_type": "text-styles", "styles": {"color": "#222222", "font_size": 14}}],
    }
