"""Registering: plugins checked by `pluggy`, and their hooks as a flat list.

Called by the server, and by `Cache(plugins=...)`. pluggy finds, checks and orders the hooks;
they are called without it, as a call through it takes ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import pluggy

from cachestorm.errors import PluginError
from cachestorm.hooks import Hook
from cachestorm.plugins.checking import check_hooks
from cachestorm.plugins.specs import PROJECT, Specs

STORE_HOOKS: Final = ("on_evict", "on_expire", "on_tag_invalidate")


def registered(plugins: Iterable[tuple[str, object]]) -> pluggy.PluginManager:
    """Plugins by name, in the order in which their hooks are called.

    Raises:
        PluginError: for a hook that does not exist, or wants arguments that there are not.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Specs)
    # pluggy calls the last that was registered first
    for name, plugin in reversed(list(plugins)):
        if isinstance(plugin, type):
            raise PluginError(f"the plugin {name} is a class: give an object of it")
        try:
            check_hooks(type(plugin))
            manager.register(plugin, name)
            manager.check_pending()
        except PluginError as error:
            raise PluginError(f"the plugin {name} cannot be used: {error}") from error
        except (pluggy.PluginValidationError, ValueError) as error:
            # it begins with the object, and says where its source is
            reason = " ".join(str(error).split("\n")[1:] or [str(error)])
            raise PluginError(f"the plugin {name} cannot be used: {reason}") from error
        for caller in manager.get_hookcallers(plugin) or []:
            for each in caller.get_hookimpls():
                if each.hookwrapper or each.wrapper:
                    raise PluginError(
                        f"the plugin {name}: {caller.name} cannot be a wrapper of others"
                    )
    return manager


def implementations(
    manager: pluggy.PluginManager, name: str
) -> list[tuple[str, Callable[..., object], Sequence[str]]]:
    """Of a hook, in the order of the calls: the plugin, the function, and what it wants."""
    found = getattr(manager.hook, name).get_hookimpls()
    return [(each.plugin_name, each.function, each.argnames) for each in reversed(found)]


def hooks_of(
    manager: pluggy.PluginManager,
    name: str,
    values: Sequence[tuple[str, Callable[[object], object]]],
) -> list[Hook]:
    """The hooks of one name, each to be called with one subject.

    Args:
        values: the arguments of the hook, and how each is got from the subject.
    """
    by_name = dict(values)
    return [
        Hook(plugin, name, _adapted(function, [by_name[each] for each in wanted], values))
        for plugin, function, wanted in implementations(manager, name)
    ]


def _adapted(
    function: Callable[..., object],
    getters: list[Callable[[object], object]],
    values: Sequence[tuple[str, Callable[[object], object]]],
) -> Callable[[object], object]:
    if getters == [itself]:
        # the usual form of a hook of commands: nothing between
        return function
    return lambda subject: function(*[get(subject) for get in getters])


def itself(subject: object) -> object:
    """The subject, as an argument."""
    return subject
