"""The notebook about a page of Django runs, where Django is installed."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
sys.path.append(str(FOLDER))

import test_notebooks  # noqa: E402


def test_the_notebook_about_django_runs_and_shows_what_it_says() -> None:
    (path,) = (path for path in test_notebooks.FOUND if path.name == "django_page.ipynb")
    test_notebooks.test_it_runs_and_shows_what_it_says(path)
