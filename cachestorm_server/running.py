"""Runs an application until a signal comes.

Called by the command line (`cachestorm serve`). Owns what lives as long as the process:
signals, the log, the collector, the word to systemd.

1. SIGHUP has the configuration read again.
2. The first SIGINT or SIGTERM stops gracefully: no new clients, replies due are sent,
   endpoints closed. The second one does not wait.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from cachestorm.errors import CacheStormError
from cachestorm_server import log_lines
from cachestorm_server.app import Application
from cachestorm_server.collection import Collection
from cachestorm_server.config_sections import Config
from cachestorm_server.reloading import limit_clients
from cachestorm_server.systemd import READY, STOPPING, inherited_sockets, notify, reloading

_log = logging.getLogger("cachestorm")


async def run(
    config: Config,
    ready: Callable[[Application], object] | None = None,
    again: Callable[[], Config] | None = None,
    import_file: str = "",
) -> None:
    """Serves until a signal comes.

    Args:
        config: everything there is to decide.
        ready: called once the endpoints are open.
        again: reads the configuration once more, for SIGHUP; None: it is ignored.
        import_file: of Redis, to begin with; empty for none.

    Raises:
        ServeError: when an endpoint cannot be opened, or there is nothing to import.
        ConfigError: when the log cannot be written.
    """
    log_lines.set_up(config.logging)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        if stopped.is_set():
            os._exit(128 + number)
        _log.info("%s: stopping", number.name)
        stopped.set()

    tasks: set[asyncio.Task[None]] = set()

    def reload(number: signal.Signals) -> None:
        _log.info("%s: reading the configuration again", number.name)
        task = loop.create_task(_reload(application, again))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    application = Application(config, import_file=import_file)
    inherited = inherited_sockets()
    application.resp.settings.sockets = inherited["resp"]
    application.http_sockets = tuple(inherited["http"])
    limit_clients(application, config)
    # before an endpoint is open: once anybody is answered, a signal ends it gracefully
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        # which a terminal sends that is closed, too: it must not end the server
        loop.add_signal_handler(signal.SIGHUP, reload, signal.SIGHUP)
    except (NotImplementedError, AttributeError):
        pass  # Windows: Ctrl-C cancels the task instead
    application.resp.endpoint.shut_down = stopped.set
    if not await _started(application, stopped):
        return
    collection = Collection(application.resp.endpoint)
    collection.begin()
    try:
        if config.file:
            _log.info("configured by %s", config.file)
        _log.info("%s", application.banner())
        if config.plugins.auth.password and not config.password:
            _log.warning("a password is set, but plugins.auth.enabled is off: nobody is asked")
        if ("persistence", "data_dir") in config.origins and not config.persistence.enabled:
            _log.warning(
                "a data directory is set, but persistence.enabled is off: nothing is kept"
            )
        if application.is_open_to_all():
            _log.warning(
                "whoever reaches these ports reaches the cache: protected mode is off, and no "
                "password is set; set CACHESTORM_AUTH_PASSWORD, or open them to this host alone"
            )
        if ready is not None:
            ready(application)
        _notify(READY)
        await stopped.wait()
    finally:
        _notify(STOPPING)
        collection.end()
        await application.stop()
        _log.info("stopped")


async def _reload(application: Application, again: Callable[[], Config] | None) -> None:
    """Reads the configuration once more; whatever is wrong with it changes nothing."""
    if again is None:
        _log.info("there is none to read: a program has started this server")
        return
    _notify(*reloading())
    try:
        application.reload(await asyncio.to_thread(again))
    except CacheStormError as error:
        # a line each: within one the ends of lines are escaped
        for line in f"nothing is reloaded: {error}".splitlines():
            _log.error("%s", line)
    finally:
        _notify(READY)


def _notify(*states: str) -> None:
    try:
        notify(*states)
    except OSError as error:
        _log.warning("systemd cannot be told of %s: %s", states[0], error)


async def _started(application: Application, stopped: asyncio.Event) -> bool:
    """Starts, which may take a while. Returns False if a signal comes before the end."""
    starting = asyncio.ensure_future(application.start())
    stopping = asyncio.ensure_future(stopped.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        return False
    await starting
    return True


def serve(
    config: Config, again: Callable[[], Config] | None = None, import_file: str = ""
) -> None:
    """Runs the server on the fastest loop there is. Blocks until a signal comes.

    Args:
        config, again, import_file: as `run`.

    Raises:
        ServeError: when an endpoint cannot be opened.
        ConfigError: when the log cannot be written.
    """
    from cachestorm_server.server import run as run_on_loop

    try:
        run_on_loop(run(config, again=again, import_file=import_file))
    except KeyboardInterrupt:
        pass
