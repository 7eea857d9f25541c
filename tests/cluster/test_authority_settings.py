"""What is refused of an authority's settings, and what is said if its package is missing."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from cachestorm.errors import ConfigError
from cachestorm_server.cluster.authorities import choose, timing_of
from cachestorm_server.cluster.state_file import ClusterStateError
from cachestorm_server.config import load
from cachestorm_server.config_cluster import ClusterConfig


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("authority: zookeeper", "cluster.authority: 'zookeeper'"),
        ("authority: etcd\n  lease_ttl: 100ms", "cluster.lease_ttl: is too short: 1000 ms"),
        (
            "authority: etcd\n  lease_margin: 6s",
            "cluster.lease_margin: more than 0, and at most",
        ),
        ("authority: kubernetes\n  lease_margin: 0", "cluster.lease_margin: more than 0"),
        ("authority: etcd\n  etcd: {endpoints: []}", "cluster.etcd.endpoints: name a member"),
        (
            "authority: etcd\n  etcd: {endpoints: ['127.0.0.1:2379']}",
            "'127.0.0.1:2379' is refused: write http://host:port, or https",
        ),
        (
            "authority: etcd\n  etcd: {endpoints: ['http://u:p@h:1/x', 'http://h:99999']}",
            "'http://h:99999' is refused",
        ),
        (
            "authority: etcd\n  etcd: {user: root}",
            "cluster.etcd.user: needs cluster.etcd.password",
        ),
        ("authority: etcd\n  etcd: {key_file: /nowhere}", "there is no file '/nowhere'"),
    ],
)
def test_what_cannot_be_meant_is_refused(lines: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "cachestorm.yaml"
    file.write_text(f"cluster:\n  enabled: true\n  {lines}\n")
    with pytest.raises(ConfigError) as caught:
        load(str(file), {})
    assert problem in str(caught.value)


def test_static_needs_nothing_of_it(tmp_path: Path) -> None:
    file = tmp_path / "cachestorm.yaml"
    file.write_text("cluster:\n  enabled: true\n  lease_margin: 0\n  etcd: {endpoints: []}\n")
    assert choose(load(str(file), {}).cluster, Random(1)) is None


def test_a_password_of_etcd_may_be_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pw\n")
    file = tmp_path / "cachestorm.yaml"
    etcd = f"{{user: root, password_file: {secret}}}"
    file.write_text(f"cluster:\n  enabled: true\n  authority: etcd\n  etcd: {etcd}\n")
    config = load(str(file), {})
    assert config.cluster.etcd.password == "pw"
    assert "pw" not in repr(config.cluster)


@pytest.mark.parametrize(
    ("name", "package"), [("etcd", "etcd3gw"), ("kubernetes", "lightkube")]
)
def test_a_package_that_is_missing_is_named(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in list(sys.modules):
        if module.split(".")[0] == package or module.endswith(f"cluster.{name}_store"):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    wanted = rf"cluster\.authority: {name} needs {package}.*pip install 'cachestorm\[{name}\]'"
    with pytest.raises(ClusterStateError, match=wanted):
        choose(replace(ClusterConfig(), authority=name), Random(1))


def test_nodes_look_often_enough_in_a_lease_however_short() -> None:
    assert timing_of(replace(ClusterConfig(), lease_ttl=1000)).look_ms == 100
    assert timing_of(ClusterConfig()).look_ms == 500
