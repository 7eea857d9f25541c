"""What the pages say about the tree around them is so: links, files, targets, flags."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from fenced_blocks import KINDS, ROOT, WRITTEN_BY_MACHINE, Page, pages

import cachestorm_server.server  # noqa: F401  declares the commands of a connection
from cachestorm.declare.registry import REGISTRY
from cachestorm_cli.flags import FLAGS
from cachestorm_server.web.commands import LARGEST_ANSWER, LONGEST_PIPELINE

README = Page(ROOT / "README.md")
SERVER = Page(ROOT / "docs" / "server.md")
HTTP = Page(ROOT / "docs" / "http.md")
EVERY_PAGE = pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)

_PATH = re.compile(r"`((?:cachestorm\w*|tests|docs)/[\w./*]*|setup\.py|pyproject\.toml)`")
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?::(test_\w+)`")


@cache
def targets() -> set[str]:
    """What `make help` lists."""
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    return {line.split()[0] for line in told.splitlines() if line.strip()}


def rows(page: Page, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its header."""
    lines = [line for line in page.section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@EVERY_PAGE
def test_every_link_leads_somewhere(page: Page) -> None:
    broken = []
    for link in page.links():
        name, _, anchor = link.partition("#")
        target = Page((page.path.parent / name).resolve() if name else page.path)
        if WRITTEN_BY_MACHINE & {target.path, *target.path.parents}:
            continue  # there once it has been written
        anchors = target.anchors() if anchor and target.path.is_file() else set()
        if not target.path.exists() or (anchor and anchor not in anchors):
            broken.append(link)
    assert broken == []


@EVERY_PAGE
def test_every_file_that_is_named_is_there(page: Page) -> None:
    named = [name.rstrip("/") for name in _PATH.findall(page.prose)]
    missing = [name for name in named if not list(ROOT.glob(name)) and "benchmarks" not in name]
    assert missing == []


@EVERY_PAGE
def test_every_test_that_is_named_is_there(page: Page) -> None:
    missing = [
        f"{file}::{test}"
        for file, _, test in _TEST.findall(page.prose)
        if not (ROOT / file).is_file() or f"def {test}(" not in (ROOT / file).read_text("utf-8")
    ]
    assert missing == []


@EVERY_PAGE
def test_every_block_says_what_it_is(page: Page) -> None:
    assert [block for block in page.blocks() if block.kind not in KINDS] == []


@EVERY_PAGE
def test_every_target_of_make_that_is_named_is_there(page: Page) -> None:
    code = re.findall(r"`([^`\n]+)`", page.prose)
    code += [line for block in page.blocks("sh", "console") for line in block.text.splitlines()]
    named = {
        match[1] for text in code if (match := re.match(r"(?:\$ )?make ([a-z][a-z-]*)", text))
    }
    assert named - targets() == set()


def test_the_limits_of_a_list_over_http_are_those_of_the_endpoint() -> None:
    text = HTTP.section("Commands")
    assert f"at most {LONGEST_PIPELINE:,}." in text
    assert f"larger than {LARGEST_ANSWER >> 20} MiB," in text


def test_every_page_is_found_from_the_index() -> None:
    docs = ROOT / "docs"
    linked = set()
    for name in ("index.md", "decisions/index.md", "migration/index.md", "reference/index.md"):
        index = docs / name
        linked |= {
            (index.parent / link.partition("#")[0]).resolve() for link in Page(index).links()
        }
    assert {page.path for page in pages()[1:]} - linked - {docs / "index.md"} == set()


def test_the_tour_passes_every_folder_of_source() -> None:
    tour = README.section("A tour of the source")
    folders = {
        path.parent.relative_to(ROOT).as_posix() + "/"
        for package in ("cachestorm", "cachestorm_server", "cachestorm_cli")
        for path in (ROOT / package).rglob("*.py")
    }
    # below its application, Django says what a folder is for
    django = "cachestorm/contrib/django/"
    ours = {folder for folder in folders if not folder.startswith(django) or folder == django}
    assert {folder for folder in ours if folder not in tour} == set()


def test_what_is_not_there_yet_is_not_there() -> None:
    named = re.findall(r"`([A-Z]{3,})`", README.section("What is not there yet"))
    assert named and [name for name in named if REGISTRY.get(name) is not None] == []


def test_every_old_flag_has_its_row() -> None:
    named = {row[0].strip("`").lstrip("-") for row in rows(SERVER, "Flags of the Go projects")}
    assert {flag.name for flag in FLAGS} == named


def test_no_page_names_a_place_of_this_machine() -> None:
    private = re.compile(rf"{re.escape(str(Path.home()))}/|/tmp/")
    assert [page.name for page in pages() if private.search(page.text)] == []
