"""Plugins of a server: found, asked, told, counted, and kept from harming anybody."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import shop
from shop import Diary, Hanging, Sparing

from cachestorm import Cache, ManualClock
from cachestorm.declare.kinds import kind_named
from cachestorm.errors import ConfigError, DeclarationError, PluginError
from cachestorm.plugins import declare
from cachestorm.plugins.commands import USUAL_KINDS
from cachestorm_cli.app import main
from cachestorm_server import plugins
from cachestorm_server.app import Application
from cachestorm_server.config import load
from cachestorm_server.session import Session

FREE = {"server.port": ("test", 0), "http.port": ("test", 0)}


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Application]:
    """Makes the application of a file with plugins; nothing of it is open."""

    def make(section: str, cache: Cache | None = None) -> Application:
        file = tmp_path / "cachestorm.yaml"
        file.write_text(f"plugins:\n{section}")
        return Application(load(str(file), {}, FREE), cache)

    return make


def ask(session: Session, *words: str) -> bytes:
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return session.receive(f"*{len(words)}\r\n{''.join(parts)}".encode())


DIARY = "  diary: {path: 'shop:Diary'}\n"


def test_a_plugin_is_asked_before_and_told_after_each_command(made) -> None:
    session = Session(made(DIARY).resp.endpoint)
    assert ask(session, "SET", "k", "v") == b"+OK\r\n"
    assert ask(session, "LPOP", "k").startswith(b"-WRONGTYPE")
    assert Diary.last.said == [
        ("before", "SET", ["k"], True),
        ("after", "SET", ""),
        ("before", "LPOP", ["k"], True),
        (
            "after",
            "LPOP",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]


def test_what_a_plugin_refuses_does_not_happen(made) -> None:
    application = made(DIARY)
    session = Session(application.resp.endpoint)
    assert ask(session, "SET", "forbidden", "v") == b"-DENIED not today\r\n"
    assert application.cache.dbsize() == 0
    assert Diary.last.said == []


def test_a_transaction_is_asked_about_as_it_is_queued_and_told_of_after_it(made) -> None:
    session = Session(made(DIARY).resp.endpoint)
    ask(session, "MULTI")
    Diary.last.said.clear()
    ask(session, "SET", "k", "v")
    assert Diary.last.said == [("before", "SET", ["k"], True)]
    assert ask(session, "LPOP", "k") == b"+QUEUED\r\n"
    Diary.last.said.clear()
    assert ask(session, "EXEC").startswith(b"*2\r\n+OK\r\n-WRONGTYPE")
    assert [
        (each[0], each[1], each[2][:9]) for each in Diary.last.said if each[0] == "after"
    ] == [
        ("after", "SET", ""),
        ("after", "LPOP", "WRONGTYPE"),
        ("after", "EXEC", ""),
    ]


def test_a_refusal_within_a_transaction_ends_it(made) -> None:
    application = made(DIARY)
    session = Session(application.resp.endpoint)
    ask(session, "MULTI")
    ask(session, "SET", "k", "v")
    assert ask(session, "SET", "forbidden", "v") == b"-DENIED not today\r\n"
    assert ask(session, "EXEC").startswith(b"-EXECABORT")
    assert application.cache.dbsize() == 0


def test_the_commands_of_a_script_are_told_of_after_it(made) -> None:
    session = Session(made(DIARY).resp.endpoint)
    text = "redis.call('SET', KEYS[1], 'v') return redis.call('GET', KEYS[1])"
    assert ask(session, "EVAL", text, "1", "k") == b"$1\r\nv\r\n"
    assert [each[:2] for each in Diary.last.said] == [
        ("before", "EVAL"),
        ("after", "SET"),
        ("after", "GET"),
        ("after", "EVAL"),
    ]


def test_a_command_that_waits_is_told_of_once(made) -> None:
    application = made(DIARY)
    waiting, other = (Session(application.resp.endpoint) for _ in range(2))
    assert ask(waiting, "BLPOP", "q", "0") == b""
    ask(other, "RPUSH", "q", "v")
    assert b"v" in waiting.receive(b"")
    said = [each for each in Diary.last.said if each[1] == "BLPOP"]
    assert said == [("before", "BLPOP", ["q"], True), ("after", "BLPOP", "")]


def test_the_hooks_of_the_store_are_called(made) -> None:
    clock = ManualClock()
    application = made(DIARY, Cache(max_entries=2, policy="allkeys-lru", clock=clock))
    cache = application.cache
    cache.set("a", "1", ttl=1)
    clock.advance(2)
    cache.reap()
    for number in range(3):
        cache.set(f"k{number}", "v", tags=["news"])
    cache.invalidate("news")
    said = Diary.last.said
    assert said[0] == ("expire", "a", "1")
    assert said[1][0] == "evict" and said[1][2] == "default"
    assert said[-1] == ("tag", "news")


def test_a_command_of_a_plugin_is_like_any_other(made) -> None:
    application = made(DIARY)
    session = Session(application.resp.endpoint)
    ask(session, "SET", "a", "1")
    assert ask(session, "diary.copy", "a", "b") == b":1\r\n"
    assert ask(session, "GET", "b") == b"$1\r\n1\r\n"
    assert ask(session, "DIARY.LEN") == b":7\r\n"
    assert ask(session, "DIARY.COPY", "a") == (
        b"-ERR wrong number of arguments for 'diary.copy' command\r\n"
    )
    assert b"diary.copy" in ask(session, "COMMAND", "INFO", "DIARY.COPY")
    assert ask(session, "COMMAND", "GETKEYS", "DIARY.COPY", "a", "b") == (
        b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"
    )
    text = "return redis.call('DIARY.COPY', 'a', 'c')"
    assert ask(session, "EVAL", text, "0") == b":1\r\n"
    # no other server has it
    assert (
        Application(load("/dev/null", {}, FREE)).resp.endpoint.registry.get("DIARY.LEN") is None
    )


def test_the_endpoints_have_its_commands_and_paths(made) -> None:
    async def main() -> None:
        application = made("  diary: {path: 'shop:Diary', prefix: x}\n")
        async with application:
            assert application.http is not None
            root = f"http://127.0.0.1:{application.http.port}"
            status, body = await asyncio.to_thread(fetch, f"{root}/diary?of=me")
            assert (status, json.loads(body)) == (200, {"of": "me", "prefix": "x"})
            assert await asyncio.to_thread(fetch, f"{root}/diary/raw", b"{}") == (
                201,
                b"raw {}",
            )
            commands = f"{root}/v1/commands"
            body = json.dumps({"command": ["GET", "started"]}).encode()
            assert await asyncio.to_thread(fetch, commands, body) == (200, b'{"result":"yes"}')
            body = json.dumps({"command": "GET", "key": "forbidden"}).encode()
            status, answer = await asyncio.to_thread(fetch, commands, body)
            assert status == 429 and b"not today" in answer
            batch = {"commands": [{"command": ["SET", "k", "v"]}], "atomic": True}
            await asyncio.to_thread(fetch, commands, json.dumps(batch).encode())
            assert ("after", "SET", "") in Diary.last.said
            status, answer = await asyncio.to_thread(fetch, f"{root}/openapi.json")
            assert "/diary" in json.loads(answer)["paths"]
        assert Diary.last.said[-1] == "shutdown"

    asyncio.run(main())


def fetch(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, body, headers), timeout=20
        ) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_hook_that_raises_is_counted_and_harms_nobody(made, caplog) -> None:
    application = made("  broken: {path: 'shop:Broken'}\n", Cache(max_entries=1))
    session = Session(application.resp.endpoint)
    for number in range(5):
        assert ask(session, "SET", f"k{number}", "v") == b"+OK\r\n"
    errors = {hook.name: int(hook.errors) for hook in application.plugins.hooks}
    assert errors == {"before_command": 5, "after_command": 5, "on_evict": 4}
    assert b"plugin_broken:hooks=3,errors=15\r\n" in ask(session, "INFO", "plugins")
    told = [record.getMessage() for record in caplog.records if record.name[-7:] == "plugins"]
    # not one for each of them
    assert "before_command of the plugin broken raised, 1 times by now" in told
    assert len(told) < 15


def test_a_slow_hook_is_named_by_the_latency_monitor(made) -> None:
    application = made(DIARY)
    session = Session(application.resp.endpoint)
    ask(session, "CONFIG", "SET", "latency-monitor-threshold", "1")
    for hook in application.plugins.hooks:
        # whatever it takes is too long
        hook.slow_ns = 1
    ask(session, "PING")
    assert b"plugin-diary" in ask(session, "LATENCY", "LATEST")


def test_without_hooks_of_commands_a_session_is_not_asked(made) -> None:
    application = made("  hanging: {path: 'shop:Hanging'}\n")
    assert application.resp.endpoint.hooks is None


def test_a_plugin_that_hangs_is_left_after_a_while(made, monkeypatch, caplog) -> None:
    monkeypatch.setattr(plugins, "PATIENCE_S", 0.05)

    async def main() -> None:
        async with made("  hanging: {path: 'shop:Hanging'}\n  diary: {path: 'shop:Diary'}\n"):
            pass

    try:
        asyncio.run(main())
    finally:
        Hanging.let_go.set()
    assert "on_shutdown of the plugin hanging takes too long: left" in caplog.text
    assert Diary.last.said == ["shutdown"]


def test_one_that_raises_at_shutdown_is_logged(made, caplog) -> None:
    async def main() -> None:
        async with made("  broken: {path: 'shop:Broken'}\n"):
            pass

    asyncio.run(main())
    assert "on_shutdown of the plugin broken raised" in caplog.text


def test_one_that_cannot_start_keeps_the_server_from_starting(made) -> None:
    async def main() -> None:
        with pytest.raises(PluginError, match="late cannot start: OSError: no such table"):
            async with made("  late: {path: 'shop:Late'}\n"):
                raise AssertionError("it has started")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Thief", "declares GET, but the server has a command GET"),
        ("Misdeclared", "declares SHOP: "),
        ("Summaryless", "'summary'"),
    ],
)
def test_a_plugin_of_the_wrong_form_is_refused_before_anything_starts(
    made, name: str, reason: str
) -> None:
    with pytest.raises(PluginError) as caught:
        made(f"  wrong: {{path: 'shop:{name}'}}\n")
    assert "the plugin wrong" in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Misspelled", "before_comand is not a hook; did you mean before_command?"),
        ("Undecorated", "on_evict is never called without @hookimpl"),
        (
            "NearlyUndecorated",
            "on_evicted is not a hook; did you mean on_evict, with @hookimpl?",
        ),
        ("Greedy", "before_command has no argument request; its arguments are: call"),
    ],
)
def test_a_hook_that_would_not_be_called_is_named_without_a_start(
    tmp_path: Path, capsys, name: str, reason: str
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"plugins:\n  wrong: {{path: 'shop:{name}'}}\n")
    assert main(["config", "check", str(file)]) == 2
    assert f"{file}:2: plugins.wrong: {reason}" in capsys.readouterr().err
    with pytest.raises(PluginError, match=reason.split()[0]):
        Cache(plugins=[getattr(shop, name)()])


def test_names_near_those_of_hooks_may_be_used_for_other_things() -> None:
    Cache(plugins=[Sparing()])


def test_a_kind_that_does_not_exist_is_refused_where_the_command_is_declared() -> None:
    with pytest.raises(DeclarationError) as caught:
        declare("SHOP most", lambda cache, most: None, summary="Shop.")
    assert "no kind is called 'most'" in str(caught.value)
    assert "a parameter is name:kind" in str(caught.value)
    assert all(kind_named(each) is not None for each in USUAL_KINDS)


def test_a_path_that_is_there_is_refused(made) -> None:
    async def main() -> None:
        with pytest.raises(PluginError, match="squatter: GET /health is there already"):
            async with made("  squatter: {path: 'shop:Squatter'}\n"):
                raise AssertionError("it has started")

    asyncio.run(main())


def test_its_settings_are_read_as_those_of_the_server_are(made) -> None:
    made(
        "  diary: {path: 'shop:Diary', prefix: x, pause: 5s, limits: {'a:': 1, 'b:': 2},"
        " words: [one, two]}\n"
    )
    settings = Diary.last.settings
    assert (settings.prefix, settings.pause) == ("x", 5000)
    assert (settings.limits, settings.words) == ({"a:": 1, "b:": 2}, ("one", "two"))


def test_all_that_is_wrong_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "plugins:\n"
        "  nowhere: {enabled: true}\n"
        "  gone: {path: 'shop:Gone'}\n"
        "  off: {enabled: false, path: 'shop:Gone', size: 1}\n"
        "  diary: {path: 'shop:Diary', pause: soon, prefx: a}\n"
        "  needy: {path: 'shop:Needy'}\n"
        "  weak: {path: 'shop:Needy', url: x, tries: 0}\n"
        "  metric: {enabled: true}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(str(file), {})
    lines = [line.strip().removeprefix(f"{file}:") for line in str(caught.value).splitlines()]
    assert lines[0] == "7 settings are refused:"
    assert lines[1].startswith("2: plugins.nowhere: no plugin of this name is installed")
    assert lines[2].startswith("3: plugins.gone: shop:Gone cannot be imported: AttributeError")
    assert "did you mean metrics?" in lines[3]
    assert lines[4].startswith("5: plugins.diary.pause: 'soon' is refused: a duration")
    assert (
        "plugins.diary.prefx: no such setting; did you mean plugins.diary.prefix?" in lines[5]
    )
    assert lines[6] == "6: plugins.needy: needs url"
    assert lines[7] == "7: plugins.weak: is refused by the plugin: tries are at least 1"


def test_in_process_a_cache_calls_the_hooks_of_the_store() -> None:
    diary = Diary(Diary.Settings())
    cache = Cache(max_entries=1, plugins=[diary])
    cache.set("a", 1, tags=["t"])
    cache.invalidate("t")
    assert diary.said == [("tag", "t")]
    with pytest.raises(PluginError, match="is a class: give an object of it"):
        Cache(plugins=[Diary])
    with pytest.raises(TypeError, match="plugins are a list"):
        Cache(plugins=diary)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def heard(caplog):
    """What the log says is seen, whichever test has set it up before."""
    logger = logging.getLogger("cachestorm")
    before = (logger.propagate, logger.level)
    logger.propagate = True
    with caplog.at_level("INFO"):
        yield
    logger.propagate, level = before
    logger.setLevel(level)


def test_the_command_line_lists_plugins_and_shows_their_settings(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.delenv("CACHESTORM_EXPECT", raising=False)
    file = tmp_path / "c.yaml"
    file.write_text(
        "plugins:\n  slowlog: {enabled: false}\n  diary: {path: 'shop:Diary', pause: 5s}\n"
    )
    for words in (["plugins", "list"], ["config", "show"]):
        with pytest.raises(SystemExit) as left:
            main([*words, "--config", str(file)])
        assert not left.value.code
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["slowlog", "off"] in [line[:2] for line in lines]
    (diary,) = [line for line in lines if line[0] == "diary"]
    assert diary[1:4] == ["on", "2.1", "before_command"]
    assert diary[-1] == "shop:Diary"
    assert ["plugins.diary.pause", "5s", f"{file}:3"] in lines
    assert ["plugins.diary.enabled", "true", "default"] in lines
