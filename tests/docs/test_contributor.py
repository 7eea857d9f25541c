"""A contributor adds a command, as CONTRIBUTING.md says: one source, one example, one test.

In a copy of the tree, in which nothing else is changed: what is drawn from these three has to
know the command, and all tests of commands have to pass.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("cachestorm", "cachestorm_server", "cachestorm_cli", "tests", "docs", "compiling")
FILES = ("pyproject.toml", "mkdocs.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
FAMILY = "cachestorm/commands/scalars.py"
BEFORE = '    @command(\n        "APPEND '
SOURCE = '''\
    @command(
        "SHOUT key:ro [TIMES times:positive]",
        own=True,
        complexity="O(N)",
        reply="stored",
        summary="Return the value of a key in upper case.",
    )
    def shout(self, key: str, times: int = 1) -> bytes | None:
        """The value of a key in upper case; None for a missing key.

        Args:
            times: how often it is said.
        """
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            if entry is None:
                return None
            return part_of(space, entry, 0, length_of(space, entry)).upper() * times
        finally:
            space.leave()

'''
EXAMPLE = """
SHOUT
>>> cache.set("k", "v")
>>> cache.shout("k", times=3)
>>> cache.shout("missing")
> SET k v
> SHOUT k TIMES 3
> SHOUT missing
!> SHOUT k LOUDLY
"""
SCRIPT = """
set shouted hello
shout shouted
shout shouted times 2
shout shouted times
shout
"""
TRIED = """
from cachestorm import Cache
cache = Cache()
cache.set("k", "v")
assert cache.shout("k", times=2) == b"VV"
assert cache.execute("SHOUT", "k", "TIMES", "3") == b"VVV"
assert cache.shout("missing") is None
"""

# it is the source that is copied
pytestmark = pytest.mark.either_build


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy with the command in it."""
    tree = tmp_path_factory.mktemp("tree")
    passed_over = shutil.ignore_patterns("__pycache__", "*.so", "benchmarks", "data")
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=passed_over)
    for name in FILES:
        shutil.copy(ROOT / name, tree / name)
    source = (tree / FAMILY).read_text("utf-8")
    assert source.count(BEFORE) == 1
    (tree / FAMILY).write_text(source.replace(BEFORE, SOURCE + BEFORE), "utf-8")
    for name, added in (
        ("docs/examples/strings.txt", EXAMPLE),
        ("tests/commands/scripts/strings.txt", SCRIPT),
    ):
        with (tree / name).open("a", encoding="utf-8") as file:
            file.write(added)
    run(tree, "tests/docs/command_pages.py")
    return tree


def run(tree: Path, *arguments: str) -> str:
    """What Python prints that runs something in the copy, which has to succeed."""
    path = os.pathsep.join([str(tree), str(tree / "tests" / "docs")])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_the_command_is_a_method_and_goes_by_its_name(tree: Path) -> None:
    run(tree, "-c", TRIED)


def test_its_page_is_written(tree: Path) -> None:
    page = (tree / "docs" / "commands" / "string.md").read_text("utf-8")
    section = page.partition("## SHOUT\n")[2].partition("\n## ")[0]
    assert "SHOUT key [TIMES times]" in section
    assert "cache.shout(key: str, times: int = 1) -> bytes | None" in section
    assert "- `times`: how often it is said." in section
    assert "cache.shout(\"k\", times=3)  # b'VVV'" in section
    assert "Redis has no such command." in section
    index = (tree / "docs" / "commands" / "index.md").read_text("utf-8")
    assert "| [SHOUT](string.md#shout) | Return the value of a key in upper case. |" in index


def test_the_tests_of_commands_pass_with_it(tree: Path) -> None:
    chosen = ["tests/declare", "tests/commands/test_malformed.py", "tests/face/test_help.py"]
    chosen += ["tests/docs/test_command_pages.py", "tests/docs/test_round_trips.py"]
    chosen += ["tests/commands/test_against_real_servers.py"]
    words = "shout or strings or in_a_script or page or navigation or example_and"
    words += " or own or random"
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-rA"]
    told = run(tree, "-m", "pytest", *options, "-k", words, *chosen)
    assert "test_the_example_of_a_command_runs_and_calls_it[shout]" in told
    assert "test_a_script_of_commands_gets_the_same_replies[valkey-resp3-strings]" in told
