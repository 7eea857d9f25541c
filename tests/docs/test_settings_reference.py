"""The references of the settings and parameters are those that they give."""

from __future__ import annotations

import settings_reference


def test_the_pages_have_every_setting_and_parameter_as_it_is() -> None:
    pages = settings_reference.written()
    assert len(pages) == 2
    for page, text in pages.items():
        assert page.read_text("utf-8") == text
