"""Defaults that a compiled function's signature gives by name, as UNSET.

A compiled function has its signature as text, which the build writes. `inspect` reads from it
defaults that are literals, or sums of literals and of strings and numbers by name. UNSET is
none of these. So the build writes a sum, `cachestorm.named_defaults.NAMED + "a.module.UNSET"`,
and this module makes the sum the object itself. The compiled modules that need it import it,
as the source does not.
"""

from __future__ import annotations

import sys
from typing import Final


class Named(str):
    """A string whose sum with a dotted path is what the path names in a loaded module."""

    __slots__ = ()

    def __add__(self, path: str) -> object:  # type: ignore[override]
        module_name, _, name = path.rpartition(".")
        try:
            return sys.modules[module_name].__dict__[name]
        except KeyError:
            # which inspect and the binder take for a signature that cannot be told
            raise ValueError(f"no {path} is loaded") from None


NAMED: Final = Named()
