#!/usr/bin/env python3
"""Write what Meltano needs to know of both plugins, and the address of this version where documents name it.

python scripts/update_meltano.py            # write meltano.yml, the file to include, docs/meltano-hub/*.yml, the pages
python scripts/update_meltano.py --check    # write nothing, fail when one differs
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import addresses
from generated import run
from meltano_plugins import PLUGINS, hub_definition, project_entry, selection, setting_lines

ROOT = Path(__file__).resolve().parents[1]
HUB = ROOT / "docs" / "meltano-hub"
PROJECT = ROOT / "meltano.yml"
INCLUDED = ROOT / "examples" / "project" / "klaviyo.meltano.yml"
# Meltano selects everything unless told otherwise, whatever the catalog says.
SELECT = "      # The default tables; `meltano select tap-klaviyo 'templates.*'` adds one, 'esp_*.*' all of V1.\n"


def project() -> str:
    """meltano.yml with the plugins' settings as they are now."""
    text = PROJECT.read_text("utf-8")
    for plugin in PLUGINS:
        head = rf"(    - name: {plugin.name}\n(?:      \S.*\n)*?)"
        block = re.compile(head + r"      capabilities: .*\n      settings:\n(?:        .*\n)*")
        settings = "".join(setting_lines(plugin.schema, "        "))
        entries = f"      capabilities: {plugin.project_capabilities}\n      settings:\n{settings}"
        text, count = block.subn(lambda match, entries=entries: match[1] + entries, text)
        if count != 1:
            raise SystemExit(f"meltano.yml has no settings of {plugin.name}")
    tables = "".join(selection("        "))
    text, count = re.subn(rf"({SELECT}      select:\n)(?:        .*\n)*", lambda match: match[1] + tables, text)
    if count != 1:
        raise SystemExit("meltano.yml selects no tables of tap-klaviyo")
    return text


def included() -> str:
    """Both plugins for a project of one's own, which names the file under ``include_paths``."""
    text = (
        "# Made by scripts/update_meltano.py of singer-klaviyo, for `include_paths` in the meltano.yml of a project.\n"
    )
    text += "plugins:\n"
    for plugin in PLUGINS:
        text += f"  {plugin.kind}:\n" + textwrap.indent("".join(project_entry(plugin)), "  ")
    return text


def pages() -> dict[Path, str]:
    """Documents that name an address of this version, with its tag."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    texts = {path: path.read_text("utf-8") for path in found if path.name != "CHANGELOG.md"}
    return {path: addresses.with_tag(text) for path, text in texts.items() if addresses.REPOSITORY in text}


def files() -> dict[Path, str]:
    """Both definitions, the project of the checkout, the file for other projects, and the pages."""
    definitions = {HUB / f"{plugin.name}.yml": "".join(hub_definition(plugin)) for plugin in PLUGINS}
    return definitions | {PROJECT: project(), INCLUDED: included()} | pages()


if __name__ == "__main__":
    sys.exit(run(__doc__, files))
