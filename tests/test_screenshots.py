"""The pictures of the README are there, small, and made by a script of an account that is invented."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image
from support.chromium import NEEDS_CHROMIUM
from support.scripts import script

ROOT = Path(__file__).parents[1]
screenshots = script("screenshots")
PERSON = {"email": "person000001@example.org", "first_name": "Ada", "phone_number": None}


def test_each_picture_that_the_readme_shows_is_small_and_as_large_as_its_window() -> None:
    """Every one is made by the script, has its size, and takes less than 150 kB."""
    shown = set(re.findall(r'"(docs/images/[\w-]+\.png)"', (ROOT / "README.md").read_text()))
    made = {f"docs/images/{page}-{scheme}.png" for page in ("sandbox", "report") for scheme in screenshots.SCHEMES}
    assert shown == made
    for name in shown:
        assert (ROOT / name).stat().st_size < 150_000
        with Image.open(ROOT / name) as picture:
            assert picture.size == screenshots.SIZE


def test_a_push_is_of_three_streams_and_has_two_records_about_nobody() -> None:
    """All people are the account's own; what is broken is broken on purpose."""
    messages = list(screenshots.audience([PERSON] * 60))
    assert [message["stream"] for message in messages if message["type"] == "SCHEMA"] == list(screenshots.STREAMS)
    records = [message["record"] for message in messages if message["type"] == "RECORD"]
    assert len(records) == 62 + 40 + 20
    assert [record for record in records if record["email"] != PERSON["email"]] == screenshots.BROKEN


def test_a_report_shows_no_path_of_the_machine_that_made_it(tmp_path: Path) -> None:
    """Files stand without their folder, and the command has the name that an installation gives it."""
    text = f"python -m target_klaviyo --config {tmp_path}/target.json --input {tmp_path}/rejects.jsonl"
    assert screenshots.as_installed(text, tmp_path) == "target-klaviyo --config target.json --input rejects.jsonl"


def test_a_picture_is_made_small_and_keeps_its_size_and_colours() -> None:
    """A palette of 256 colours is enough for a page of text."""
    written = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(written, "PNG", compress_level=0)
    with Image.open(io.BytesIO(screenshots.small(written.getvalue()))) as picture:
        assert (picture.size, picture.mode) == ((256, 256), "P")
        assert picture.convert("RGB").getpixel((0, 0)) == (0, 0, 0)
    assert len(screenshots.small(written.getvalue())) < len(written.getvalue())


def test_without_a_browser_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is started or written."""
    monkeypatch.setattr(screenshots, "CHROMIUM", None)
    monkeypatch.setattr(screenshots, "IMAGES", tmp_path / "images")
    monkeypatch.setattr("sys.argv", ["screenshots.py"])
    assert screenshots.main() == 2
    assert "apt-get install chromium" in capsys.readouterr().err
    assert not (tmp_path / "images").exists()


@NEEDS_CHROMIUM
@pytest.mark.parametrize(("scheme", "expected"), [("light", (255, 255, 255)), ("dark", (0, 0, 0))])
def test_a_page_is_shown_in_the_colours_that_a_reader_prefers(
    tmp_path: Path, scheme: str, expected: tuple[int, int, int]
) -> None:
    """The picture has the window's size."""
    page = tmp_path / "page.html"
    style = "body { background: #fff } @media (prefers-color-scheme: dark) { body { background: #000 } }"
    page.write_text(f"<!DOCTYPE html><style>{style}</style>")
    with Image.open(io.BytesIO(screenshots.shoot(page.as_uri(), scheme, tmp_path))) as picture:
        assert picture.size == screenshots.SIZE
        assert picture.convert("RGB").getpixel((640, 400)) == expected
