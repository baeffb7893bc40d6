#!/usr/bin/env python3
"""Write settings and default tables into meltano.yml, and both definitions for Meltano Hub, from schemas and catalogue.

python scripts/update_meltano.py            # write meltano.yml and docs/meltano-hub/*.yml
python scripts/update_meltano.py --check    # write nothing, fail when one differs

The syntax is that of https://docs.meltano.com/reference/plugin-definition-syntax.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from generated import run

ROOT = Path(__file__).resolve().parents[1]
HUB = ROOT / "docs" / "meltano-hub"
PROJECT = ROOT / "meltano.yml"
sys.path.insert(0, str(ROOT))

from tap_klaviyo.rows import schema_files  # noqa: E402 - the checkout's own packages
from tap_klaviyo.settings import SETTINGS as TAP  # noqa: E402
from tap_klaviyo.tables import BY_DEFAULT, STREAMS  # noqa: E402
from target_klaviyo.settings import SETTINGS as TARGET  # noqa: E402

PLUGINS = {
    # Without structured-logging Meltano shows every warning and error of a plugin as information.
    "tap-klaviyo": (TAP, "catalog, discover, state, about, stream-maps, schema-flattening, batch, structured-logging"),
    "target-klaviyo": (TARGET, "about, stream-maps, schema-flattening, structured-logging"),
}
KINDS = {
    "string": "string",
    "integer": "integer",
    # Meltano 4.4 turns a `decimal` from the environment into a Decimal, which it cannot write into a config file.
    "number": "string",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
}
# A value in meltano.yml wins over the plugin's own default, which may change with its version or the machine.
WITHOUT_VALUE = {"lookback", "concurrency", "processes", "batch_size_rows"}
# Meltano turns a word that it does not know into false, and what was to be rehearsed would be sent.
CHECKED_BY_THE_PLUGIN = {"dry_run"}
# The Meltano SDK's own, for both plugins.
SDK_SETTINGS = {
    "stream_maps": ("object", "Stream maps", "Inline transformations of the Meltano SDK."),
    "stream_map_config": ("object", "Stream map configuration", "Values that stream maps may use."),
    "flattening_enabled": ("boolean", "Flatten", "Whether nested objects become columns of their own."),
    "flattening_max_depth": ("integer", "Flattening depth", "How deep nested objects are flattened."),
}
# Meltano selects everything unless told otherwise, whatever the catalog says.
SELECT = "      # The default tables; `meltano select tap-klaviyo 'templates.*'` adds one, 'esp_*.*' all of V1.\n"
HEAD = """\
# Made by scripts/update_meltano.py. OWNER stands for whoever publishes the repository.
name: {name}
variant: singer-klaviyo
namespace: {namespace}
label: Klaviyo
description: {description}
domain_url: https://www.klaviyo.com
docs: https://github.com/OWNER/singer-klaviyo#readme
repo: https://github.com/OWNER/singer-klaviyo
pip_url: singer-klaviyo
executable: {name}
maintenance_status: active
keywords: [api, meltano_sdk]
capabilities: [{capabilities}]
settings_group_validation:
{groups}settings:
"""
DESCRIPTIONS = {
    "tap-klaviyo": "Profiles, events, campaigns, flows and lists of a Klaviyo account, as fast as its limits allow",
    "target-klaviyo": "Profiles, events, audiences and consent into Klaviyo, in bulk, with one outcome per record",
}


def settings(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings as Meltano declares them."""
    for name, setting in schema["properties"].items():
        if setting.get("deprecated"):
            continue
        yield {"name": name, **_kind(name, setting), "label": setting["title"], "description": setting["description"]}
    for name, (kind, label, description) in SDK_SETTINGS.items():
        yield {"name": name, "kind": kind, "label": label, "description": description}


def _kind(name: str, setting: Mapping[str, Any]) -> dict[str, Any]:
    if name in CHECKED_BY_THE_PLUGIN:
        return {"kind": "string"}
    types = [setting["type"]] if isinstance(setting["type"], str) else setting["type"]
    if setting.get("secret"):
        return {"kind": "string", "sensitive": True}
    if "enum" in setting:
        options = [{"label": value.capitalize(), "value": value} for value in setting["enum"]]
        return {"kind": "options", "options": options}
    if setting.get("format") == "date-time":
        return {"kind": "date_iso8601"}
    return {"kind": KINDS["string" if "string" in types else types[0]]}


def lines(schema: Mapping[str, Any], indent: str) -> Iterator[str]:
    """The settings as lines of YAML."""
    for setting in settings(schema):
        mark = "- "
        for key, value in {**setting, **_value(schema, setting["name"])}.items():
            yield f"{indent}{mark}{key}: {_text(value)}\n"
            mark = "  "


def _value(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    setting = schema["properties"].get(name, {})
    return {"value": setting["default"]} if "default" in setting and name not in WITHOUT_VALUE else {}


def _text(value: Any) -> str:
    """A value as YAML; texts stand plain where YAML takes them for texts."""
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][^:#\n]*[^:#\s]|https://[\w./]+", value)
    return str(value) if plain and value not in ("true", "false", "null") else json.dumps(value)


def definition(name: str) -> str:
    """What Meltano Hub needs to know of a plugin."""
    schema, capabilities = PLUGINS[name]
    head = HEAD.format(
        name=name,
        namespace=name.replace("-", "_"),
        description=DESCRIPTIONS[name],
        capabilities=capabilities,
        groups="".join(f"- [{', '.join(group)}]\n" for group in groups(schema)),
    )
    return head + "".join(lines(schema, ""))


def groups(schema: Mapping[str, Any]) -> Iterator[list[str]]:
    """The sets of settings of which one must be given whole."""
    for choice in schema.get("oneOf", [schema]):
        yield list(choice["required"])


def project() -> str:
    """meltano.yml with the plugins' settings as they are now."""
    text = PROJECT.read_text("utf-8")
    for name, (schema, capabilities) in PLUGINS.items():
        block = re.compile(
            rf"(    - name: {name}\n(?:      \S.*\n)*?)      capabilities: .*\n      settings:\n(?:        .*\n)*"
        )
        entries = f"      capabilities: [{capabilities}]\n      settings:\n{''.join(lines(schema, '        '))}"
        text, count = block.subn(lambda match, entries=entries: match[1] + entries, text)
        if count != 1:
            raise SystemExit(f"meltano.yml has no settings of {name}")
    names = [name for name in STREAMS if name in BY_DEFAULT]
    selection = "".join(f"        - {name}.*\n" for name in names)
    # What must be asked for by name.
    for name in names:
        optional = sorted(schema_files.optional_columns(schema_files.load(name)))
        selection += "".join(f'        - "!{name}.{column}"\n' for column in optional)
    text, count = re.subn(rf"({SELECT}      select:\n)(?:        .*\n)*", lambda match: match[1] + selection, text)
    if count != 1:
        raise SystemExit("meltano.yml selects no tables of tap-klaviyo")
    return text


def files() -> dict[Path, str]:
    """Both definitions, and the project."""
    return {HUB / f"{name}.yml": definition(name) for name in PLUGINS} | {PROJECT: project()}


if __name__ == "__main__":
    sys.exit(run(__doc__, files))
