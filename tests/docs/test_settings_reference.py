"""The reference of the settings is the one that the settings give."""

from __future__ import annotations

import settings_reference


def test_the_page_has_every_setting_as_it_is() -> None:
    page = settings_reference.PAGE.read_text("utf-8")
    assert settings_reference.with_reference(page) == page
