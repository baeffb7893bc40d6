"""Where the schema files of the plugins are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from klaviyo_client.plugin import schema_files

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("plugin", "name"), [("tap", "profiles"), ("target", "upsert_profile")])
def test_a_checkout_reads_its_own_files(plugin: schema_files.Plugin, name: str) -> None:
    """Not the copies that an editable install made of them on the day that it was made."""
    assert schema_files.schema_folder(plugin) == ROOT / "schemas" / plugin
    assert "properties" in schema_files.load_schema(plugin, name)


@pytest.mark.parametrize("plugin", ["tap", "target"])
def test_a_wheel_reads_what_is_inside_the_package(
    plugin: schema_files.Plugin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing lies beside the packages there."""
    installed = tmp_path / "klaviyo_client" / "plugin" / "schema_files.py"
    monkeypatch.setattr(schema_files, "__file__", str(installed))
    folder = schema_files.schema_folder(plugin)
    assert str(folder).endswith(f"{plugin}_klaviyo/schemas")
