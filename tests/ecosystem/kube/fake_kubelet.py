"""What a kubelet makes of a pod: a process at an address of its own within 127.0.0.0/8.

So all pods have the same port, as in a real cluster. What a pod is given, it gets: variables,
the files of ConfigMaps and Secrets, and what it is to run before it ends.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from processes import environment
from real_servers import stop

START = "import sys; from cachestorm_cli.app import main; sys.exit(main())"

Start = Callable[["FakePod"], "subprocess.Popen[bytes]"]
# the texts of a ConfigMap or a Secret, by its kind and its name
Files = Callable[[str, str], Mapping[str, str]]


def free_shared_port() -> int:
    """A port that is free at every address."""
    with socket.socket() as each:
        each.bind(("0.0.0.0", 0))
        return int(each.getsockname()[1])


class FakePod:
    """A pod and its process.

    Attributes:
        environment: its variables.
        folder: its file system; paths of mounts are folders in it.
    """

    def __init__(self, address: str, manifest: dict[str, Any], folder: Path) -> None:
        self.name: str = manifest["metadata"]["name"]
        self.address = address
        self.manifest = manifest
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.pre_stop: subprocess.Popen[bytes] | None = None
        self.is_ready = False
        self.left_at: float | None = None
        # whether it had no slots when it ended
        self.was_waited_for = False

    @property
    def uid(self) -> str:
        return str(self.manifest["metadata"]["uid"])

    @property
    def _container(self) -> dict[str, Any]:
        return dict(self.manifest["spec"]["containers"][0])

    @property
    def port(self) -> int:
        ports = self._container["ports"]
        return next(each["containerPort"] for each in ports if each["name"] == "resp")

    def mount(self, files: Files, volumes_folder: Path) -> None:
        """Puts in place what it mounts; what is on a claim stays in the folder of volumes."""
        volumes = {each["name"]: each for each in self.manifest["spec"]["volumes"]}
        for mount in self._container["volumeMounts"]:
            place = self.folder / mount["mountPath"].lstrip("/")
            # an emulated controller leaves claims out, a real one names them
            volume = volumes.get(mount["name"], {"persistentVolumeClaim": {}})
            if "persistentVolumeClaim" in volume:
                kept = volumes_folder / f"volume-{mount['name']}-{self.name}"
                kept.mkdir(exist_ok=True)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(kept)
                continue
            place.mkdir(parents=True, exist_ok=True)
            texts: Mapping[str, str] = {}
            if "configMap" in volume:
                texts = files("configmaps", volume["configMap"]["name"])
            elif "secret" in volume:
                texts = files("secrets", volume["secret"]["secretName"])
            for name, text in texts.items():
                (place / name).write_text(text)

    def set_variables(self, files: Files, kubeconfig: str) -> None:
        if "serviceAccountName" in self.manifest["spec"]:
            self.environment["KUBECONFIG"] = kubeconfig
        facts = {"metadata.name": self.name, "status.podIP": self.address}
        for each in self._container["env"]:
            source = each.get("valueFrom", {})
            if "fieldRef" in source:
                text = facts[source["fieldRef"]["fieldPath"]]
            elif "secretKeyRef" in source:
                wanted = source["secretKeyRef"]
                text = files("secrets", wanted["name"])[wanted["key"]]
            else:
                text = each["value"]
                if text.startswith("/"):
                    text = str(self.folder / text.lstrip("/"))
            self.environment[each["name"]] = text

    def begin_to_end(self) -> None:
        """Starts what it is to run before it ends, with a `cachestorm` for its address."""
        hook = self._container.get("lifecycle", {}).get("preStop")
        if hook is None or not self.is_ready:
            return
        place = self.folder / "bin" / "cachestorm"
        place.parent.mkdir()
        python = f"{shlex.quote(sys.executable)} -c {shlex.quote(START)}"
        # the command begins with `cli`
        place.write_text(f'#!/bin/sh\nshift\nexec {python} cli -h {self.address} "$@"\n')
        place.chmod(0o755)
        path = f"{place.parent}{os.pathsep}{os.environ['PATH']}"
        self.pre_stop = subprocess.Popen(
            hook["exec"]["command"],
            env={**environment(), **self.environment, "PATH": path},
            stdin=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        for process in (self.pre_stop, self.process):
            if process is not None:
                stop(process)

    async def answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(self.address, self.port)
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            async with asyncio.timeout(5):
                return (await reader.readline())[:7] in (b"+PONG\r\n", b"-NOAUTH")
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()


def cachestorm(pod: FakePod) -> subprocess.Popen[bytes]:
    """What the image runs, from this source, at the pod's address."""
    of_image = {
        "CACHESTORM_BIND": pod.address,
        "CACHESTORM_PROTECTED_MODE": "false",
        "CACHESTORM_PERSISTENCE_DATA_DIR": str(pod.folder / "data"),
    }
    if "CACHESTORM_CLUSTER_ADVERTISE_ADDR" in pod.environment:
        of_image["CACHESTORM_CLUSTER_BIND_ADDR"] = pod.address
    with (pod.folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", START, "serve"],
            env={**environment(), **of_image, **pod.environment},
            stdout=log,
            stderr=log,
        )


def valkey(binary: str) -> Start:
    """Another server that speaks Redis Cluster, with what a pod says of ports and password."""

    def start(pod: FakePod) -> subprocess.Popen[bytes]:
        ports = {
            each["name"]: str(each["containerPort"])
            for each in pod.manifest["spec"]["containers"][0]["ports"]
        }
        argv = [binary, "--port", ports["resp"], "--cluster-port", ports["cluster"]]
        argv += ["--bind", pod.address, "--save", "", "--dir", str(pod.folder / "data")]
        argv += ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]
        # a node without slots stays what it is
        argv += ["--cluster-allow-replica-migration", "no"]
        argv += ["--bind-source-addr", pod.address, "--cluster-announce-ip", pod.address]
        password = pod.environment.get("CACHESTORM_AUTH_PASSWORD_FILE")
        if password:
            argv += ["--requirepass", Path(password).read_text()]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet)

    return start
