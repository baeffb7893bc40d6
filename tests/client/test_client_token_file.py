"""The file that keeps the refresh token."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from klaviyo_client.auth.token_file import TokenFile
from klaviyo_client.errors import SettingsError


def test_the_latest_token_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    """Written whole at once, with the folder if need be, whatever the file's mode was before."""
    file = TokenFile(tmp_path / "secrets" / "klaviyo.json", "configured")
    file.check()
    assert file.latest() == "configured"
    file.keep("second")
    file.path.chmod(0o644)
    file.keep("third")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in file.path.parent.iterdir()] == ["klaviyo.json"]
    assert TokenFile(file.path, "configured").latest() == "third"


def test_a_newer_authorisation_in_the_config_wins(tmp_path: Path) -> None:
    """The file's token descends from the configured one of then, of which it holds a fingerprint only."""
    path = tmp_path / "token.json"
    TokenFile(path, "configured-then").keep("second")
    assert TokenFile(path, "configured-now").latest() == "configured-now"
    assert TokenFile(path, "configured-then").latest() == "second"
    assert "configured-then" not in path.read_text()


@pytest.mark.parametrize("content", ["", "[]", '{"refresh_token": "LEAKED"}', "LEAKED", '"LEAKED"'])
def test_another_kind_of_file_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    """It may be the config, or a bare token; nothing of it is quoted."""
    path = tmp_path / "token.json"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"refresh_token_path .*token\.json") as caught:
        TokenFile(path, "configured").latest()
    assert "LEAKED" not in str(caught.value)
    assert path.read_text() == content


def test_a_place_where_nothing_can_be_written_is_told_before_a_token_is_at_stake(tmp_path: Path) -> None:
    """A folder, and a path below a file."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "token.json"):
        with pytest.raises(SettingsError, match="refresh_token_path"):
            TokenFile(path, "configured").check()
    with pytest.raises(SettingsError, match="could not be written"):
        TokenFile(tmp_path, "configured").keep("second")
