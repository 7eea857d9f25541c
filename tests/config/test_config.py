"""The configuration: what beats what, what is refused, and in which words."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from cachestorm.errors import ConfigError
from cachestorm.eviction.policies import POLICIES
from cachestorm_server.config import load, variable_of
from cachestorm_server.config_sections import Config, keys, value_at

EXAMPLE = """
server:
  bind: "0.0.0.0"
  port: 6380
  max_connections: 10000

memory:
  max_memory: "2gb"
  eviction_policy: "allkeys-lru"

logging:
  level: "info"
  format: "console"

plugins:
  stats:
    enabled: true
  metrics:
    enabled: true
    port: 9090
  auth:
    enabled: false
    password: "secret"
  slowlog:
    enabled: true
    threshold: "10ms"
"""

EVERY_KEY = """
server:      {bind: 0.0.0.0, port: 6380, max_connections: 10000, tcp_keepalive: 300,
              read_timeout: "0", write_timeout: "0", read_buffer_size: 4096,
              write_buffer_size: 4096}
memory:      {max_memory: "0", eviction_policy: allkeys-lru, pressure_warning: 70,
              pressure_critical: 85, eviction_sample_size: 5}
namespaces:  {default: {default_ttl: "0", max_memory: "0"}}
cluster:     {enabled: false, node_name: "", bind_addr: 0.0.0.0, bind_port: 7946,
              advertise_addr: "", advertise_port: 0, seeds: [], replicas: 1,
              replication_backlog: 10000, migration_batch_size: 100,
              gossip_interval: 200ms, probe_interval: 1s,
              probe_timeout: 500ms, suspicion_mult: 4}
persistence: {enabled: false, aof: true, aof_sync: everysec, snapshot_interval: 5m,
              data_dir: /var/lib/cachestorm, max_aof_size: 1gb}
plugins:
  stats:   {enabled: true}
  metrics: {enabled: true, port: 9090, path: /metrics}
  auth:    {enabled: false, password: ""}
  slowlog: {enabled: true, threshold: 10ms, max_entries: 1000}
logging:     {level: info, format: json, output: stdout}
"""


@pytest.fixture
def written(tmp_path: Path):
    """Writes a file and gives its path."""

    def write(text: str) -> str:
        path = tmp_path / "cachestorm.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of this machine is found by accident."""
    monkeypatch.chdir(tmp_path)


def refusals(**given: object) -> list[str]:
    """What a load is refused with, a line each, without the title."""
    given.setdefault("environment", {})
    with pytest.raises(ConfigError) as caught:
        load(**given)  # type: ignore[arg-type]
    title, *lines = str(caught.value).splitlines()
    assert str(len(lines)) == title.split()[0]
    return [line.strip() for line in lines]


def test_without_anything_the_defaults_hold() -> None:
    config = load(None, {})
    assert Config() == config
    assert (config.server.bind, config.server.port) == (("127.0.0.1",), 6380)
    assert config.http.port == 9090
    assert config.password == ""


def test_the_example_file_of_the_readme_works_as_named(written) -> None:
    config = load(written(EXAMPLE), {})
    assert config.server.bind == ("0.0.0.0",)
    assert config.memory.max_memory == 2 << 30
    assert config.plugins.slowlog.threshold == 10_000
    # a password that is not enabled is not asked for
    assert config.password == ""


def test_every_key_of_the_seeds_is_known(written) -> None:
    config = load(written(EVERY_KEY), {})
    # replicas are there for those who ask for them
    seeds = dataclasses.replace(Config().cluster, bind_addr="0.0.0.0", replicas=1)
    assert seeds == config.cluster
    assert Config().persistence == config.persistence
    assert config.logging.format == "json"


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(written) -> None:
    file = written("server: {port: 1001, max_connections: 5}\nmemory: {max_memory: 1mb}")
    variables = {"CACHESTORM_PORT": "1002", "CACHESTORM_MAX_MEMORY": "2mb"}
    config = load(file, variables, {"server.port": ("--port", "1003")})
    assert config.server.port == 1003
    assert config.memory.max_memory == 2 << 20
    assert config.server.max_connections == 5
    assert config.http.port == 9090


@pytest.mark.parametrize(
    ("variable", "dotted"),
    [
        ("CACHESTORM_BIND", "server.bind"),
        ("CACHESTORM_PORT", "server.port"),
        ("CACHESTORM_MAX_MEMORY", "memory.max_memory"),
        ("CACHESTORM_EVICTION_POLICY", "memory.eviction_policy"),
        ("CACHESTORM_LOG_LEVEL", "logging.level"),
        ("CACHESTORM_LOG_FORMAT", "logging.format"),
        ("CACHESTORM_CLUSTER_ENABLED", "cluster.enabled"),
        ("CACHESTORM_CLUSTER_NODE_NAME", "cluster.node_name"),
        ("CACHESTORM_CLUSTER_SEEDS", "cluster.seeds"),
        ("CACHESTORM_PERSISTENCE_ENABLED", "persistence.enabled"),
        ("CACHESTORM_AUTH_PASSWORD", "plugins.auth.password"),
        ("CACHESTORM_METRICS_PORT", "plugins.metrics.port"),
    ],
)
def test_the_variables_of_the_seeds_are_known(variable: str, dotted: str) -> None:
    assert variable == variable_of(tuple(dotted.split(".")))


def test_no_two_settings_share_a_variable() -> None:
    assert len(keys()) == len({variable_of(path) for path in keys()})


def test_every_default_is_spelled_as_its_own_kind_reads_it() -> None:
    for path, spec in keys().items():
        value = value_at(Config(), path)
        assert value == spec.kind.read(spec.kind.spell(value)), path


def test_every_setting_says_what_it_is_for() -> None:
    assert all(spec.meaning and spec.meaning[-1] != "." for spec in keys().values())


def test_the_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().server.port = 1  # type: ignore[misc]


ISSUE = """
server:    {bind: "127.0.0.1", port: 6380, max_connections: 10000, tcp_keepalive: 300,
            timeout: 0}
memory:    {max_memory: "2gb", eviction_policy: "allkeys-lru"}
namespaces: {default: {default_ttl: null, max_memory: null}}
logging:   {level: "info", format: "console"}
plugins:
  stats:   {enabled: true}
  metrics: {enabled: true, port: 9090}
  auth:    {enabled: false, password: "secret"}
  slowlog: {enabled: true, threshold: "10ms", max_entries: 1000}
"""


def test_null_is_none_where_there_may_be_none(written) -> None:
    config = load(written(ISSUE), {})
    assert config.namespaces == {}
    assert config.plugins.slowlog.max_entries == 1000


def test_an_alias_and_its_setting_may_say_the_same(written) -> None:
    assert load(written("server: {read_timeout: 5, timeout: 5s}"), {}).server.timeout == 5
    config = load(written("server: {read_timeout: 5}"), {"CACHESTORM_TIMEOUT": "6"})
    assert config.server.timeout == 6
    config = load(written("http: {port: 7000}"), {"CACHESTORM_METRICS_PORT": "7001"})
    assert config.http.port == 7001


def test_a_secret_may_be_in_a_file_of_its_own(written, tmp_path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("sesame\n")
    file = written(f"plugins: {{auth: {{enabled: true, password_file: {secret}}}}}")
    assert load(file, {}).password == "sesame"
    variables = {"CACHESTORM_AUTH_PASSWORD_FILE": str(secret)}
    assert load(None, variables).password == "sesame"
    # the environment beats the file, in whichever form
    assert load(file, {"CACHESTORM_AUTH_PASSWORD": "other"}).password == "other"
    plain = written("plugins: {auth: {password: plain}}")
    assert load(plain, variables).password == "sesame"


def test_a_secret_is_refused_twice_and_where_its_file_cannot_be_read(written, tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for name, reason in (
        (tmp_path / "none", "cannot be read: No such file"),
        (empty, "is empty"),
    ):
        lines = refusals(environment={"CACHESTORM_AUTH_PASSWORD_FILE": str(name)})
        assert (
            f"CACHESTORM_AUTH_PASSWORD_FILE: plugins.auth.password_file: {str(name)!r} "
            in (lines[0])
        )
        assert reason in lines[0]
    (line,) = refusals(
        file=written(f"plugins: {{auth: {{password: a, password_file: {empty}}}}}")
    )
    assert "plugins.auth.password is given too" in line


def test_a_password_in_the_environment_is_asked_for() -> None:
    assert load(None, {"CACHESTORM_AUTH_PASSWORD": "sesame"}).password == "sesame"
    off = {"CACHESTORM_AUTH_PASSWORD": "sesame", "CACHESTORM_AUTH_ENABLED": "no"}
    assert load(None, off).password == ""


def test_an_empty_password_in_the_environment_is_refused() -> None:
    (line,) = refusals(environment={"CACHESTORM_AUTH_PASSWORD": ""})
    assert "CACHESTORM_AUTH_PASSWORD" in line and "is empty" in line


def test_a_password_is_in_no_text() -> None:
    config = load(None, {"CACHESTORM_AUTH_PASSWORD": "sesame"})
    assert "sesame" not in repr(config)


def test_a_password_is_not_repeated_by_its_refusal(written) -> None:
    (line,) = refusals(file=written("plugins:\n  auth:\n    password: 12345"))
    assert "12345" not in line
    assert "in quotes" in line


def test_the_file_is_found_by_the_environment_or_beside(written) -> None:
    file = written("server: {port: 1001}")
    assert load(None, {}).server.port == 1001
    other = Path(file).with_name("other.yaml")
    other.write_text("server: {port: 1002}")
    assert load(None, {"CACHESTORM_CONFIG": str(other)}).server.port == 1002
    assert load(file, {"CACHESTORM_CONFIG": str(other)}).server.port == 1001


def test_namespaces_have_a_time_to_live_and_a_quota(written) -> None:
    text = "namespaces:\n  sessions: {default_ttl: 30m}\n  pages.old: {max_memory: 10mb}\n"
    config = load(written(text), {})
    assert config.namespaces["sessions"].default_ttl == 1_800_000
    assert config.namespaces["pages.old"].max_memory == 10 << 20


def test_everything_that_is_wrong_is_said_at_once_with_file_line_and_remedy(written) -> None:
    file = written(
        "server:\n"
        "  port: 70000\n"
        "  prot: 1\n"
        "memory:\n"
        "  max_memory: 3xb\n"
        "  eviction_policy: lifo\n"
        "plugins:\n"
        "  slowlog: {threshold: soon}\n"
    )
    lines = refusals(
        file=file,
        environment={"CACHESTORM_MAXMEMORY": "1", "CACHESTORM_LOG_LEVEL": "loud"},
        flags={"http.max_body": ("--max-body", "-1")},
    )
    assert lines == [
        f"{file}:2: server.port: 70000 is refused: a port from 0 to 65535 (0: any free one)",
        f"{file}:3: server.prot: no such setting; did you mean server.port?",
        f"{file}:5: memory.max_memory: '3xb' is refused: "
        "a size: bytes, or 64kb, 256mb, 2gb, 1tb",
        f"{file}:6: memory.eviction_policy: 'lifo' is refused: one of {', '.join(POLICIES)}",
        f"{file}:8: plugins.slowlog.threshold: 'soon' is refused: "
        "a duration: 500us, 10ms, 5s, or seconds",
        "CACHESTORM_LOG_LEVEL: logging.level: 'loud' is refused: "
        "one of debug, info, warn, warning, error",
        "CACHESTORM_MAXMEMORY: no such setting; did you mean CACHESTORM_MAX_MEMORY?",
        "--max-body: http.max_body: '-1' is refused: a size: bytes, or 64kb, 256mb, 2gb, 1tb",
    ]


@pytest.mark.parametrize(
    ("text", "feature"),
    [
        ("server: {read_buffer_size: 64kb}", "the size of buffers"),
    ],
)
def test_what_is_not_built_yet_is_refused_and_not_ignored(written, text, feature) -> None:
    (line,) = refusals(file=written(text))
    assert feature in line
    assert "not there yet" in line


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("- a\n- b\n", "sections"),
        ("server: {port: 1", "no YAML"),
        ("server: {port: 1, port: 2}", "server.port: is written twice"),
        ("server: 5", "server: is a section"),
        ("plugins: {audit: {}}", "plugins.audit: needs file"),
        ("nowhere: {}", "nowhere: no such setting"),
        ("plugins: {metricss: {}}", "did you mean metrics?"),
        ("persistance: {enabled: true}", "did you mean persistence.enabled?"),
        ("server: {port: {}}", "server.port: {} is refused"),
        ("server: {port: {a: 1}}", "server.port.a: no such setting"),
        ("namespaces: {default: 5}", "is a section"),
        ("namespaces: {a b: {default_ttl: 5}}", "namespaces.a b"),
        ("namespaces: {shop: {ttl: 5}}", "default_ttl and max_memory"),
        ("a: &a {b: *a}", "too deep"),
        ("server: {port: !!python/name:os.system x}", "no YAML"),
        ("server: {port: true}", "server.port: True is refused"),
        ("server: {read_timeout: 1500ms}", "whole seconds"),
        ("server: {read_timeout: 5, timeout: 6}", "is another name of server.read_timeout"),
        ("server: {port: null}", "server.port: None is refused"),
        ("memory: {pressure_warning: 90}", "comes before what is critical, at 85"),
        ("server: {bind: []}", "one or more addresses"),
        ("plugins: {auth: {enabled: true}}", "needs plugins.auth.password"),
        ("plugins: {metrics: {port: 6380}}", "the port of RESP"),
        ("plugins: {metrics: {path: metrics}}", "starts with /"),
    ],
)
def test_a_file_of_the_wrong_form_is_refused_in_words(written, text, part) -> None:
    (line,) = refusals(file=written(text))
    assert part in line


def test_places_that_cannot_be_are_refused_by_where_they_were_given(written, tmp_path) -> None:
    path, output = refusals(
        file=written("plugins: {metrics: {path: /keys}}"),
        environment={"CACHESTORM_LOG_OUTPUT": str(tmp_path / "none" / "log")},
    )
    assert re.search(r"\.yaml:1: plugins.metrics.path: '/keys' is refused: .*choose", path)
    assert output.startswith("CACHESTORM_LOG_OUTPUT: logging.output: ")
    assert "is refused: No such file or directory; name a file" in output
    written("")
    (output,) = refusals(environment={"CACHESTORM_LOG_OUTPUT": str(tmp_path)})
    assert "Is a directory" in output
    fine = tmp_path / "log"
    assert str(fine) == load(None, {"CACHESTORM_LOG_OUTPUT": str(fine)}).logging.output
    assert not fine.exists()


def test_an_empty_file_and_empty_sections_are_no_mistake(written) -> None:
    assert Config() == dataclasses.replace(load(written(""), {}), file="")
    assert Config() == dataclasses.replace(load(written("server:\ncluster: {}\n"), {}), file="")


def test_a_file_that_is_not_there_is_refused() -> None:
    (line,) = refusals(file="nowhere.yaml")
    assert re.match("nowhere.yaml: cannot be read: No such file", line)


def test_a_service_called_cachestorm_is_not_taken_for_settings() -> None:
    variables = {
        "CACHESTORM_SERVICE_HOST": "10.0.0.1",
        "CACHESTORM_SERVICE_PORT_RESP": "6380",
        "CACHESTORM_PORT": "tcp://10.0.0.1:6380",
        "CACHESTORM_PORT_6380_TCP_ADDR": "10.0.0.1",
        "CACHESTORM_PURE": "1",
    }
    assert Config() == load(None, variables)
