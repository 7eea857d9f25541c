"""The image, really built and run: `make test-slow` where there is buildah, and root."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from cachestorm_server.config import variable_of
from cachestorm_server.config_output import value_text
from cachestorm_server.config_sections import Config, keys, value_at

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
BUILDAH = ["buildah", "--storage-driver", "vfs"]
# of our layers, above the base
MOST_BYTES = 90 << 20
IMAGE = "cachestorm-test"
# what pip and setuptools ask for to build the wheel, beside what the wheel asks for
BUILT_WITH = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
# what redis-py asks for on the Python 3.11.2 of Debian, and on no later one
BUILT_WITH.append("async-timeout>=4.0.3")
READY = re.compile(r"CacheStorm \S+ \(compiled.* port (\d+), HTTP .*process (\d+)")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("buildah") or not shutil.which("debootstrap"),
        reason="needs root, and Debian's buildah and debootstrap",
    ),
]


def buildah(*arguments: object) -> str:
    done = subprocess.run(
        [*BUILDAH, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout.strip()


@contextmanager
def container_of(image: str) -> Iterator[str]:
    container = buildah("from", "--pull-never", image)
    # buildah would keep what is written to a volume of the image where nobody finds it
    buildah("config", "--volume", "/data-", container)
    try:
        yield container
    finally:
        buildah("rm", container)


def size_of(image: str) -> int:
    """In bytes, of all its files."""
    with container_of(image) as container:
        folder = buildah("mount", container)
        told = subprocess.run(
            ["du", "-sxB1", folder], capture_output=True, text=True, check=True
        )
        return int(told.stdout.split()[0])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Debian under the name that the Dockerfile asks for, made here if nobody has."""
    named = re.search(r"^ARG BASE=(\S+)", DOCKERFILE, re.MULTILINE)
    assert named is not None
    name = f"docker.io/library/{named[1]}"
    if not buildah("images", "--quiet", "--filter", f"reference={name}"):
        release = name.rpartition(":")[2].removesuffix("-slim")
        root = tmp_path_factory.mktemp("base") / "debian"
        subprocess.run(["debootstrap", "--variant=minbase", release, root], check=True)
        shutil.rmtree(root / "var" / "cache" / "apt")
        container = buildah("from", "scratch")
        buildah("add", container, root, "/")
        buildah("commit", container, name)
        buildah("rm", container)
    return name


@pytest.fixture(scope="module")
def image(base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Built as a user builds it, but with packages of Python that were fetched before."""
    wheels = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "-w", str(wheels)]
    pure = os.environ | {"CACHESTORM_PURE": "1"}
    extras = re.search(r"pip install '\.(\[[\w,]+\])'", DOCKERFILE)
    assert extras is not None
    subprocess.run([*pip, *BUILT_WITH, f"{ROOT}{extras[1]}"], env=pure, check=True)
    for own in wheels.glob("cachestorm-*"):
        own.unlink()
    buildah(
        "bud", "--isolation", "chroot", "--pull-never", "--format", "docker",
        "--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/wheels",
        "--volume", f"{wheels}:/wheels:ro",
        "--volume", "/etc/apt/apt.conf.d:/etc/apt/apt.conf.d:ro",
        "-f", "deploy/Dockerfile", "-t", IMAGE, ".",
    )  # fmt: skip
    return IMAGE


@contextmanager
def serving(
    container: str, *command: str, **variables: str
) -> Iterator[tuple[int, int, list[str]]]:
    """Runs the image's server. Gives its port, its process and what it has printed so far."""
    argv = [*BUILDAH, "run", "--isolation", "chroot"]
    for name, text in variables.items():
        argv += ["--env", f"{name}={text}"]
    argv += [container, "--", *(command or ("cachestorm", "serve"))]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    printed = []
    found = None
    for line in server.stdout:
        printed.append(line)
        found = READY.search(line)
        if found:
            break
    assert found is not None, printed
    pid = int(found[2])
    try:
        yield int(found[1]), pid, printed
    finally:
        os.kill(pid, signal.SIGTERM)
        assert server.wait(30) == 0
        printed += server.stdout.readlines()


FREE_PORTS = {"CACHESTORM_PORT": "0", "CACHESTORM_HTTP_PORT": "0"}


def test_our_layers_are_small(base: str, image: str) -> None:
    assert size_of(image) - size_of(base) < MOST_BYTES


def test_it_serves_writes_only_its_data_and_ends_by_a_signal(image: str) -> None:
    with container_of(image) as container:
        folder = Path(buildah("mount", container))
        before = set(files_of(folder))
        with serving(
            container,
            CACHESTORM_AUTH_PASSWORD="pw",
            CACHESTORM_PERSISTENCE_ENABLED="true",
            **FREE_PORTS,
        ) as (port, pid, printed):
            with redis.Redis(port=port, password="pw") as client:
                assert client.execute_command("SETTAG", "k", "v", "t") == b"OK"
                assert client.execute_command("INVALIDATE", "t") == 1
            if shutil.which("redis-cli"):
                said = ["redis-cli", "-p", str(port), "-a", "pw", "--no-auth-warning", "PING"]
                done = subprocess.run(said, capture_output=True, text=True, check=True)
                assert done.stdout == "PONG\n"
            assert Path(f"/proc/{pid}").stat().st_uid == 6380
            assert "protected" not in "".join(printed)
        written = set(files_of(folder)) - before
        assert {path for path in written if not path.startswith("data/")} == set()
        assert any(path.startswith("data/") for path in written)


def test_without_a_password_it_warns_in_one_line_and_answers(image: str) -> None:
    with container_of(image) as container:
        with (
            serving(container, **FREE_PORTS) as (port, _, printed),
            redis.Redis(port=port) as it,
        ):
            assert it.ping()
        assert len([line for line in printed if "password" in line.lower()]) == 1, printed


def test_the_health_check_is_what_tells_whether_it_answers(image: str) -> None:
    check = re.search(r'HEALTHCHECK .*?CMD \["(\w+)", "(\w+)"\]', DOCKERFILE, re.DOTALL)
    assert check is not None
    with container_of(image) as container:
        run = [*BUILDAH, "run", "--isolation", "chroot"]
        with serving(container, **FREE_PORTS) as (port, _, _):
            asked = [*run, "--env", f"CACHESTORM_PORT={port}", container, "--", *check.groups()]
            assert subprocess.run(asked, check=False, capture_output=True).returncode == 0
        assert subprocess.run(asked, check=False, capture_output=True).returncode != 0


def test_every_variable_is_taken_and_a_password_from_a_file(image: str) -> None:
    every = {
        variable_of(path): value_text(spec, value_at(Config(), path)).strip("[]'\"")
        for path, spec in keys().items()
    }
    given = {name: text for name, text in every.items() if text not in ("", "{}")}
    assert len(given) > 40
    del given["CACHESTORM_AUTH_ENABLED"]
    given |= {"CACHESTORM_AUTH_PASSWORD_FILE": "/data/password", **FREE_PORTS}
    given |= {"CACHESTORM_BIND": "0.0.0.0", "CACHESTORM_PERSISTENCE_DATA_DIR": "/data"}
    with container_of(image) as container:
        secret = Path(buildah("mount", container), "data", "password")
        secret.write_text("from a file\n")
        with (
            serving(container, **given) as (port, _, _),
            redis.Redis(port=port, password="from a file") as client,
        ):
            assert client.ping()
            found = {name: text for name, text in given.items() if "PASSWORD" in name}
            told = [f"--env={name}={text}" for name, text in found.items()]
            asked = [*BUILDAH, "run", "--isolation", "chroot", *told]
            asked += [f"--env=CACHESTORM_PORT={port}", container, "--", "cachestorm", "ping"]
            assert subprocess.run(asked, check=False).returncode == 0


def test_it_has_the_operator_and_no_tools_to_build(image: str) -> None:
    with container_of(image) as container:
        told = buildah(
            "run", "--isolation", "chroot", container, "--", "cachestorm", "operator", "crd"
        )
        assert "kind: CustomResourceDefinition" in told
        run = [*BUILDAH, "run", "--isolation", "chroot", container, "--"]
        script = "import cachestorm_server.kube.operator"
        assert subprocess.run([*run, "python3", "-c", script], check=False).returncode == 0
        for tool in ("pip", "gcc"):
            assert subprocess.run(
                [*run, "sh", "-c", f"command -v {tool}"], check=False
            ).returncode


def files_of(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if not path.is_relative_to(folder / "proc"):
            yield str(path.relative_to(folder))
