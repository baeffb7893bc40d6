"""Sections, code blocks and shell commands of a Markdown page. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block: the language that stands behind its opening fence, and its text."""

    language: str
    text: str


@dataclass(frozen=True)
class Console:
    """A ``console`` block: ``script`` is what is typed behind the prompts, ``output`` the lines that answer it."""

    script: str
    output: str

    @property
    def commands(self) -> list[str]:
        """The script's lines, without the text of here-documents."""
        return re.sub(r"(<<'(\w+)'.*\n)(?:.*\n)*?\2\n", r"\1", self.script).splitlines()


def sections(page: str) -> dict[str, str]:
    """Heading of the second level -> the text below it; "" -> the text before the first of them."""
    first, *rest = re.split(r"^## ", page, flags=re.MULTILINE)
    return {"": first, **dict(part.split("\n", 1) for part in rest)}


def code_blocks(text: str) -> list[CodeBlock]:
    """Every fenced block, in order."""
    return [CodeBlock(language, code) for language, code in _FENCED.findall(text)]


def console_blocks(text: str) -> list[Console]:
    """Every ``console`` block, in order."""
    return [_parse_console(block.text) for block in code_blocks(text) if block.language == "console"]


def commands(text: str) -> list[str]:
    """The commands of every ``console`` block, in order."""
    return [line for block in console_blocks(text) for line in block.commands]


def _parse_console(text: str) -> Console:
    """A line that begins with ``$`` is typed, and so are the lines of its here-document and those after a backslash."""
    script: list[str] = []
    output: list[str] = []
    end: str | None = None
    is_continued = False
    for line in text.splitlines():
        if end is not None or is_continued:
            script.append(line)
            end = None if line == end else end
        elif line.startswith("$ "):
            script.append(line.removeprefix("$ "))
            here_document = re.search(r"<<'(\w+)'", line)
            end = here_document[1] if here_document else None
        else:
            output.append(line)
        is_continued = end is None and line.endswith("\\")
    return Console("\n".join(script) + "\n", "\n".join(output))
