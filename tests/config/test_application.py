"""The application: what a configuration makes, and how it starts, tidies and stops."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket

import pytest

from cachestorm.cache import Cache
from cachestorm.clock import ManualClock
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import ConfigError
from cachestorm_server.app import Application
from cachestorm_server.config import load
from cachestorm_server.config_sections import Config, LoggingConfig
from cachestorm_server.described import ServeError, make_cache
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.log_lines import JsonLines, set_up
from cachestorm_server.settings import HTTP_PATHS, Settings
from cachestorm_server.web.server import HttpServer, HttpSettings


def settings(**by_name: object) -> Config:
    """A configuration on free ports; `memory__max_memory` is `memory.max_memory`."""
    given: dict[str, object] = {"server.port": 0, "plugins.metrics.port": 0}
    given |= {name.replace("__", "."): value for name, value in by_name.items()}
    return load(None, {}, {name: ("test", value) for name, value in given.items()})


def test_the_cache_has_the_limits_of_the_configuration(tmp_path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("namespaces: {shop: {default_ttl: 1s, max_memory: 1mb}}")
    cache = make_cache(load(str(file), {"CACHESTORM_MAX_MEMORY": "2mb"}))
    assert cache.store_stats().max_memory == 2 << 20
    facts = str(cache.execute("NAMESPACEINFO", "shop"))
    assert "default_ttl:1\r\n" in facts
    assert f"max_memory:{1 << 20}\r\n" in facts


def test_configured_limits_last_until_the_namespace_is_deleted(tmp_path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("namespaces: {shop: {max_memory: 1mb}}")
    cache = make_cache(load(str(file), {}))
    shop = cache.namespace("shop")
    shop.flushdb()
    cache.flushall()
    assert shop.namespace_stats()["max_memory"] == 1 << 20
    cache.namespacedel("shop")
    assert shop.namespace_stats()["max_memory"] == 0


def test_both_endpoints_show_one_cache() -> None:
    async def main() -> bytes:
        async with Application(settings()) as application:
            assert application.http is not None
            assert application.http.port != application.resp.port
            application.cache.set("k", "v")
            reader, writer = await asyncio.open_connection("127.0.0.1", application.resp.port)
            writer.write(b"GET k\r\n")
            reply = await reader.readexactly(7)
            writer.close()
            return reply

    assert asyncio.run(main()) == b"$1\r\nv\r\n"


def test_the_http_endpoint_can_stay_shut() -> None:
    async def main() -> None:
        async with Application(settings(http__enabled=False)) as application:
            assert application.http is None
            assert "HTTP" not in application.banner()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "endpoint"), [("server.port", "RESP"), ("plugins.metrics.port", "HTTP")]
)
def test_a_port_that_is_taken_is_said_and_nothing_stays_open(name: str, endpoint: str) -> None:
    async def main(port: int) -> Application:
        application = Application(settings(**{name.replace(".", "__"): port}))
        with pytest.raises(ServeError, match=f"cannot listen for {endpoint} .* port {port}"):
            await application.start()
        return application

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        application = asyncio.run(main(taken.getsockname()[1]))
    assert application.resp.endpoint.sessions == {}


def test_a_path_of_metrics_that_is_taken_is_refused() -> None:
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    server = HttpServer(endpoint)
    fixed = {route.path for route in server._routes.all if not route.names}
    assert fixed - {server.settings.metrics_path} == set(HTTP_PATHS)
    for path in HTTP_PATHS:
        with pytest.raises(ConfigError, match=f"{path} is taken"):
            HttpServer(endpoint, HttpSettings(metrics_path=path))


def test_what_is_due_is_let_go_without_anybody_asking() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    for number in range(1000):
        cache.set(f"key:{number}", number, ttl=1)
    clock.advance(2)

    async def main() -> None:
        async with Application(settings(http__enabled=False), cache):
            async with asyncio.timeout(10):
                while cache.dbsize():
                    await asyncio.sleep(0.01)

    asyncio.run(main())
    assert cache.store_stats().expired == 1000


def test_the_banner_names_version_mode_and_ports() -> None:
    async def main() -> None:
        async with Application(settings(memory__max_memory="2gb")) as application:
            assert application.http is not None
            banner = application.banner()
            for part in ("CacheStorm", "2.00G", "adaptive", str(application.http.port)):
                assert part in banner

    asyncio.run(main())


@pytest.fixture
def quiet():
    """The log of the tests afterwards is what it was before."""
    logger = logging.getLogger("cachestorm")
    before = (logger.handlers[:], logger.propagate, logger.level)
    yield logger
    for handler in logger.handlers:
        handler.close()
    logger.handlers[:], logger.propagate = before[0], before[1]
    logger.setLevel(before[2])


def test_the_log_goes_where_it_is_sent(tmp_path, quiet) -> None:
    path = tmp_path / "log"
    set_up(LoggingConfig(level="warn", format="json", output=str(path)))
    quiet.info("not this")
    logging.getLogger("cachestorm.http").warning("line\nbreak %d", 7)
    (line,) = path.read_text().splitlines()
    record = json.loads(line)
    assert (record["level"], record["message"]) == ("warning", "line\nbreak 7")


def test_a_log_that_is_moved_away_is_made_anew(tmp_path, quiet) -> None:
    path = tmp_path / "log"
    set_up(LoggingConfig(output=str(path)))
    quiet.info("before")
    path.rename(tmp_path / "log.1")
    quiet.info("after")
    assert "before" in (tmp_path / "log.1").read_text()
    assert "after" in path.read_text()


def test_a_traceback_stays_on_its_line() -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        caught = (type(error), error, error.__traceback__)
    record = logging.LogRecord("cachestorm", logging.ERROR, "", 1, "failed", (), caught)
    line = JsonLines().format(record)
    assert len(line.splitlines()) == 1
    assert "ValueError: boom" in json.loads(line)["exception"]


def test_a_log_that_cannot_be_written_is_refused(tmp_path, quiet) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        set_up(LoggingConfig(output=str(tmp_path / "none" / "log")))


def test_a_log_that_cannot_be_written_any_more_ends_nothing(tmp_path, quiet, capsys) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "log"
    set_up(LoggingConfig(output=str(path)))
    path.unlink()
    folder.rmdir()
    quiet.info("lost")
    quiet.info("lost too")
    assert capsys.readouterr().err.splitlines() == [
        f"the log {path} cannot be written: [Errno 2] No such file or directory: '{path}'"
    ]
    folder.mkdir()
    quiet.info("again")
    first, second = path.read_text().splitlines()
    assert first.endswith("INFO    cachestorm: again")
    assert second.endswith("WARNING cachestorm: the log could not be written: 2 lines are lost")
    path.unlink()
    folder.rmdir()
    quiet.info("lost again")
    folder.mkdir()
    quiet.info("and again")
    assert path.read_text().endswith("the log could not be written: 1 line is lost\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_told_once_and_not_for_each_line(quiet, capsys) -> None:
    set_up(LoggingConfig(output="/dev/full"))
    for _ in range(3):
        quiet.info("lost")
    assert capsys.readouterr().err == (
        "the log /dev/full cannot be written: [Errno 28] No space left on device\n"
    )
    # what is still on its way is thrown away with the file
    set_up(LoggingConfig())


def test_what_a_client_sends_begins_no_line_of_the_log(tmp_path, quiet) -> None:
    path = tmp_path / "log"
    set_up(LoggingConfig(output=str(path)))
    quiet.warning("%s failed", "/x\n2026 INFO forged\r\x1b[2J\u2028\udcff\té")
    (line,) = path.read_text().splitlines()
    assert line.endswith("cachestorm: /x\\n2026 INFO forged\\r\\x1b[2J\\u2028\\udcff\té failed")
