"""Links, anchors and texts of the pages of a built site. Pure, but for reading files."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LINKS = {"href", "src", "srcset"}


@dataclass
class Page:
    """What a page leads to, which anchors it has, and what its paragraphs and list entries say outside of code."""

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    prose: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.links += [value for name, value in attrs if name in _LINKS and value]
        self.page.anchors |= {value for name, value in attrs if name in ("id", "name") and value}
        if tag in ("p", "li", "code", "pre"):
            self._inside.append(tag)
            if tag in ("p", "li"):
                self.page.prose.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._inside and not {"code", "pre"} & set(self._inside):
            self.page.prose[-1] += data


def read(site: Path) -> dict[Path, Page]:
    """All pages of a site, by their file."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        reader = _Reader()
        reader.feed(path.read_text("utf-8"))
        pages[path] = reader.page
    return pages


def broken_links(pages: dict[Path, Page], site: Path, base: str) -> list[str]:
    """Links of the pages that lead to no file of the site, or to no anchor of it: "page: link".

    Args:
        pages: those of the site.
        site: its folder.
        base: where it is published; links to there are followed in the folder.
    """
    return [
        f"{path.relative_to(site)}: {link}"
        for path, page in pages.items()
        for link in page.links
        if not _leads_somewhere(site, path, link, pages, base)
    ]


def _leads_somewhere(site: Path, path: Path, link: str, pages: dict[Path, Page], base: str) -> bool:
    root = base if link.startswith(base) else urlsplit(base).path
    parts = urlsplit(f"/{link.removeprefix(root)}" if link.startswith(root) else link)
    if parts.scheme or parts.netloc:
        return True
    place = unquote(parts.path)
    goal = site / place.lstrip("/") if place.startswith("/") else path.parent / place if place else path
    goal = (goal / "index.html" if goal.is_dir() else goal).resolve()
    if not goal.exists():
        return False
    return not parts.fragment or goal not in pages or unquote(parts.fragment) in pages[goal].anchors
