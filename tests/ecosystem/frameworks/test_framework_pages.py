"""The examples of the pages about frameworks run, and show what they say."""

from __future__ import annotations

import sys
from pathlib import Path

import dogpile_entry
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.append(str(DOCS))

from fenced_blocks import ABOUT_FRAMEWORKS, Page  # noqa: E402
from test_python_examples import run  # noqa: E402


@pytest.mark.parametrize("name", ["django", "flask", "fastapi"])
def test_the_examples_of_a_framework_show_what_they_say(name: str) -> None:
    if name == "django":
        import django_site
        from django.core.management import call_command

        assert django_site.settings.configured
        call_command("migrate", verbosity=0)
    dogpile_entry.ensure()
    page = Page(ABOUT_FRAMEWORKS / f"{name}.md")
    names: dict[str, object] = {"__name__": "example"}
    compared = [run(page, block, names) for block in page.blocks("python")]
    assert sum(compared) > 0


def test_no_page_about_frameworks_is_left_out() -> None:
    assert {page.stem for page in ABOUT_FRAMEWORKS.glob("*.md")} == {
        "django",
        "flask",
        "fastapi",
    }
