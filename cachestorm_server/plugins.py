"""The plugins of one server: made, checked, started and stopped.

Made by the application from the configuration. `stats`, `metrics`, `auth` and `slowlog` are
plugins too, switched by the file; the others are what it names.

1. Whatever is wrong with a plugin is found before an endpoint is open.
2. At shutdown each has five seconds, one after the other; who takes longer is left.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final, cast

from cachestorm.declare.declaration import DECLARATIONS, Declaration, Declarations
from cachestorm.declare.registry import Registry
from cachestorm.errors import CacheStormError, DeclarationError, PluginError
from cachestorm.hooks import Hook
from cachestorm_server.plugin_calls import CommandHooks
from cachestorm_server.request_watching import RequestWatcher

if TYPE_CHECKING:
    import pluggy

    from cachestorm.cache import Cache
    from cachestorm.plugins.routes import Route
    from cachestorm_server.config_sections import Config, PluginConfig
    from cachestorm_server.endpoint import Endpoint

PATIENCE_S: Final = 5.0

_log = logging.getLogger("cachestorm.plugins")


class Plugins:
    """The plugins that a configuration names.

    Args:
        declarations: the commands that the server has of its own.

    Attributes:
        hooks: all of them that are called while the server runs.
        registry: the commands of the server, with theirs.

    Raises:
        PluginError: for one that cannot be used.
    """

    def __init__(self, config: Config, declarations: Declarations = DECLARATIONS) -> None:
        self.hooks: Final[list[Hook]] = []
        self._known: Final = declarations
        self.registry = Registry(declarations)
        self._manager: pluggy.PluginManager | None = None
        self._has_started = False
        wanted = [plugin for plugin in config.extensions.values() if plugin.enabled]
        if wanted:
            self._use(wanted)

    def _use(self, wanted: list[PluginConfig]) -> None:
        # few have plugins, and pluggy takes a while to import
        from cachestorm.plugins.registering import registered

        self._manager = registered([(each.name, each.made()) for each in wanted])
        declarations = self._declarations()
        if declarations:
            self.registry = extended(self._known, declarations)

    def attach(self, cache: Cache, endpoint: Endpoint) -> None:
        """Has the hooks called from now on."""
        if self._manager is None:
            return
        from cachestorm.plugins.registering import hooks_of, itself
        from cachestorm.plugins.store_hooks import attach

        before = hooks_of(self._manager, "before_command", [("call", itself)])
        after = hooks_of(self._manager, "after_command", [("call", itself)])
        if before or after:
            endpoint.hooks = CommandHooks(before, after)
        self.hooks.extend([*before, *after, *attach(cache, self._manager)])
        endpoint.statistics.watch_hooks(self.hooks, bool(after))
        endpoint.plugin_hooks = self.hooks

    def _implementations(self, name: str) -> list[tuple[str, Callable[..., object], bool]]:
        """Of a hook: the plugin, the function, and whether it takes an argument."""
        if self._manager is None:
            return []
        from cachestorm.plugins.registering import implementations

        return [
            (plugin, function, bool(wanted))
            for plugin, function, wanted in implementations(self._manager, name)
        ]

    def _declarations(self) -> list[tuple[str, Declaration]]:
        found: list[tuple[str, Declaration]] = []
        for plugin, function, _ in self._implementations("commands"):
            for declaration in _listed(plugin, "commands", function, Declaration):
                found.append((plugin, cast(Declaration, declaration)))
        return found

    def routes(self) -> tuple[tuple[str, Route], ...]:
        """The paths of all, each with the name of its plugin."""
        from cachestorm.plugins.routes import Route

        found: list[tuple[str, Route]] = []
        for plugin, function, _ in self._implementations("http_routes"):
            for route in _listed(plugin, "http_routes", function, Route):
                found.append((plugin, cast(Route, route)))
        return tuple(found)

    def request_watchers(self) -> tuple[RequestWatcher, ...]:
        """Those that are to be told of each request of HTTP."""
        if self._manager is None:
            return ()
        plugins = self._manager.get_plugins()
        return tuple(each for each in plugins if isinstance(each, RequestWatcher))

    async def start(self, cache: Cache) -> None:
        """Tells all that the server is about to begin.

        Raises:
            PluginError: for the first that cannot.
        """
        self._has_started = True
        for plugin, function, takes_cache in self._implementations("on_startup"):
            try:
                begun = function(cache) if takes_cache else function()
                if isinstance(begun, Awaitable):
                    await begun
            except Exception as error:
                raise PluginError(
                    f"the plugin {plugin} cannot start: {type(error).__name__}: {error}"
                ) from error

    async def stop(self) -> None:
        """Tells all that the server has ended, the last first; if they knew of its start."""
        if not self._has_started:
            return
        self._has_started = False
        for plugin, function, _ in reversed(self._implementations("on_shutdown")):
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await _ended(function)
            except TimeoutError:
                _log.error("on_shutdown of the plugin %s takes too long: left", plugin)
            except Exception:
                _log.exception("on_shutdown of the plugin %s raised", plugin)


async def _ended(function: Callable[[], object]) -> None:
    """Calls what may take forever."""
    if inspect.iscoroutinefunction(function):
        await function()
        return
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        raised: BaseException | None = None
        try:
            function()
        except BaseException as error:
            raised = error
        try:
            loop.call_soon_threadsafe(settle, raised)
        except RuntimeError:
            pass  # the loop has ended: nobody waits any more

    # a daemon: a process is not kept from ending by one that hangs
    threading.Thread(target=work, name="cachestorm-shutdown", daemon=True).start()
    await done


def _listed(
    plugin: str, hook: str, function: Callable[..., object], kind: type
) -> Iterable[object]:
    """What a hook gives, if it is a list of the right things.

    Raises:
        PluginError: if it is not, or the hook raises.
    """
    try:
        found = function()
    except Exception as error:
        raise PluginError(
            f"the plugin {plugin}: {hook} raised {type(error).__name__}: {error}"
        ) from error
    is_list = isinstance(found, (list, tuple))
    if not is_list or not all(isinstance(each, kind) for each in cast("list[object]", found)):
        raise PluginError(f"the plugin {plugin}: {hook} gives a list of {kind.__name__}")
    return cast("list[object]", found)


def extended(known: Declarations, added: list[tuple[str, Declaration]]) -> Registry:
    """The commands of the server and those of plugins.

    Args:
        known: those that the server has; a plugin declares none of them, nor one that is
            disabled.
        added: by plugin.

    Raises:
        PluginError: for a command that is there already, or declared wrongly.
    """
    declarations = Declarations()
    for each in known:
        declarations.add(each)
    taken = {each.container for each in DECLARATIONS}
    for plugin, declaration in added:
        if declaration.container in taken:
            raise PluginError(
                f"the plugin {plugin} declares {declaration.name}, "
                f"but the server has a command {declaration.container}"
            )
        try:
            declarations.add(declaration)
            Registry(declarations).plan(declaration.name)
        except (DeclarationError, CacheStormError, TypeError, ValueError) as error:
            raise PluginError(
                f"the plugin {plugin} declares {declaration.name}: {error}"
            ) from error
    return Registry(declarations)
