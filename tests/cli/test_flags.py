"""Old flags: what each means in our words, and what is refused."""

from __future__ import annotations

import pytest

from cachestorm_cli.flags import FLAGS, FlagError, translate


@pytest.mark.parametrize(
    ("old", "ours"),
    [
        ([], []),
        (["--version"], ["--version"]),
        (["-h"], ["--help"]),
        (["-addr", ":6379"], ["serve", "--bind", "0.0.0.0", "--port", "6379"]),
        (["--addr=10.0.0.1:7000"], ["serve", "--bind", "10.0.0.1", "--port", "7000"]),
        (["-addr", "[::1]:7000"], ["serve", "--bind", "::1", "--port", "7000"]),
        (["-bind", "10.0.0.1", "-port", "1"], ["serve", "--bind", "10.0.0.1", "--port", "1"]),
        (["-config", "c.yaml"], ["serve", "--config", "c.yaml"]),
        (["--no-http", "--port=7"], ["serve", "--no-http", "--port", "7"]),
        (["serve", "-addr", ":1", "--max-memory", "1gb"], None),
        (["-cluster-enabled=false"], ["serve"]),
        (
            ["-cluster-enabled", "-cluster-port", "16379", "-seeds", "a:1,b:2"],
            ["serve", "--cluster", "--cluster-port", "16379", "--seeds", "a:1,b:2"],
        ),
        (["-cluster=true", "-node-id", "n1"], ["serve", "--cluster", "--node-name", "n1"]),
        (["-seeds", "", "-node-id="], ["serve"]),
        (["-data-dir", "./data"], ["serve", "--data-dir", "./data"]),
        (["-cli", "PING"], ["cli", "PING"]),
        (["-cli", "-h", "db", "-p", "1", "GET", "-p", "x"], None),
        (["-h", "db", "-cli", "PING"], ["cli", "--host", "db", "PING"]),
        (["-cli=false", "-port", "1"], ["serve", "--port", "1"]),
        (["-cli"], ["cli"]),
        # what is ours already is left alone
        (["cli", "-h", "db", "SET", "k", "-addr"], ["cli", "-h", "db", "SET", "k", "-addr"]),
    ],
)
def test_an_old_command_line_means_one_of_ours(old: list[str], ours: list[str] | None) -> None:
    longer = {
        "serve": ["serve", "--bind", "0.0.0.0", "--port", "1", "--max-memory", "1gb"],
        "-cli": ["cli", "--host", "db", "--port", "1", "GET", "-p", "x"],
    }
    assert (longer[old[0]] if ours is None else ours) == translate(old)


@pytest.mark.parametrize(
    ("old", "part"),
    [
        (["-addr"], "needs a value"),
        (["-addr", "6379"], "write host:port"),
        (["-p", "7000"], "belongs to 'cachestorm cli --port'"),
        (["-cli", "-addr", ":1", "PING"], "belongs to 'cachestorm serve"),
    ],
)
def test_what_cannot_be_honoured_is_refused(old: list[str], part: str) -> None:
    with pytest.raises(FlagError, match=part):
        translate(old)


def test_the_table_has_every_flag_that_a_user_of_autocache_knows() -> None:
    known = [
        "addr",
        "cluster-enabled",
        "cluster-port",
        "bind",
        "seeds",
        "node-id",
        "data-dir",
        "cli",
        "h",
        "p",
    ]
    assert set(known) <= {flag.name for flag in FLAGS}


def test_every_flag_means_something() -> None:
    assert [flag.name for flag in FLAGS if not flag.means] == []
