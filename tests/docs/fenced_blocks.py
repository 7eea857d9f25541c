"""Fenced blocks: the examples of the documentation, as the tests of this folder read them.

Knows Markdown's fences and links and nothing of CacheStorm. What a block is, its word
behind the fence says:

    python    run; a comment behind an expression is its result, to the letter
    redis     run: a conversation of redis-cli with a server, replies included
    console   run: `$ command`, then what it prints; `...` stands for what varies
    sh, text  for the reader only: what installs, measures, or runs until it is stopped
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# written by `make bench` and `make docs`, not by hand
WRITTEN_BY_MACHINE = {ROOT / "docs" / "benchmarks", ROOT / "docs" / "commands"}
# their examples need what `make test-ecosystem` installs, and are run there
ABOUT_FRAMEWORKS = ROOT / "docs" / "frameworks"
KINDS = ("python", "redis", "console", "sh", "text", "yaml", "json")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its kind, its text, and the line of the page its text begins at."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def prose(self) -> str:
        """The text without its blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, *kinds: str) -> list[Block]:
        """The blocks of some kinds, of all if none is named, in order."""
        text = self.text
        found = [
            Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)
            for match in _FENCE.finditer(text)
        ]
        return [block for block in found if not kinds or block.kind in kinds]

    def links(self) -> list[str]:
        """The targets of all links that stay inside the documentation."""
        return [link for link in _LINK.findall(self.prose) if "://" not in link]

    def anchors(self) -> set[str]:
        """The headings, as links name them."""
        headings = _HEADING.findall(self.prose)
        argv = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
        return {arg.replace(" ", "-") for arg in argv}

    def section(self, heading: str) -> str:
        """The prose below a heading of the second level, up to the next one."""
        _, found, rest = self.prose.partition(f"\n## {heading}\n")
        assert found, f"{self.name} has no section {heading!r}"
        return rest.partition("\n## ")[0]


def pages() -> list[Page]:
    """README and all of docs, but what is written by machine."""
    docs = sorted((ROOT / "docs").rglob("*.md"))
    kept = [path for path in docs if not WRITTEN_BY_MACHINE & set(path.parents)]
    return [Page(ROOT / "README.md"), *[Page(path) for path in kept]]


def pages_with(*kinds: str) -> list[Page]:
    """The pages that have a block of one of these kinds, but those about frameworks."""
    found = [page for page in pages() if page.blocks(*kinds)]
    return [page for page in found if ABOUT_FRAMEWORKS not in page.path.parents]
