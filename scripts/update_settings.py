#!/usr/bin/env python3
"""Write docs/reference/settings.md from the settings schemas of both plugins.

python scripts/update_settings.py            # write the page
python scripts/update_settings.py --check    # write nothing, fail when it differs
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from generated import run

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "settings.md"
sys.path.insert(0, str(ROOT))

from klaviyo_client.plugin.settings import CONNECTION  # noqa: E402 - the checkout's own packages
from tap_klaviyo.settings import SETTINGS as TAP  # noqa: E402
from target_klaviyo.settings import SETTINGS as TARGET  # noqa: E402

INTRODUCTION = """\
# Settings

<!-- Made by scripts/update_settings.py from the settings schemas, which the plugins check their settings with. -->

Each is a key of the config file (`--config tap.json`), a setting in `meltano.yml`, or an environment variable (with
`--config ENV` in a plain pipe): the plugin's name and the setting's, as in `TAP_KLAVIYO_START_DATE`; lists and objects
are written as JSON there. A value that cannot be, or a setting that there is not, is exit code 2, and nothing is read
or sent; names that begin with `_` or `$` are for your own notes. `--about` prints the same as JSON Schema.

Exactly one kind of credentials must be given: `api_key`, or `client_id`, `client_secret` and `refresh_token`.
"""
SDK = (
    "The Meltano SDK adds `stream_maps`, `stream_map_config`, `flattening_enabled` and `flattening_max_depth` to both: "
    "[what stream maps do and cost](../recipes/stream-maps.md), [what flattening does and costs]"
    "(../recipes/flattening.md).\n"
)


def kind(schema: Mapping[str, Any]) -> str:
    """A setting's type in a word or two."""
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("format"):
        return str(schema["format"])
    types = [schema["type"]] if isinstance(schema.get("type"), str) else list(schema.get("type", ("any",)))
    return " or ".join(types)


def table(settings: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "\n| Setting | Type | Default | Meaning |\n|---|---|---|---|\n"
    for name, schema in settings.items():
        default = f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
        secret = " Secret: never logged." if schema.get("secret") else ""
        yield f"| `{name}` | {kind(schema)} | {default} | {schema['description']}{secret} |\n"


def page() -> str:
    own = [
        {name: setting for name, setting in schema["properties"].items() if name not in CONNECTION}
        for schema in (TAP, TARGET)
    ]
    both = {name: {**TAP["properties"][name]} for name in CONNECTION}
    parts = [INTRODUCTION]
    for title, settings in (("Both plugins", both), ("`tap-klaviyo`", own[0]), ("`target-klaviyo`", own[1])):
        parts += [f"\n## {title}\n", *table(settings)]
    return "".join([*parts, "\n", SDK])


if __name__ == "__main__":
    sys.exit(run(__doc__, lambda: {PAGE: page()}))
