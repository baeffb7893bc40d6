"""The documentation site has every page once, its links lead somewhere, and a workflow publishes it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from support import site_links
from support.scripts import script

from target_klaviyo.actions import ACTIONS

ROOT = Path(__file__).parents[1]
ADDRESS = "https://github.com/singer-klaviyo/singer-klaviyo"
build_site = script("build_site")


def test_the_site_is_built_without_a_warning_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    """Each file and anchor that a page leads to is in the site, and no page shows Markdown that was not understood."""
    site = tmp_path / "site"
    assert build_site.build(tmp_path / "work", site) == 0
    pages = site_links.read(site)
    assert len(pages) >= 80
    assert site_links.broken_links(pages, site, build_site.pages_address(build_site.repository())) == []
    assert (site / "index.html").read_text().count('<div class="drawing">') == 1
    assert "unpkg.com" not in (site / "index.html").read_text()
    left_over = re.compile(r"\n\s*[-*] |```|^\s*\||\*\*|\]\(")
    assert [(path.name, text) for path, page in pages.items() for text in page.prose if left_over.search(text)] == []


def test_every_page_is_in_the_navigation_once(tmp_path: Path) -> None:
    """A new page needs no second list; no group of actions names one that there is not."""
    build_site.copy_pages(tmp_path)
    navigation = build_site.navigate(tmp_path)
    pages = [str(path.relative_to(tmp_path).as_posix()) for path in tmp_path.rglob("*.md")]
    assert sorted(page for _, page in leaves(navigation)) == sorted(pages)
    assert [title for section in navigation for title in section] == [
        *("Start", "Recipes", "Audiences", "Reference", "Sandbox", "Operations", "About")
    ]
    assert {name for names in build_site.GROUPS.values() for name in names} <= set(ACTIONS)


def leaves(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(name, page) of each entry of a navigation, of those of its sections, too."""
    named = [(title, value) for entry in entries for title, value in entry.items()]
    return [leaf for title, value in named for leaf in ([(title, value)] if isinstance(value, str) else leaves(value))]


def test_pages_stand_in_the_order_of_their_index() -> None:
    """Where a folder has an index.md, its links say the order; what it does not name comes last."""
    pages = [PurePosixPath("a/z.md"), PurePosixPath("a/b.md"), PurePosixPath("other.md"), PurePosixPath("deep/x/y.md")]
    arranged = build_site.arrange([{"A": ["a/b.md", "a/*", {"None": ["none/*"]}]}, {"Rest": ["**"]}], pages, str)
    assert arranged == [
        {"A": [{"a/b.md": "a/b.md"}, {"a/z.md": "a/z.md"}]},
        {"Rest": [{"other.md": "other.md"}, {"deep/x/y.md": "deep/x/y.md"}]},
    ]
    assert pages == []


@pytest.mark.parametrize(
    ("page", "target", "expected"),
    [
        ("README.md", "docs/faq.md#what", "faq.md#what"),
        ("README.md", "docs/end-to-end.svg", "end-to-end.svg"),
        ("README.md", "docs/recipes/", "recipes/index.md"),
        ("README.md", "LICENSE", f"{ADDRESS}/blob/main/LICENSE"),
        ("docs/faq.md", "../CONTRIBUTING.md", "contributing.md"),
        ("docs/start/audience.md", "../../README.md#limits", "../index.md#limits"),
        ("docs/start/audience.md", "../../examples/audience/", f"{ADDRESS}/tree/main/examples/audience"),
        ("docs/start/audience.md", "../faq.md", "../faq.md"),
        ("docs/start/audience.md", "#here", "#here"),
        ("docs/start/audience.md", "https://meltano.com/a#b", "https://meltano.com/a#b"),
        ("docs/start/audience.md", "mailto:a@example.com", "mailto:a@example.com"),
    ],
)
def test_links_to_what_is_no_page_lead_to_the_repository(page: str, target: str, expected: str) -> None:
    """In git a link is relative to its file; in the site what stands outside of it is at the repository's address."""
    assert build_site.rewrite(target, PurePosixPath(page), ADDRESS) == expected


def test_a_page_for_the_site_keeps_its_code() -> None:
    """Links and pictures are rewritten outside of code; a file's name as a link's words becomes the page's title."""
    text = (
        "[docs/faq.md](docs/faq.md), [`code`](LICENSE), `[x](LICENSE)`\n\n```console\n$ echo '[x](LICENSE)'\n```\n"
        '<img src="docs/end-to-end.svg">\n\n```mermaid\nflowchart LR\n```\n'
    )
    assert build_site.for_site(text, PurePosixPath("README.md"), ADDRESS) == (
        f"[What do people ask?](faq.md), [`code`]({ADDRESS}/blob/main/LICENSE), `[x](LICENSE)`\n\n"
        "```console\n$ echo '[x](LICENSE)'\n```\n"
        '<img src="end-to-end.svg">\n\n<div class="drawing" markdown>\n```mermaid\nflowchart LR\n```\n</div>\n'
    )


def test_a_page_that_is_missing_is_left_to_the_build_to_be_told() -> None:
    """The link stays, so that its file and line are named."""
    text = "[docs/none.md](docs/none.md)"
    assert build_site.for_site(text, PurePosixPath("README.md"), ADDRESS) == "[docs/none.md](none.md)"


@pytest.mark.parametrize(
    ("page", "title", "expected"),
    [
        ("start/meltano-project.md", "How do I use it in my own project?", "Meltano project"),
        ("reference/tables/people.md", "Tables: People", "People"),
        ("reference/actions/coupon_codes.md", "coupon_codes", "coupon_codes"),
        ("faq.md", "What do people ask?", "Questions"),
    ],
)
def test_the_navigation_has_short_names(page: str, title: str, expected: str) -> None:
    """A question as a title is too long for it; the file's name says as much."""
    assert build_site.name_of(PurePosixPath(page), title) == expected


def test_the_workflow_publishes_what_make_docs_builds_and_needs_no_secret() -> None:
    """Only what is on main; the job that publishes has the only rights to write, and they are those of Pages."""
    text = (ROOT / ".github" / "workflows" / "docs.yml").read_text()
    workflow = yaml.safe_load(text)
    jobs = workflow["jobs"]
    assert workflow[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    assert {"run": "make docs"} in jobs["build"]["steps"]
    assert jobs["build"]["steps"][-1]["with"] == {"path": "site/"}
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in jobs["build"]
    assert jobs["publish"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert "secrets." not in text
    used = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert [entry for entry in used if not re.fullmatch(r"actions/[\w-]+@v\d+", entry)] == []
