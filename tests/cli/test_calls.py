"""Commands as subcommands: their words, options, replies, help and completion."""

from __future__ import annotations

import itertools

import pytest
from in_this_process import CommandLine, Served

from cachestorm.declare.registry import REGISTRY
from cachestorm_cli.calls import FORMATS, PLACES, complete, read
from cachestorm_cli.command_options import Option, UsageError, options_of
from cachestorm_cli.commands import app
from cachestorm_cli.groups import tools_of
from cachestorm_cli.syntax import known

ARGV = [
    ("get k", "GET k"),
    ("settag k v t1 t2", "SETTAG k v t1 t2"),
    ("invalidate t --cascade --dry-run", "INVALIDATE t CASCADE DRYRUN"),
    ("invalidate --dryrun t --soft", "INVALIDATE t SOFT DRYRUN"),
    ("set k v --tags a --ex 60 --tags b --nx", "SET k v NX EX 60 TAGS a b"),
    ("set k v --ex=60", "SET k v EX 60"),
    ("set k v EX 60", "SET k v EX 60"),
    ("set k -- --ex", "SET k --ex"),
    ("set k -5", "SET k -5"),
    ("zadd k --ch 1 a 2 b --gt", "ZADD k GT CH 1 a 2 b"),
    ("hexpire k 60 --nx --fields a --fields b", "HEXPIRE k 60 NX FIELDS 2 a b"),
    ("hsetex k --ex 9 FIELDS 1 f v", "HSETEX k EX 9 FIELDS 1 f v"),
    ("sort k --limit 0 5 --get a --get b --alpha", "SORT k LIMIT 0 5 GET a GET b ALPHA"),
    ("geosearch k --fromlonlat 1 2 --byradius 3 km --count 4 --any", None),
    ("memory usage k --samples 5", "MEMORY USAGE k SAMPLES 5"),
    ("command list --filterby pattern g*", "COMMAND LIST FILTERBY PATTERN g*"),
    ("copy a b --replace --url redis://x", "COPY a b REPLACE"),
    ("del k -p 7001 -n blog -u redis://x -a secret", "DEL k"),
    ("zadd k -inf a", "ZADD k -inf a"),
    ("rpush k -- -p x", "RPUSH k -p x"),
]


@pytest.mark.parametrize(("typed", "argv"), ARGV)
def test_what_is_typed_becomes_what_redis_takes(typed: str, argv: str | None) -> None:
    name, *words = typed.split()
    expected = argv or "GEOSEARCH k FROMLONLAT 1 2 BYRADIUS 3 km COUNT 4 ANY"
    assert expected.split() == read(name, words).argv


@pytest.mark.parametrize(
    ("typed", "near"),
    [("settg", "'settag'"), ("statz", "'stats'"), ("config rewrit", "'rewrite'"), ("qqq", "")],
)
def test_a_misspelled_name_is_compared_with_tools_and_commands(
    command_line: CommandLine, typed: str, near: str
) -> None:
    outcome = command_line(*typed.split())
    assert outcome.code == 2
    assert near in outcome.err.partition("Did you mean")[2], outcome.err
    assert ("Did you mean" in outcome.err) is (near != "")


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("get k --cascade", "get has no option --cascade"),
        ("del k -h elsewhere", "del has no option -h"),
        ("del k -p", "--port needs VALUE"),
        ("set k v --ex", "--ex needs SECONDS"),
        ("set k v --nx --nx", "--nx is given twice"),
        ("set k v --nx=1", "--nx takes no value"),
        ("sort k --limit 1", "--limit needs OFFSET COUNT"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(typed: str, reason: str) -> None:
    name, *words = typed.split()
    with pytest.raises(UsageError, match=reason):
        read(name, words)


EVERY_OPTION = [
    (declaration, option) for declaration in REGISTRY for option in options_of(declaration)
]


def test_no_option_of_a_command_hides_one_of_every_command() -> None:
    ours = {*PLACES, *FORMATS, "--help"}
    assert [o.flag for _, o in EVERY_OPTION if o.flag in ours] == []


def test_options_of_one_command_have_different_names() -> None:
    for declaration in REGISTRY:
        flags = [option.flag.replace("-", "") for option in options_of(declaration)]
        assert len(flags) == len(set(flags)), declaration.name


def test_every_option_becomes_its_token_once() -> None:
    for declaration, option in EVERY_OPTION:
        argv = read(declaration.container, _words(declaration.name, option)).argv
        assert argv.count(option.token) >= 1, declaration.name
        assert argv[0] == declaration.container


def _words(name: str, option: Option) -> list[str]:
    return [
        *name.split()[1:],
        "a",
        "b",
        option.flag,
        *itertools.repeat("1", len(option.values)),
    ]


def test_a_reply_is_printed_in_the_format_that_is_asked_for(
    served: Served, command_line: CommandLine
) -> None:
    served.cache.zadd("top", {"ada": 3, "b,c": 1})
    call = ("zrange", "top", "0", "-1")
    assert command_line(*call, url=served.url).out == "b,c\nada\n"
    assert command_line(*call, "--json").out == '["b,c", "ada"]\n'
    assert command_line(*call, "--csv").out == '"b,c",ada\n'
    assert command_line(*call, "--no-raw").out == '1) "b,c"\n2) "ada"\n'


def test_a_command_goes_over_http_as_over_resp(
    served: Served, command_line: CommandLine
) -> None:
    assert command_line("set", "k", "v", "--tags", "t", "--url", served.http_url).code == 0
    assert command_line("tags", "k", "--url", served.url).out == "t\n"
    refused = command_line("lpush", "k", "x", "--url", served.http_url)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("WRONGTYPE")


def test_a_namespace_is_entered_first(served: Served, command_line: CommandLine) -> None:
    for url in (served.url, served.http_url):
        assert command_line("set", "k", "v", "--namespace", "blog", url=url).code == 0
        assert command_line("exists", "k").out == "0\n"
        assert command_line("exists", "k", url=f"{url}/blog").out == "1\n"


def test_a_refusal_ends_with_an_exit_code(served: Served, command_line: CommandLine) -> None:
    assert command_line("incrby", "k", "x", url=served.url).code == 1
    assert command_line("get", "k", "--bogus").code == 2
    assert command_line("get", "k", url="redis://127.0.0.1:1").code == 1
    assert command_line("get", "k", url="gopher://x").code == 2


def test_help_says_what_the_declaration_says(command_line: CommandLine) -> None:
    shown = command_line("invalidate", "--help").out
    declaration = REGISTRY.get("INVALIDATE")
    assert declaration is not None
    assert declaration.summary in shown.replace("\n", " ")
    assert "--dry-run" in shown
    assert declaration.complexity in shown.replace("\n  ", " ")


def test_help_of_a_container_lists_its_subcommands(command_line: CommandLine) -> None:
    shown = command_line("object", "--help").out
    assert "encoding" in shown and "idletime" in shown


def test_every_command_has_help(command_line: CommandLine) -> None:
    from cachestorm_cli.command_help import help_of

    for name, syntax in known().items():
        declaration = REGISTRY.get(name)
        options = options_of(declaration) if declaration is not None else []
        for width in (20, 80):
            lines = help_of(syntax, options, width).splitlines()
            assert lines[0].startswith("Usage: ")
            widest = max(lines, key=len)
            # what has no blank cannot be broken
            assert len(widest) <= width or len(widest.split()) == 1, name


def test_a_word_is_completed_by_what_the_server_has(served: Served, monkeypatch) -> None:
    monkeypatch.setenv("CACHESTORM_URL", served.url)
    cache = served.cache
    cache.set("user:1", 1, tags=["users", "profile"])
    cache.set("user:2", 1, tags=["users"])
    cache.set("us*r", 1)
    assert complete("get", [], "user:") == [("user:1", ""), ("user:2", "")]
    assert complete("get", [], "us*") == [("us*r", "")]
    assert complete("mget", ["user:1"], "user:2") == [("user:2", "")]


def test_options_and_subcommands_are_completed() -> None:
    assert complete("invalidate", ["t"], "--ca") == [("--cascade", "")]
    assert [name for name, _ in complete("object", [], "f")] == ["freq"]
    assert complete("linsert", ["k"], "B") == [("BEFORE", "")]


def test_without_a_server_nothing_is_completed_and_nothing_said(monkeypatch, capsys) -> None:
    monkeypatch.setenv("CACHESTORM_URL", "redis://127.0.0.1:1")
    assert complete("get", [], "u") == []
    assert capsys.readouterr() == ("", "")


def test_a_group_of_tools_takes_the_subcommands_of_its_command(
    served: Served, command_line: CommandLine
) -> None:
    assert command_line("config", "get", "maxmemory", url=served.url).out == "maxmemory\n0\n"
    assert command_line("config", "set", "maxmemory", "1gb").code == 0
    assert command_line("config", "nonsense").code == 2
    assert "check" in command_line("config", "--help").out


# Tools whose name a command has too: `cachestorm cli NAME` sends the command.
COLLISIONS = {"config", "hotkeys", "latency", "monitor", "ping"}


def test_these_tools_hide_a_command_of_the_same_name() -> None:
    tools = set(tools_of(app))
    names = {name.lower() for name in known()}
    assert tools & names == COLLISIONS
