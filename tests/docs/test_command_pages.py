"""The pages of the commands: up to date, complete, and with examples that run.

Where the pages are not what the source says, `make docs` writes them anew. Where a command
has no example, one is to be written into a file of `docs/examples`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from command_examples import VARIES, Example, examples, run_client, run_python
from command_pages import DIFFERENCES_PAGE, FOLDER, NAVIGATION, navigation, pages
from comparison import Theirs, alike, parsed
from differences import as_table, why_different
from real_servers import RealServer

from cachestorm.declare.registry import REGISTRY

EXAMPLES = examples()
# what a server says of itself, or of its commands
OF_ITSELF = ("COMMAND", "CONFIG", "CLIENT", "HELLO", "INFO", "AUTH", "QUIT", "TIME", "SELECT")
# theirs has a directory to save in
OF_ITSELF += ("SAVE", "BGSAVE", "BGREWRITEAOF")
# its users would stay
OF_ITSELF += ("ACL",)
# options that only ours has
OWN_WORDS = {b"TIER", b"TAGS"}
EVERY_EXAMPLE = pytest.mark.parametrize(
    ("name", "example"), EXAMPLES.items(), ids=[name.lower() for name in EXAMPLES]
)


def test_every_command_has_an_example_and_every_example_a_command() -> None:
    names = {declaration.name for declaration in REGISTRY}
    assert sorted(names - set(EXAMPLES)) == [], "write them into docs/examples"
    assert sorted(set(EXAMPLES) - names) == []


@EVERY_EXAMPLE
def test_the_example_of_a_command_runs_and_calls_it(name: str, example: Example) -> None:
    declaration = REGISTRY.get(name)
    assert declaration is not None
    asked = [REGISTRY.resolve(list(each.line.argv)) for each in run_client(example)]
    assert declaration in [plan.declaration for plan in asked]
    run_python(example)
    if not declaration.connection:
        words = ", ".join(f'"{word}"' for word in name.split())
        method = declaration.method
        call = f"cache.{method}(" if method else f"cache.execute({words}"
        assert [line for line in example.python if call in line.text], call


def test_the_pages_are_what_the_source_says() -> None:
    texts = pages()
    assert sorted(texts) == sorted(path.name for path in FOLDER.glob("*.md"))
    stale = [name for name in texts if texts[name] != (FOLDER / name).read_text("utf-8")]
    assert stale == [], "make docs writes them"
    assert as_table() in DIFFERENCES_PAGE.read_text("utf-8")


def test_the_navigation_leads_to_every_page() -> None:
    assert navigation() == NAVIGATION.read_text("utf-8"), "make docs writes it"


@pytest.fixture(scope="module")
def theirs(valkey: RealServer) -> Iterator[Theirs]:
    connection = Theirs(valkey, resp3=False)
    yield connection
    connection.run([[b"FLUSHALL"]])
    connection.close()


@EVERY_EXAMPLE
def test_valkey_answers_the_example_in_the_same_way(
    theirs: Theirs, name: str, example: Example
) -> None:
    commands = [line.argv for line in example.client]
    if any(argv[0].decode() in OF_ITSELF or theirs.lacks(argv) for argv in commands):
        pytest.skip("a command that is not there, or tells of the server itself")
    theirs.run([[b"FLUSHALL"]])
    expected = theirs.run(commands)
    # what the example of a connection leaves behind: subscriptions, watches
    theirs.run([[b"RESET"]])
    for line, argv, one, answer in zip(
        example.client, commands, expected, run_client(example), strict=True
    ):
        other = parsed(io.BytesIO(answer.resp2))
        assert (
            line.mark == VARIES
            or OWN_WORDS & set(argv)
            or alike(argv, one, other)
            or why_different("valkey", argv, one, other)
        ), line.text
