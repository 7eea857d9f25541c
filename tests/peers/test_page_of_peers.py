"""`docs/peers.md` names the tests that there are, and every bug that is tested."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUGS = Path(__file__).with_name("test_bugs_of_peers.py")


def names_of_tests(*paths: Path) -> set[str]:
    """The names of the tests of some files."""
    text = "".join(path.read_text("utf-8") for path in paths)
    return set(re.findall(r"^ *(?:async )?def (test_\w+)", text, re.MULTILINE))


def named() -> set[str]:
    """The names of tests on the page; those of files end otherwise."""
    page = (ROOT / "docs" / "peers.md").read_text("utf-8")
    return set(re.findall(r"`(test_\w+)`", page))


def test_every_test_on_the_page_of_peers_is_there() -> None:
    assert named() - names_of_tests(*(ROOT / "tests").rglob("test_*.py")) == set()


def test_every_bug_that_is_tested_is_on_the_page_of_peers() -> None:
    assert names_of_tests(BUGS) - named() == set()
