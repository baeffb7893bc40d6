#!/usr/bin/env python3
"""Build the documentation site from docs/, README.md, CONTRIBUTING.md and CHANGELOG.md.

python scripts/build_site.py            # into site/; a broken link is an error
python scripts/build_site.py --serve    # and show it at http://localhost:8000

The pages are written for GitHub, with links that are relative to the file. They are copied to build/site/ first, where
links to files that are no page of the site become the repository's address, and the navigation is made of the folders.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from action_groups import GROUPS

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "site"
SITE = ROOT / "site"
BRANCH = "main"
STYLES = "site.css"

# A page outside docs/ -> its name in the site.
FROM_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}

# A section is patterns and sections. The first pattern that matches a page shows it; several are in the order of links
# on the folder's index.md.
Section = list["str | dict[str, Section]"]
SECTIONS: Section = [
    {"Start": ["index.md", "start/install.md", "start/warehouse.md", "start/*"]},
    {"Recipes": ["recipes/index.md", "recipes/*"]},
    {"Audiences": ["audiences/rehearse.md", "audiences/report.md", "audiences/*"]},
    {
        "Reference": [
            {"Tables": ["reference/tables/index.md", "reference/tables/*"]},
            {
                "Actions": [
                    "reference/actions/index.md",
                    *({words: [f"reference/actions/{name}.md" for name in names]} for words, names in GROUPS.items()),
                    "reference/actions/*",
                ]
            },
            "reference/settings.md",
            "reference/*",
        ]
    },
    {"Sandbox": ["sandbox/options.md", "sandbox/*"]},
    {"Operations": ["reliability.md", "performance.md", "loaders.md", "limits.md", "security.md", "faq.md"]},
    {"About": ["peers.md", "migration.md", "architecture.md", "decisions.md", "measurements.md", "**"]},
]

# Names of pages where the file's name would say too little.
NAMES = {
    "index": "Overview",
    "faq": "Questions",
    "key": "API key and scopes",
    "lake": "Parquet and DuckDB",
    "monitor": "Watch a run",
    "nightly": "Every night",
    "peers": "Other connectors",
    "pipe": "Without Meltano",
    "push-from-postgres": "Push from PostgreSQL",
    "select": "Tables and columns",
    "types": "Text that means numbers",
}

_LINK = re.compile(
    r"(?P<words>[^\[\]\n]*)\]\((?P<target>[^)\s]+)\)|(?P<attribute>(?:src|srcset|href)=)\"(?P<file>[^\"\s]+)\""
)
_CODE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", flags=re.MULTILINE | re.DOTALL)


def repository() -> str:
    """The repository's address, from where the package says it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["urls"]["Repository"])


def pages_address(address: str) -> str:
    """Where GitHub publishes the pages of a repository."""
    owner, name = urlsplit(address).path.strip("/").split("/")
    return f"https://{owner}.github.io/{name}/"


def place_in_site(path: PurePosixPath) -> PurePosixPath | None:
    """The site's name of a file of the repository, None where the site does not have it."""
    if str(path) in FROM_ROOT:
        return PurePosixPath(FROM_ROOT[str(path)])
    return path.relative_to("docs") if path.parts[:1] == ("docs",) else None


def rewrite(target: str, page: PurePosixPath, address: str) -> str:
    """What a link says in the site.

    Args:
        target: what it says in the repository.
        page: the page that it is on, from the repository's root.
        address: the repository's.
    """
    path, hash_, anchor = target.partition("#")
    if not path or urlsplit(target).scheme:
        return target
    found = PurePosixPath(os.path.normpath(page.parent / path))
    is_folder = (ROOT / found).is_dir()
    if is_folder and (ROOT / found / "index.md").exists():
        found, is_folder = found / "index.md", False
    place = place_in_site(found)
    if place is None or is_folder:
        return f"{address}/{'tree' if is_folder else 'blob'}/{BRANCH}/{found}{hash_}{anchor}"
    return os.path.relpath(place, (place_in_site(page) or page).parent) + hash_ + anchor


def for_site(text: str, page: PurePosixPath, address: str) -> str:
    """A page with the links of the site; what is code stays as it is.

    A link whose words are its file's name says the title of that page instead. A drawing gets a box that can scroll.
    """

    def mended(found: re.Match[str]) -> str:
        if found["attribute"]:
            return f'{found["attribute"]}"{rewrite(found["file"], page, address)}"'
        words, target = found["words"], found["target"]
        path = ROOT / page.parent / target
        if words in (target, target.removesuffix("index.md")) and path.suffix == ".md" and path.exists():
            words = title(path.read_text("utf-8"))
        return f"{words}]({rewrite(target, page, address)})"

    parts = _CODE.split(text)
    texts = (part if number % 2 else _LINK.sub(mended, part) for number, part in enumerate(parts))
    return "".join(f'<div class="drawing" markdown>\n{part}\n</div>' if _is_drawing(part) else part for part in texts)


def _is_drawing(code: str) -> bool:
    return code.startswith("```mermaid")


def sources() -> Iterator[tuple[Path, PurePosixPath]]:
    """Each file of the site, and its name there."""
    for path in [*(ROOT / name for name in FROM_ROOT), *sorted((ROOT / "docs").rglob("*"))]:
        place = place_in_site(PurePosixPath(path.relative_to(ROOT).as_posix()))
        if path.is_file() and place is not None:
            yield path, place


def copy_pages(folder: Path) -> None:
    """Fill a folder with the pages and pictures of the site."""
    address = repository()
    for path, place in sources():
        goal = folder / place
        goal.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            page = PurePosixPath(path.relative_to(ROOT).as_posix())
            goal.write_text(for_site(path.read_text("utf-8"), page, address), "utf-8")
        else:
            shutil.copyfile(path, goal)
    shutil.copyfile(ROOT / "scripts" / STYLES, folder / STYLES)


def name_of(page: PurePosixPath, heading: str) -> str:
    """How the navigation calls a page: by its title, or by its file where the title is a question."""
    if page.stem in NAMES:
        return NAMES[page.stem]
    if not heading.endswith("?"):
        return heading.removeprefix("Tables: ")
    return page.stem.replace("-", " ").replace("_", " ").capitalize()


def arrange(
    section: Section, pages: list[PurePosixPath], name: Callable[[PurePosixPath], str]
) -> list[dict[str, object]]:
    """The navigation of a section: each page once, by its name; ``pages`` loses what is placed."""
    entries: list[dict[str, object]] = []
    for part in section:
        if isinstance(part, dict):
            nested = [(words, arrange(inner, pages, name)) for words, inner in part.items()]
            entries += [{words: found} for words, found in nested if found]
        else:
            placed = [page for page in pages if part == "**" or _is_beside(page, part)]
            pages[:] = [page for page in pages if page not in placed]
            entries += [{name(page): str(page)} for page in placed]
    return entries


def _is_beside(page: PurePosixPath, pattern: str) -> bool:
    """Whether a page matches, and is in no folder below."""
    return page.match(pattern) and len(page.parts) == len(PurePosixPath(pattern).parts)


def navigate(folder: Path) -> list[dict[str, object]]:
    """The navigation of the pages in a folder."""
    texts = {
        PurePosixPath(path.relative_to(folder).as_posix()): path.read_text("utf-8")
        for path in sorted(folder.rglob("*.md"))
    }

    def in_index(page: PurePosixPath) -> int:
        place = texts.get(page.parent / "index.md", "").find(f"]({page.name})")
        return place if place >= 0 else sys.maxsize

    pages = sorted(texts, key=lambda page: (page.parent, in_index(page), page.name))
    return arrange(SECTIONS, pages, lambda page: name_of(page, title(texts[page])))


def title(text: str) -> str:
    """The heading of the first level."""
    found = re.search(r"^# (.*)$", text, flags=re.MULTILINE)
    return found[1] if found else ""


def as_toml(value: object) -> str:
    """Texts, lists and objects of these, as TOML writes them on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value)


def configuration(folder: Path) -> str:
    """zensical.toml, with the navigation and the addresses."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    address = repository()
    added = {
        "site_url": pages_address(address),
        "site_description": project["description"],
        "repo_url": address,
        "repo_name": urlsplit(address).path.strip("/"),
        "extra_css": [STYLES],
        "nav": navigate(folder),
    }
    lines = "".join(f"{key} = {as_toml(value)}\n" for key, value in added.items())
    return (ROOT / "zensical.toml").read_text("utf-8").replace("[project]\n", f"[project]\n{lines}", 1)


def build(work: Path, site: Path) -> int:
    """Build the site, in place of the one that is there.

    Returns:
        The exit code: not 0 where a link leads nowhere.
    """
    shutil.rmtree(work, ignore_errors=True)
    copy_pages(work / "docs")
    (work / "zensical.toml").write_text(configuration(work / "docs"), "utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=work, check=False)
    if done.returncode == 0:
        shutil.rmtree(site, ignore_errors=True)
        shutil.move(work / "site", site)
    return done.returncode


def serve(site: Path) -> None:
    """Show the site until interrupted."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("localhost", 8000), handler) as server:
        print("http://localhost:8000 (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and serve if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="show it at http://localhost:8000")
    is_served = parser.parse_args(arguments).serve
    code = build(WORK, SITE)
    if code == 0 and is_served:
        serve(SITE)
    return code


if __name__ == "__main__":
    sys.exit(main())
