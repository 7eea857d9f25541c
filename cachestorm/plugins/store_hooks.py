"""The hooks of plugins that the store calls: what was evicted, has expired, was invalidated.

Called by `Cache(plugins=...)` and by the server, once. A hook that nobody has costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pluggy

from cachestorm.events import Effect, Interest
from cachestorm.hooks import Hook
from cachestorm.plugins.registering import hooks_of, implementations, registered

if TYPE_CHECKING:
    from cachestorm.cache import Cache

_VALUES: Final[dict[str, Callable[[Any], object]]] = {
    "key": lambda effect: effect.key,
    "tag": lambda effect: effect.key,
    "value": lambda effect: effect.value,
    "namespace": lambda effect: effect.namespace,
}
_INTERESTS: Final = {
    "on_evict": Interest.EVICTED,
    "on_expire": Interest.EXPIRED,
    "on_tag_invalidate": Interest.TAG_EVENTS,
}
_INVALIDATIONS: Final = ("invalidated", "softened")


def attach(cache: Cache, manager: pluggy.PluginManager) -> list[Hook]:
    """Has a cache call the hooks of plugins.

    Returns:
        The hooks.
    """
    found: list[Hook] = []
    for name, interest in _INTERESTS.items():
        hooks = hooks_of(manager, name, list(_VALUES.items()))
        wanted = {each for _, _, names in implementations(manager, name) for each in names}
        for hook in hooks:
            listener = _of_tags(hook) if name == "on_tag_invalidate" else hook.tell
            cache.listen(
                listener, interest | Interest.VALUES if "value" in wanted else interest
            )
        found += hooks
    return found


def _of_tags(hook: Hook) -> Callable[[Effect], None]:
    def tell(effect: Effect) -> None:
        # links of tags are told as well
        if effect.event in _INVALIDATIONS:
            hook.tell(effect)

    return tell


def attach_all(cache: Cache, plugins: object) -> None:
    """Has a cache call the hooks of objects.

    Raises:
        PluginError: for one that cannot be used.
        TypeError: for anything but a list or tuple of plugins.
    """
    if not isinstance(plugins, (list, tuple)):
        raise TypeError(f"plugins are a list of objects, not {plugins!r}")
    named = [(f"{type(each).__name__}#{at}", each) for at, each in enumerate(plugins)]
    attach(cache, registered(named))
