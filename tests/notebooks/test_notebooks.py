"""Every notebook runs from its first cell to its last, as whoever opens it would run it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import cachestorm

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
FOUND = sorted(FOLDER.glob("*.ipynb"))
NOTEBOOKS = pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
# how many each of them draws, at least
PLOTS = {"django_page.ipynb": 3, "eviction.ipynb": 4, "quickstart.ipynb": 0, "tiers.ipynb": 3}
LONGEST_CELL_S = 240
# what computes for long computes less of it as source, and all of it compiled
LESS_AS_SOURCE = {"eviction.ipynb": ("REQUESTS = 8_000", "REQUESTS = 4_000")}


def opened(path: Path) -> Any:
    """A notebook, as it runs with the build under test."""
    notebook = nbformat.read(path, as_version=4)
    if path.name in LESS_AS_SOURCE and not cachestorm.COMPILED:
        whole, less = LESS_AS_SOURCE[path.name]
        (cell,) = (each for each in notebook.cells if whole in each.source)
        cell.source = cell.source.replace(whole, less)
    return notebook


def run(notebook: Any) -> Any:
    """Runs all cells in a kernel of this interpreter. Returns the notebook with outputs.

    Raises:
        CellExecutionError: when a cell raises.
    """
    client = NotebookClient(
        notebook,
        timeout=LONGEST_CELL_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
    )
    return client.execute()


def outputs(notebook: Any, kind: str) -> list[str]:
    """What the cells showed of one kind of content."""
    return [
        "".join(output["data"][kind])
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if kind in output.get("data", ())
    ]


def printed(notebook: Any) -> list[str]:
    """What the cells wrote to their standard output."""
    return [
        output["text"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.get("name") == "stdout"
    ]


def results(notebook: Any) -> list[tuple[str, str]]:
    """The comment behind the last line of a cell, and what the cell showed."""
    found = []
    for cell in notebook.cells:
        _, is_said, said = cell.source.rpartition("  # ")
        if cell.cell_type == "code" and is_said and "\n" not in said:
            shown = [
                "".join(out["data"]["text/plain"]) for out in cell.outputs if "data" in out
            ]
            found.append((said, shown[-1] if shown else ""))
    return found


def test_there_are_notebooks() -> None:
    assert {path.name: path for path in FOUND}.keys() == PLOTS.keys()


def test_a_comment_tells_what_a_cell_shows() -> None:
    for source in ("x = 1", "x  # said", "'# no comment'"):
        cell = nbformat.v4.new_code_cell(source)
        cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "shown"})]
        told = [("said", "shown")] if "said" in source else []
        assert results(nbformat.v4.new_notebook(cells=[cell])) == told


@NOTEBOOKS
def test_it_runs_and_shows_what_it_says(path: Path) -> None:
    if path.name == "django_page.ipynb":
        pytest.importorskip("django", reason="`make test-ecosystem` installs it")
    notebook = run(opened(path))
    assert len(outputs(notebook, "image/svg+xml")) >= PLOTS[path.name]
    for said, shown in results(notebook):
        assert said == shown
    # of the build under test, not of another one that the kernel found
    build = "compiled" if cachestorm.COMPILED else "pure"
    assert [text.partition(";")[0].strip() for text in printed(notebook)] == [
        f"CacheStorm {cachestorm.__version__}, {build}"
    ]


@NOTEBOOKS
def test_it_is_kept_without_what_it_showed(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_a_cell_that_raises_fails_the_run() -> None:
    cells = [nbformat.v4.new_code_cell("assert 1 == 2, 'seen'")]
    with pytest.raises(CellExecutionError, match="seen"):
        run(nbformat.v4.new_notebook(cells=cells))


def test_the_kernel_is_this_interpreter() -> None:
    cells = [nbformat.v4.new_code_cell("import sys; print(sys.executable)")]
    notebook = run(nbformat.v4.new_notebook(cells=cells))
    assert [sys.executable] == [text.strip() for text in printed(notebook)]
