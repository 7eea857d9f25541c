"""Every Python example of README and docs runs, and shows what it says it shows."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator

import pytest
from fenced_blocks import Block, Page, pages_with
from shared_owners import owners_folder

Names = dict[str, object]
# addresses that examples connect to, and the fixtures that stand in for them
STAND_INS = {
    "redis://cache.internal:6379": "redis_server",
    "cluster://10.0.0.1:6379,10.0.0.2:6379": "valkey_cluster",
}


def comments_of(source: str) -> dict[int, str]:
    """What stands behind the code of each line."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip():
            found[token.start[0]] = token.string.removeprefix("#").strip()
    return found


def shown(expression: ast.expr, names: Names) -> str:
    """The result of an expression as an example writes it; an error by class and text."""
    code = compile(ast.Expression(expression), "example", "eval")
    try:
        return repr(eval(code, names))
    except Exception as error:
        return f"{type(error).__name__}: {error}".rstrip()


def run(page: Page, block: Block, names: Names) -> int:
    """Runs one block, statement by statement. Returns how many results it compared."""
    comments = comments_of(block.text)
    compared = 0
    for statement in ast.parse(block.text).body:
        last = statement.end_lineno or 0
        if isinstance(statement, ast.Expr) and last in comments:
            actual = shown(statement.value, names)
            assert comments[last] == actual, f"{page.name}:{block.line + last - 1}"
            compared += 1
        else:
            # the annotations of an example are its own, not postponed as those of this file
            code = compile(ast.Module([statement], []), page.name, "exec", dont_inherit=True)
            exec(code, names)
    return compared


@pytest.fixture(autouse=True)
def _runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has `local://` begin with no owner, and leave none."""
    with owners_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        yield


@pytest.mark.parametrize("page", pages_with("python"), ids=lambda page: page.name)
def test_the_examples_of_a_page_show_what_they_say(
    page: Page, request: pytest.FixtureRequest
) -> None:
    names: Names = {"__name__": "example"}
    blocks = page.blocks("python")
    for address, fixture in STAND_INS.items():
        if any(address in block.text for block in blocks):
            url = request.getfixturevalue(fixture).url
            blocks = [
                Block(block.kind, block.text.replace(address, url), block.line)
                for block in blocks
            ]
    compared = [run(page, block, names) for block in blocks]
    assert sum(compared) > 0


def test_a_wrong_result_is_found_with_its_line() -> None:
    page = pages_with("python")[0]
    with pytest.raises(AssertionError, match=rf"{page.name}:12"):
        run(page, Block("python", "x = 1\nx + 1  # 2\nx + 2  # 4\n", 10), {})
