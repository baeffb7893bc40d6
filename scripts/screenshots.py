#!/usr/bin/env python3
"""Take the pictures of the README: the sandbox's page and a run's report, light and dark, in docs/images/.

python scripts/screenshots.py    # needs chromium (Debian: apt-get install chromium)

The account is invented, and made of a seed. So the pictures stay nearly the same: what differs is when they were taken,
and how long that took.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT))

from klaviyo_sandbox import RunningSandbox, serve  # noqa: E402 - the checkout's own packages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEY = "pk_sandbox"
SIZE = (1280, 800)
SCHEMES = {"light": 1, "dark": 0}
LIST = "VIP customers"
STREAMS = {
    "vip_customers": {"action": "list_members", "list": LIST, "create_list": True},
    "renewals": {"action": "track_event"},
    "newsletter": {"action": "subscribe", "list": LIST},
}
# As every real audience has some.
BROKEN = [{"email": "ada.example.com", "first_name": "Ada"}, {"email": None, "first_name": "Nobody"}]


def people(sandbox: RunningSandbox) -> list[dict[str, Any]]:
    """The account's first hundred invented people, by their attributes."""
    headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-07-15"}
    answer = requests.get(f"{sandbox.url}/api/profiles?page[size]=100", headers=headers, timeout=60)
    answer.raise_for_status()
    return [entry["attributes"] for entry in answer.json()["data"] if entry["attributes"]["email"]]


def audience(people: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Singer messages of a push: some join a list, some renewed, some subscribe, and two records say nobody."""
    found = [{"email": person["email"], "first_name": person["first_name"]} for person in people]
    renewals = [
        {
            "email": person["email"],
            "metric": "Renewed Membership",
            "event_id": f"renewal-{number}",
            "value": 20 + number,
        }
        for number, person in enumerate(found[:40])
    ]
    newsletter = [{"email": person["email"]} for person in found[40:60]]
    for stream, records in (("vip_customers", found + BROKEN), ("renewals", renewals), ("newsletter", newsletter)):
        columns = {name: {"type": ["string", "number", "null"]} for record in records for name in record}
        yield {"type": "SCHEMA", "stream": stream, "key_properties": [], "schema": {"properties": columns}}
        yield from ({"type": "RECORD", "stream": stream, "record": record} for record in records)


def run(module: str, config: dict[str, Any], folder: Path, text: str = "") -> None:
    """Run a plugin in a folder; it has to end well, and one that rejected records does."""
    path = folder / f"{module.partition('_')[0]}.json"
    path.write_text(json.dumps({"api_key": KEY, **config}))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", module, "--config", str(path)]
    done = subprocess.run(command, cwd=folder, env=environment, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{module} failed:\n{done.stderr}")


def push(sandbox: RunningSandbox, folder: Path) -> Path:
    """Read the account, push an audience; the page of the report."""
    run("tap_klaviyo", {"api_url": sandbox.url}, folder)
    lines = "".join(f"{json.dumps(message)}\n" for message in audience(people(sandbox)))
    run("target_klaviyo", {"api_url": sandbox.url, "streams": STREAMS, "report_path": "run.json"}, folder, lines)
    page = folder / "run.html"
    page.write_text(as_installed(page.read_text("utf-8"), folder), "utf-8")
    return page


def as_installed(text: str, folder: Path) -> str:
    """A report as one sees it who has installed the plugins and runs them in the folder where the files are."""
    return text.replace(f"{folder}{os.sep}", "").replace("python -m target_klaviyo", "target-klaviyo")


def shoot(address: str, scheme: str, folder: Path) -> bytes:
    """A page as the browser shows it, as PNG.

    Args:
        address: the page's.
        scheme: which colours the reader prefers, a key of ``SCHEMES``.
        folder: where the browser may write.
    """
    picture = folder / "picture.png"
    command = [
        *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
        *("--disable-background-networking", "--disable-dev-shm-usage", "--force-device-scale-factor=1"),
        *(f"--user-data-dir={folder / 'browser'}", f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"),
        *(f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={picture}", "--timeout=3000", address),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return picture.read_bytes()


def small(picture: bytes) -> bytes:
    """A picture in at most 256 colours, which a page of text does not have."""
    written = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        written, "PNG", optimize=True
    )
    return written.getvalue()


def main() -> int:
    """Take the four pictures; the exit code is 2 where there is no browser."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if CHROMIUM is None:
        print("The pictures need chromium (Debian: apt-get install chromium).", file=sys.stderr)
        return 2
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as name,
        serve(profiles=2_000, events=20_000, seed=1) as sandbox,
    ):
        folder = Path(name)
        pages = {"sandbox": sandbox.url, "report": push(sandbox, folder).as_uri()}
        for page, address in pages.items():
            for scheme in SCHEMES:
                path = IMAGES / f"{page}-{scheme}.png"
                path.write_bytes(small(shoot(address, scheme, folder)))
                print(f"wrote {path.relative_to(ROOT)}, {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
