"""Templates of keys and tags: format strings over the parameters of a function.

Read at decoration, which is when an unknown parameter is refused.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from cachestorm.memoizing.memoized import TemplateError

_FIRST: Final = re.compile(r"[^.\[]*")


class Template:
    """One template.

    Attributes:
        names: the parameters that it names.
        is_plain: whether the text follows from the values of the arguments, not from their
            attributes or items, which may change.
    """

    def __init__(self, text: str, parameters: Collection[str], of: str) -> None:
        self.text: Final = text
        self.is_plain = True
        names: dict[str, None] = {}
        try:
            fields = list(_fields(text))
        except ValueError as error:
            raise TemplateError(f"{text!r} is not a format string: {error}") from None
        for field in fields:
            match = _FIRST.match(field)
            name = match[0] if match else ""
            if name not in parameters:
                known = ", ".join(parameters) or "none"
                raise TemplateError(
                    f"{text!r} names {name!r}, which is not a parameter of {of} "
                    f"(it has: {known})"
                )
            names[name] = None
            if name != field:
                self.is_plain = False
        self.names: Final = tuple(names)

    def fill(self, arguments: Mapping[str, Any]) -> str:
        """The text for the arguments of a call."""
        return self.text.format_map(arguments)


def _fields(text: str) -> list[str]:
    """The names of all fields, those inside of a format as well."""
    found = []
    for _, field, spec, _ in string.Formatter().parse(text):
        if field is not None:
            found.append(field)
        if spec:
            found += _fields(spec)
    return found


def tags_from(
    templates: list[Template],
) -> Callable[[Mapping[str, Any]], tuple[str, ...]]:
    """What fills all templates."""

    def fill(arguments: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(template.fill(arguments) for template in templates)

    return fill
