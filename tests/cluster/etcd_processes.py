"""Members of etcd as processes of this machine, for tests that need a real one."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.real_servers import free_port

ETCD = shutil.which("etcd")
MISSING = "etcd is not installed: apt-get install etcd-server"
PATIENCE_S = 30.0


class Member:
    """One member."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.port = free_port()
        self.peer_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.peer_url = f"http://127.0.0.1:{self.peer_port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, cluster: str) -> None:
        assert ETCD is not None
        self._cluster = cluster
        words = {
            "name": self.name,
            "data-dir": self.folder,
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": self.peer_url,
            "initial-advertise-peer-urls": self.peer_url,
            "initial-cluster": cluster,
            "heartbeat-interval": 50,
            "election-timeout": 500,
        }
        self.process = subprocess.Popen(
            [ETCD, *(f"--{name}={value}" for name, value in words.items())],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        self.kill()
        self.start(self._cluster)

    def wait(self) -> None:
        """Until it answers, with a majority of the others."""
        gives_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=1) as answer:
                    if b"true" in answer.read():
                        return
            except OSError:
                pass
            assert time.monotonic() < gives_up_at, f"{self.name} does not answer"
            time.sleep(0.02)


class Etcd:
    """Some members that know each other."""

    def __init__(self, size: int) -> None:
        # what a member writes it waits for, and on a busy disk that is not what is tested
        memory = "/dev/shm"
        self._folder = TemporaryDirectory(dir=memory if Path(memory).is_dir() else None)
        folder = Path(self._folder.name)
        self.members = [Member(f"m{number}", folder / f"m{number}") for number in range(size)]

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(member.url for member in self.members)

    def start(self) -> None:
        cluster = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        for member in self.members:
            member.start(cluster)
        for member in self.members:
            member.wait()

    def stop(self) -> None:
        for member in self.members:
            member.kill()
        self._folder.cleanup()
