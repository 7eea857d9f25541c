"""A reload: what changes in the running server, what is said, and what stays."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cachestorm.errors import ConfigError
from cachestorm_server.app import Application
from cachestorm_server.config import load
from cachestorm_server.config_sections import keys
from cachestorm_server.reloading import SETTERS

FREE = {
    "server.port": ("test", 0),
    "http.enabled": ("test", False),
}


@pytest.fixture(autouse=True)
def quiet():
    """The log of the tests afterwards is what it was before."""
    logger = logging.getLogger("cachestorm")
    before = (logger.handlers[:], logger.propagate, logger.level)
    yield
    logger.handlers[:], logger.propagate = before[0], before[1]
    logger.setLevel(before[2])


def reloaded(
    tmp_path: Path, before: str, after: str, then: Callable[[Application], object]
) -> object:
    """What `then` finds in a server whose file was another when it started."""
    path = tmp_path / "cachestorm.yaml"

    async def main() -> object:
        path.write_text(before)
        async with Application(load(str(path), {}, FREE)) as application:
            path.write_text(after)
            application.reload(load(str(path), {}, FREE))
            found = then(application)
            return await found if isinstance(found, Awaitable) else found

    return asyncio.run(main())


def test_every_live_setting_has_a_setter_and_no_other_has_one() -> None:
    live = {path for path, spec in keys().items() if spec.live}
    assert set(SETTERS) == live


def test_limits_take_effect_at_once(tmp_path: Path) -> None:
    after = """
    server: {max_connections: 5, protected_mode: false, timeout: 9, write_timeout: 8}
    http: {header_timeout: 3, keepalive_timeout: 2}
    memory: {max_memory: 1mb, max_entries: 3, max_reply: 2mb, eviction_policy: allkeys-lru}
    namespaces: {shop: {max_memory: 64kb}}
    plugins:
      auth: {enabled: true, password: sesame}
      slowlog: {threshold: 1ms, max_entries: 2}
    parameters: {latency-monitor-threshold: 7}
    """

    def check(application: Application) -> None:
        settings, cache = application.resp.settings, application.cache
        assert (settings.max_clients, settings.protected_mode) == (5, False)
        assert (settings.timeout_s, settings.write_timeout_s) == (9, 8)
        assert (settings.http_header_timeout_s, settings.http_keepalive_timeout_s) == (3, 2)
        assert application.resp.endpoint.users.password == "sesame"
        assert (cache.max_memory, cache.max_entries, cache.max_reply) == (1 << 20, 3, 2 << 20)
        assert cache.policy == "allkeys-lru"
        assert cache.namespace("shop").namespace_stats()["max_memory"] == 64 << 10
        statistics = application.resp.endpoint.statistics
        assert (statistics.slower_than_us, statistics.slow_log.maxlen) == (1000, 2)
        assert statistics.threshold_ms == 7

    reloaded(tmp_path, "", after, check)


def test_what_is_left_out_goes_back_to_its_default(tmp_path: Path) -> None:
    before = (
        "namespaces: {shop: {max_memory: 64kb}}\nparameters: {latency-monitor-threshold: 7}"
    )

    def check(application: Application) -> None:
        assert application.cache.namespace("shop").namespace_stats()["max_memory"] == 0
        assert application.resp.endpoint.statistics.threshold_ms == 0

    reloaded(tmp_path, before, "", check)


def test_what_takes_a_restart_is_said_and_stays(tmp_path: Path, caplog) -> None:
    after = "server: {bind: 127.0.0.2}\nhttp: {max_body: 1mb}\nmemory: {max_entries: 5}"

    def check(application: Application) -> None:
        assert application.resp.settings.bind == ("127.0.0.1",)

    with caplog.at_level("INFO"):
        reloaded(tmp_path, "", after, check)
    said = [record.getMessage() for record in caplog.records]
    assert "reloaded: memory.max_entries: 0 -> 5" in said
    assert "not reloaded, takes a restart: server.bind: 127.0.0.1 -> 127.0.0.2" in said
    assert "not reloaded, takes a restart: http.max_body: 16mb -> 1mb" in said


def test_no_secret_is_said(tmp_path: Path, caplog) -> None:
    with caplog.at_level("INFO"):
        reloaded(
            tmp_path,
            "plugins: {auth: {enabled: true, password: sesame}}",
            "plugins: {auth: {enabled: true, password: other}}",
            lambda application: None,
        )
    assert "reloaded: plugins.auth.password: (hidden) -> (hidden)" in caplog.text
    assert "sesame" not in caplog.text


def test_what_config_set_has_changed_stays_while_the_file_says_the_same(tmp_path) -> None:
    path = tmp_path / "cachestorm.yaml"
    path.write_text("server: {timeout: 5}")

    async def main() -> None:
        async with Application(load(str(path), {}, FREE)) as application:
            application.resp.settings.timeout_s = 6
            path.write_text("server: {timeout: 5}\nmemory: {max_memory: 1mb}")
            application.reload(load(str(path), {}, FREE))
            assert application.resp.settings.timeout_s == 6

    asyncio.run(main())


def test_a_parameter_that_has_a_setting_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "cachestorm.yaml"
    path.write_text(
        "parameters:\n  maxmemory: 1mb\n  nope: 1\n  hz: ten\n  activedefrag: yes\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(str(path), {})
    lines = str(caught.value).splitlines()[1:]
    assert [line.partition("parameters.")[2] for line in lines] == [
        "maxmemory: has a setting of its own: memory.max_memory",
        "nope: no such parameter",
        "hz: 'ten' is refused: argument couldn't be parsed into an integer",
    ]


def test_an_acl_file_that_others_have_written_is_read_again(tmp_path: Path, caplog) -> None:
    file, path = tmp_path / "users.acl", tmp_path / "cachestorm.yaml"
    file.write_text("user ann on >pw ~* +@all\n")
    path.write_text(f"acl: {{file: {file}}}\n")

    async def main() -> None:
        async with Application(load(str(path), {}, FREE)) as application:
            users = application.resp.endpoint.users

            def reload() -> list[str]:
                application.reload(load(str(path), {}, FREE))
                return [user.name for user in users]

            users.set("bob", ["on"])
            # the file says what it said: what was not saved stays
            assert reload() == ["ann", "bob", "default"]
            users.save()
            assert reload() == ["ann", "bob", "default"]
            file.write_text("user carl on\n")
            assert reload() == ["carl", "default"]
            file.write_text("user dora on frobnicate\n")
            path.write_text(f"acl: {{file: {file}}}\nmemory: {{max_entries: 5}}\n")
            with pytest.raises(ConfigError, match=r"acl.file is refused: .*users.acl:1: "):
                reload()
            assert [user.name for user in users] == ["carl", "default"]
            assert application.cache.max_entries is None

    with caplog.at_level(logging.INFO, "cachestorm"):
        asyncio.run(main())
    assert f"reloaded: {file}: 1 user\n" in caplog.text
