"""The table of `THIRD_PARTY.md`: written by `make docs`, by nobody else.

Drawn from the metadata of what is installed: everything that a dependency of CacheStorm, or of
one of its extras for users, needs in turn. `test_third_party.py` asserts that the page has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PAGE: Final = ROOT / "THIRD_PARTY.md"
BEGIN: Final = "<!-- packages: written by `make docs` -->\n"
END: Final = "<!-- end of packages -->\n"
# of pyproject.toml, those that are not for work on CacheStorm itself
FOR_DEVELOPERS: Final = {"dev", "ecosystem", "bench", "docs"}
LIBRARY: Final = "the library"
# what licences are called where the metadata has no expression of SPDX
_SPDX: Final = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Apache 2.0": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "MIT style": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


class Package(NamedTuple):
    """A package that is installed with CacheStorm.

    Attributes:
        licence: as its metadata says, by the names of SPDX.
        needed_by: the extras that bring it, or the library itself.
        home: where its source is.
    """

    name: str
    licence: str
    needed_by: str
    home: str


def packages() -> list[Package]:
    """All of them, by name."""
    bringing: dict[str, set[str]] = {}
    told = metadata.metadata("cachestorm")
    extras = set(told.get_all("Provides-Extra") or []) - FOR_DEVELOPERS - {"all"}
    for extra in ["", *sorted(extras)]:
        for name in _needed("cachestorm", extra, set()):
            bringing.setdefault(name, set()).add(extra or LIBRARY)
    found = []
    for name, who in bringing.items():
        needed_by = (
            LIBRARY if LIBRARY in who else ", ".join(f"`{each}`" for each in sorted(who))
        )
        told = metadata.metadata(name)
        found.append(Package(told["Name"], _licence(told), needed_by, _home(told)))
    return sorted(found, key=lambda package: package.name.lower())


def _needed(name: str, extra: str, seen: set[tuple[str, str]]) -> Iterator[str]:
    """The names of what a package needs, and of what that needs."""
    if (name, extra) in seen:
        return
    seen.add((name, extra))
    for text in metadata.requires(name) or []:
        needed = Requirement(text)
        with_extra = needed.marker is None or needed.marker.evaluate({"extra": extra})
        # what it needs without the extra was told without it
        if not with_extra or (extra and needed.marker is None):
            continue
        if extra and needed.marker is not None and needed.marker.evaluate({"extra": ""}):
            continue
        found = canonicalize_name(needed.name)
        if found == "cachestorm":
            # an extra within an extra has rows of its own
            continue
        yield found
        for each in ["", *sorted(needed.extras)]:
            yield from _needed(found, each, seen)


def _licence(told: metadata.PackageMetadata) -> str:
    if told["License-Expression"]:
        return str(told["License-Expression"])
    named = [
        line.rpartition(" :: ")[2]
        for line in told.get_all("Classifier") or []
        if line.startswith("License :: ") and not line.endswith("OSI Approved")
    ] or [str(told["License"]).partition("\n")[0]]
    return " OR ".join(_SPDX.get(each, each) for each in named)


def _home(told: metadata.PackageMetadata) -> str:
    pages = dict(_page(line) for line in told.get_all("Project-URL") or [])
    for label in ("source", "source code", "code", "repository", "github", "homepage"):
        if label in pages:
            return pages[label]
    return str(told["Home-page"] or next(iter(pages.values()), ""))


def _page(line: str) -> tuple[str, str]:
    label, _, address = line.partition(",")
    return label.strip().lower(), address.strip()


def table() -> str:
    """The table in Markdown."""
    lines = ["| Package | Licence | Installed with | Source |", "|---|---|---|---|"]
    for package in packages():
        home = f"<{package.home}>" if package.home else ""
        lines.append(f"| {package.name} | {package.licence} | {package.needed_by} | {home} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
