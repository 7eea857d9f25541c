"""`THIRD_PARTY.md` names every package that comes with CacheStorm, and its licence."""

from __future__ import annotations

import sys

import pytest
from third_party import BEGIN, END, PAGE, packages, table

pytestmark = pytest.mark.either_build


def rows(text: str) -> set[tuple[str, ...]]:
    """Of each package all but the extras that bring it, which differ between Pythons."""
    cells = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    return {(name, licence, home) for _, name, licence, _, home, _ in cells}


def test_every_package_that_is_installed_is_listed_with_its_licence() -> None:
    listed = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert rows(table()) - rows(listed) == set()
    if sys.version_info < (3, 12):
        # newer ones need less
        assert listed == table()


@pytest.mark.parametrize("package", packages(), ids=lambda package: package.name)
def test_every_licence_permits_use_with_ours(package) -> None:
    known = {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "PSF-2.0", "ISC", "MPL-2.0"}
    assert set(package.licence.replace(" AND ", " OR ").split(" OR ")) <= known
