"""The two plugins as Meltano and its Hub declare plugins, from settings, schemas and catalogue: lines of YAML.

The syntax is that of https://docs.meltano.com/reference/plugin-definition-syntax.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import addresses

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tap_klaviyo.rows import schema_files
from tap_klaviyo.settings import SETTINGS as TAP
from tap_klaviyo.tables import BY_DEFAULT, STREAMS
from tap_klaviyo.tap import TapKlaviyo
from target_klaviyo.settings import SETTINGS as TARGET
from target_klaviyo.target import TargetKlaviyo

VARIANT = "singer-klaviyo"
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
# Capabilities that the Hub knows, and the schema of meltano.yml does not.
UNKNOWN_IN_A_PROJECT = {"validate-records"}


@dataclass(frozen=True)
class Plugin:
    """One of the two plugins.

    Attributes:
        name: of the plugin and of its command.
        kind: of plugin, as Meltano names the list that it stands in.
        description: one line for people who search.
        schema: of its settings.
        capabilities: all that it says with ``--about``. Without structured-logging Meltano shows every warning and
            error of a plugin as information.
    """

    name: str
    kind: str
    description: str
    schema: Mapping[str, Any]
    capabilities: tuple[str, ...]

    @property
    def project_capabilities(self) -> str:
        """Those that meltano.yml may name, as a list in YAML."""
        return _flow(name for name in self.capabilities if name not in UNKNOWN_IN_A_PROJECT)


PLUGINS = (
    Plugin(
        "tap-klaviyo",
        "extractors",
        "Profiles, events, campaigns, flows and lists of a Klaviyo account, as fast as its limits allow",
        TAP,
        tuple(str(capability.value) for capability in TapKlaviyo.capabilities),
    ),
    Plugin(
        "target-klaviyo",
        "loaders",
        "Profiles, events, audiences and consent into Klaviyo, in bulk, with one outcome per record",
        TARGET,
        tuple(str(capability.value) for capability in TargetKlaviyo.capabilities),
    ),
)


def hub_definition(plugin: Plugin) -> Iterator[str]:
    """What Meltano Hub needs to know of a plugin, and `meltano add --from-ref`, as lines."""
    yield "# Made by scripts/update_meltano.py.\n"
    yield from _identity(plugin)
    yield "domain_url: https://www.klaviyo.com\n"
    yield from _package(plugin)
    yield "maintenance_status: active\nquality: unknown\nkeywords: [api, meltano_sdk]\n"
    if plugin.kind == "loaders":
        yield f"capabilities: {_flow(plugin.capabilities)}\n"
        yield from _declared(plugin)
        return
    yield f"capabilities: &capabilities {_flow(plugin.capabilities)}\n"
    yield from _declared(plugin, anchored=True)
    yield "# Without them `meltano add --from-ref` loses `select`. The Hub takes no `variants`: leave them out there.\n"
    yield f"variants:\n- name: {VARIANT}\n"
    yield from (f"  {line}" for line in _package(plugin))
    yield "  capabilities: *capabilities\n  settings_group_validation: *settings_group_validation\n"
    yield "  settings: *settings\n  select: *select\n"


def project_entry(plugin: Plugin) -> Iterator[str]:
    """The plugin as one entry of its list in a project, as lines."""
    mark = "- "
    lines = (
        *_identity(plugin), *_package(plugin), f"capabilities: {plugin.project_capabilities}\n", *_declared(plugin)
    )  # fmt: skip
    for line in lines:
        yield f"{mark}{line}"
        mark = "  "


def _identity(plugin: Plugin) -> Iterator[str]:
    yield f"name: {plugin.name}\n"
    yield f"variant: {VARIANT}\n"
    yield f"namespace: {plugin.name.replace('-', '_')}\n"
    yield "label: Klaviyo\n"
    yield f"description: {plugin.description}\n"


def _package(plugin: Plugin) -> Iterator[str]:
    """Where the plugin is, and how it is installed."""
    yield f"docs: {addresses.REPOSITORY}#readme\n"
    yield f"repo: {addresses.REPOSITORY}\n"
    yield f"pip_url: {addresses.PIP_URL}\n"
    yield f"executable: {plugin.name}\n"


def _declared(plugin: Plugin, *, anchored: bool = False) -> Iterator[str]:
    """Settings, and what is selected; ``anchored``: each with an anchor of its name."""

    def heading(key: str) -> str:
        return f"{key}: &{key}\n" if anchored else f"{key}:\n"

    yield heading("settings_group_validation")
    yield from (f"- {_flow(group)}\n" for group in groups(plugin.schema))
    yield heading("settings")
    yield from setting_lines(plugin.schema, "")
    if plugin.kind == "extractors":
        yield heading("select")
        yield from selection()


def groups(schema: Mapping[str, Any]) -> Iterator[list[str]]:
    """The sets of settings of which one must be given whole."""
    for choice in schema.get("oneOf", [schema]):
        yield list(choice["required"])


def selection(indent: str = "") -> Iterator[str]:
    """The tables that are read by default, without the columns that must be asked for by name, as lines."""
    names = [name for name in STREAMS if name in BY_DEFAULT]
    yield from (f"{indent}- {name}.*\n" for name in names)
    for name in names:
        for column in sorted(schema_files.optional_columns(schema_files.load(name))):
            yield f'{indent}- "!{name}.{column}"\n'


def setting_lines(schema: Mapping[str, Any], indent: str) -> Iterator[str]:
    """The settings as lines of YAML."""
    for setting in _settings(schema):
        mark = "- "
        for key, value in {**setting, **_value(schema, setting["name"])}.items():
            yield f"{indent}{mark}{key}: {_text(value)}\n"
            mark = "  "


def _settings(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
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


def _value(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    setting = schema["properties"].get(name, {})
    return {"value": setting["default"]} if "default" in setting and name not in WITHOUT_VALUE else {}


def _text(value: Any) -> str:
    """A value as YAML; texts stand plain where YAML takes them for texts."""
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][^:#\n]*[^:#\s]|https://[\w./]+", value)
    return str(value) if plain and value not in ("true", "false", "null") else json.dumps(value)


def _flow(names: Iterable[str]) -> str:
    return f"[{', '.join(names)}]"
