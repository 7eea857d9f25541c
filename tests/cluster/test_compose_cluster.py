"""The composed cluster, its nodes as processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
import yaml
from node_processes import PATIENCE_S, PROGRAM, REDIS_CLI, ROOT, until
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.real_servers import free_port

FILE = ROOT / "deploy" / "compose.cluster.yaml"
# addresses of the loopback device stand for those of the network
NETWORK, LOOPBACK = "172.28.0.", "127.28.0."


@pytest.mark.skipif(
    REDIS_CLI is None or sys.platform != "linux",
    reason="redis-cli, and addresses of the whole loopback network",
)
def test_three_composed_nodes_become_a_cluster(tmp_path: Path) -> None:
    composed = yaml.safe_load(FILE.read_text().replace(NETWORK, LOOPBACK))
    services = composed["services"]
    port = str(free_port())
    for name in ("password", "secret"):
        (tmp_path / name).write_text(name)
    processes = []
    try:
        for name in ("node1", "node2", "node3"):
            address = services[name]["networks"]["cluster"]["ipv4_address"]
            given = {
                setting: str(value).replace("/run/secrets", str(tmp_path))
                for setting, value in services[name]["environment"].items()
            }
            assert given["CACHESTORM_CLUSTER_ADVERTISE_ADDR"] == address
            given |= {
                # what the image says, for one address of many
                "CACHESTORM_BIND": address,
                "CACHESTORM_CLUSTER_BIND_ADDR": address,
                "CACHESTORM_PERSISTENCE_DATA_DIR": str(tmp_path / name),
                "CACHESTORM_CLUSTER_PROBE_INTERVAL": "100ms",
            }
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, "serve", "--no-http", "--port", port],
                    env={**os.environ, **given},
                    cwd=ROOT,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        clients = [
            redis.Redis(
                f"{LOOPBACK}1{number}",
                int(port),
                password="password",
                retry=Retry(NoBackoff(), 0),
            )
            for number in (1, 2, 3)
        ]
        for client in clients:
            until(client.ping)
        create = services["create"]
        (line,) = create["command"]
        # as on this machine, and as a shell gets it
        line = line.replace("valkey-cli", str(REDIS_CLI)).replace("$$", "$")
        line = line.replace("/run/secrets", str(tmp_path))
        nodes = create["environment"]["NODES"].replace(":6380", f":{port}")
        done = subprocess.run(
            [*create["entrypoint"], line],
            env={**os.environ, "NODES": nodes},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert "[OK] All 16384 slots covered." in done.stdout, done.stdout
        client = clients[2]
        until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        assert client.execute_command("INVALIDATE", "t") == 0
    finally:
        for process in processes:
            process.kill()
            process.wait()
