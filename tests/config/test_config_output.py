"""The configuration as text: what is shown, begun and described is what is read."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from cachestorm.errors import ConfigError
from cachestorm_cli.app import main
from cachestorm_server.config import load
from cachestorm_server.config_output import commented_file, in_yaml, rows, schema
from cachestorm_server.config_sections import Config, keys

MISSION = """
server: {bind: "0.0.0.0", port: 6380, max_connections: 10000}
memory: {max_memory: "2gb", eviction_policy: "allkeys-lru"}
namespaces: {blog: {default_ttl: 5m}}
plugins:
  metrics: {enabled: true, port: 9090}
  auth: {enabled: true, password: "sesame"}
parameters: {latency-monitor-threshold: 100}
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file and no variable of this machine is found by accident."""
    monkeypatch.chdir(tmp_path)
    for name in ("CACHESTORM_EXPECT", "CACHESTORM_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mission(tmp_path: Path) -> str:
    path = tmp_path / "mission.yaml"
    path.write_text(MISSION)
    return str(path)


def run(*arguments: str) -> int:
    """The exit code of the command line."""
    try:
        return main(arguments)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0


def test_each_value_is_shown_with_where_it_came_from(mission: str) -> None:
    variables = {"CACHESTORM_MAX_ENTRIES": "7"}
    config = load(mission, variables, {"server.port": ("--port", "7000")})
    shown = {name: (value, origin) for name, value, origin in rows(config)}
    assert shown["server.port"] == ("7000", "--port")
    assert shown["memory.max_entries"] == ("7", "CACHESTORM_MAX_ENTRIES")
    assert shown["memory.max_memory"] == ("2gb", f"{mission}:3")
    assert shown["server.tcp_keepalive"] == ("5m", "default")
    assert shown["namespaces.blog.default_ttl"] == ("5m", f"{mission}:4")
    assert shown["parameters.latency-monitor-threshold"] == ('"100"', f"{mission}:8")


def test_show_takes_the_flags_of_serve_and_hides_secrets(mission: str, capsys) -> None:
    assert run("config", "show", "--config", mission, "--port", "7000", "--data-dir", "d") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["server.port", "7000", "--port"] in lines
    assert ["persistence.enabled", "true", "--data-dir"] in lines
    assert ["plugins.auth.password", "(hidden)", f"{mission}:7"] in lines
    assert "sesame" not in str(lines)


def test_check_says_that_a_file_is_valid_or_all_that_is_wrong(mission: str, capsys) -> None:
    assert run("config", "check", mission) == 0
    assert capsys.readouterr().out == f"{mission} is valid\n"
    Path(mission).write_text("server: {port: x}\nmemory: {max_memory: y}\n")
    assert run("config", "check", mission) == ConfigError.exit_code
    wrong = capsys.readouterr().err
    assert f"{mission}:1: server.port: 'x' is refused" in wrong
    assert f"{mission}:2: memory.max_memory: 'y' is refused" in wrong


def test_check_reads_the_files_that_a_start_would_read(tmp_path: Path, capsys) -> None:
    users = tmp_path / "users.acl"
    file = tmp_path / "file.yaml"
    file.write_text(f"acl: {{file: {users}}}\n")
    assert run("config", "check", str(file)) != 0
    told = capsys.readouterr().err
    assert f"{file}:1: acl.file is refused" in told and "an empty file is one without" in told
    users.write_text("user ann on nopass ~* +get\n")
    assert run("config", "check", str(file)) == 0
    users.write_text("user ann on nopass ~* +frobnicate\n")
    assert run("config", "check", str(file)) != 0
    assert "users.acl:1: Unknown command or category" in capsys.readouterr().err
    file.write_text("tls: {port: 7001, cert_file: nowhere.pem, key_file: nowhere.key}\n")
    assert run("config", "check", str(file)) == ConfigError.exit_code
    assert "tls.cert_file: 'nowhere.pem' cannot be read" in capsys.readouterr().err


def test_a_file_that_was_begun_says_nothing_but_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "begun.yaml"
    assert run("config", "init", str(path)) == 0
    config = load(str(path), {})
    assert Config(file=str(path)) == config
    assert config.origins == {}
    # nor is one that is there written over
    path.write_text("mine")
    assert run("config", "init", str(path)) == ConfigError.exit_code
    assert path.read_text() == "mine"


def test_what_is_commented_out_is_valid_and_at_its_default(tmp_path: Path) -> None:
    lines = [
        line.replace("# ", "", 1) if ": " in line and line.lstrip()[2:3].islower() else line
        for line in commented_file().splitlines()
    ]
    path = tmp_path / "all.yaml"
    path.write_text("\n".join(lines))
    config = load(str(path), {})
    given = {path for path in config.origins if path[0] not in ("namespaces", "parameters")}
    left = {path for path in keys() if not keys()[path].awaits}
    assert left - {("parameters",)} == given
    assert Config().server == config.server
    assert Config().plugins == config.plugins


def test_the_schema_takes_what_is_valid(mission: str) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())
    for text in (MISSION, commented_file()):
        assert list(validator.iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "server: {port: 70000}",
        "server: {prot: 1}",
        "memory: {eviction_policy: lifo}",
        "namespaces: {blog: {ttl: 5}}",
        "logging: {level: loud}",
        "nowhere: {}",
    ],
)
def test_the_schema_finds_what_is_refused(text: str) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    assert len(list(validator.iter_errors(yaml.safe_load(text)))) == 1


def test_the_schema_is_printed_for_editors(capsys) -> None:
    assert run("config", "schema") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(schema()))


@pytest.mark.parametrize(
    "value",
    ["word", "yes", "12", "2gb", "127.0.0.1", "::1", "a: b", "", "*", "0700", "a#b", "~", "é"],
)
def test_a_text_on_one_line_is_read_as_it_was(value: str) -> None:
    assert yaml.safe_load(f"k: {in_yaml(value)}") == {"k": value}
    assert yaml.safe_load(f"k: {in_yaml([value, 1])}") == {"k": [value, 1]}
    assert yaml.safe_load(f"k: {in_yaml({value: True})}") == {"k": {value: True}}
