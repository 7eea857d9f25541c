"""Checking the class of a plugin: hooks that would be refused, or silently never called.

Called before a plugin is made, by the configuration, and as it is registered.

1. A decorated method is a hook of CacheStorm, and takes arguments of that hook only.
2. A method without the decorator has neither the name of a hook nor one close to it: it looks
   like a hook and would never be called.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final, cast

from cachestorm.errors import PluginError
from cachestorm.plugins.specs import PROJECT, Specs

# of what stands for a typing error; `command` is a name of its own, `on_evicted` is none
_CLOSENESS: Final = 0.8
_PREFIXES: Final = ("before_", "after_", "on_", "http_")

# the hooks, each with its arguments
HOOKS: Final[dict[str, tuple[str, ...]]] = {
    name: tuple(inspect.signature(function).parameters)[1:]
    for name, function in vars(Specs).items()
    if not name.startswith("_")
}


def check_hooks(factory: object) -> None:
    """Looks at the methods of a class. What is no class is looked at once it has made a plugin.

    Raises:
        PluginError: naming the method, and what it may have been meant to be.
    """
    if not isinstance(factory, type):
        return
    for name in dir(factory):
        found = inspect.getattr_static(factory, name)
        is_static = isinstance(found, staticmethod)
        function = getattr(found, "__func__", found)
        if not inspect.isroutine(function) or name.startswith("__"):
            continue
        marks = getattr(function, f"{PROJECT}_impl", None)
        if marks is None:
            _check_undecorated(name)
        else:
            hook = str(cast("dict[str, object]", marks)["specname"] or name)
            _check_decorated(hook, list(_wanted(function))[0 if is_static else 1 :])


def _check_undecorated(name: str) -> None:
    if name in HOOKS:
        raise PluginError(f"{name} is never called without @hookimpl")
    meant = get_close_matches(name, HOOKS, 1, _CLOSENESS) if name.startswith(_PREFIXES) else []
    if meant:
        raise PluginError(
            f"{name} is not a hook; did you mean {meant[0]}, with @hookimpl? "
            "The name of a method of your own that is so close begins with _"
        )


def _check_decorated(hook: str, wanted: list[str]) -> None:
    if hook not in HOOKS:
        meant = get_close_matches(hook, HOOKS, 1)
        advice = f"did you mean {meant[0]}?" if meant else f"hooks are {', '.join(HOOKS)}"
        raise PluginError(f"{hook} is not a hook; {advice}")
    unknown = [name for name in wanted if name not in HOOKS[hook]]
    if unknown:
        known = ", ".join(HOOKS[hook]) or "none"
        raise PluginError(
            f"{hook} has no argument {', '.join(unknown)}; its arguments are: {known}"
        )


def _wanted(function: object) -> Iterator[str]:
    """The arguments that a hook is called with: those that it cannot do without."""
    parameters = inspect.signature(cast("type", function)).parameters.values()
    for each in parameters:
        if each.kind is each.POSITIONAL_OR_KEYWORD and each.default is each.empty:
            yield each.name
