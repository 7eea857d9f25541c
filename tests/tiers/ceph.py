"""A Ceph RGW for the tests: Debian's packages, as a real S3 of this process.

One monitor, one OSD that keeps everything in memory, and the gateway. Started by `rgw_server`,
which takes about 20 seconds; skipped where `radosgw`, `ceph-mon`, `ceph-osd` or
`ceph-common` is not installed.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_stores import ACCESS, BUCKET, SECRET

from tests.real_servers import free_port

NEEDED = ("ceph-mon", "ceph-osd", "ceph", "radosgw", "radosgw-admin", "monmaptool")
PATIENCE_S = 120

CONFIG = """
[global]
fsid={fsid}
mon_host=[v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]
mon_initial_members=a
public_addr=127.0.0.1
cluster_addr=127.0.0.1
auth_cluster_required=none
auth_service_required=none
auth_client_required=none
auth_allow_insecure_global_id_reclaim=true
osd_pool_default_size=1
osd_pool_default_min_size=1
osd_pool_default_pg_num=1
osd_pool_default_pgp_num=1
osd_crush_chooseleaf_type=0
mon_allow_pool_size_one=true
mon_warn_on_pool_no_redundancy=false
osd_objectstore=memstore
memstore_device_bytes=1073741824
run_dir={folder}
admin_socket={folder}/$name.asok
log_file={folder}/$name.log
osd_data={folder}/osd.$id
mon_data={folder}/mon.$id
keyring={folder}/keyring
ms_bind_ipv6=false
[client.admin]
# without authentication the default, `secure`, waits for ever
ms_mon_client_mode=crc
rgw_frontends=beast endpoint=127.0.0.1:{port}
rgw_run_sync_thread=false
rgw_enable_ops_log=false
rgw_enable_usage_log=false
rgw_dynamic_resharding=false
"""


@contextlib.contextmanager
def rgw_server() -> Iterator[str]:
    """A gateway with a bucket in it. Gives its endpoint."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"Ceph is not installed: {', '.join(missing)}")
    # short, as the names of its sockets are
    folder = Path(tempfile.mkdtemp(prefix="rgw"))
    running: list[subprocess.Popen[bytes]] = []
    try:
        port = _start(folder, running)
        endpoint = f"http://127.0.0.1:{port}"
        _wait_for(endpoint, running)
        _make_bucket(endpoint)
        yield endpoint
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, running: list[subprocess.Popen[bytes]]) -> int:
    mon2, mon1, port = (free_port() for _ in range(3))
    fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
    config = folder / "ceph.conf"
    config.write_text(CONFIG.format(fsid=fsid, mon1=mon1, mon2=mon2, folder=folder, port=port))
    base = ["-c", str(config)]
    rgw = [*base, "--name", "client.admin", "--no-mon-config"]
    keyring, monmap = str(folder / "keyring"), str(folder / "monmap")

    def run(*argv: str) -> None:
        done = subprocess.run(argv, cwd=folder, capture_output=True, timeout=PATIENCE_S)
        assert done.returncode == 0, (argv, done.stderr.decode(errors="replace")[-2000:])

    def serve(*argv: str) -> None:
        with open(folder / "out", "ab") as out:
            running.append(subprocess.Popen(argv, cwd=folder, stdout=out, stderr=out))

    run(
        "ceph-authtool",
        "--create-keyring",
        keyring,
        "--gen-key",
        "-n",
        "mon.",
        "--cap",
        "mon",
        "allow *",
    )
    caps = [word for of in ("mon", "osd", "mgr") for word in ("--cap", of, "allow *")]
    run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *caps)
    where = f"[v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]"
    run("monmaptool", "--create", "--addv", "a", where, "--fsid", fsid, monmap)
    run("ceph-mon", *base, "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)
    serve("ceph-mon", *base, "-f", "-i", "a")
    run("ceph", *base, "osd", "new", osd, "0")
    (folder / "osd.0").mkdir()
    run("ceph-osd", *base, "-i", "0", "--mkfs", "--osd-uuid", osd)
    serve("ceph-osd", *base, "-f", "-i", "0")
    user = ["user", "create", "--uid=t", "--display-name=t"]
    run("radosgw-admin", *rgw, *user, f"--access-key={ACCESS}", f"--secret-key={SECRET}")
    serve("radosgw", *rgw, "-f")
    return port


def _wait_for(endpoint: str, running: list[subprocess.Popen[bytes]]) -> None:
    gives_up_at = time.monotonic() + PATIENCE_S
    while True:
        assert all(process.poll() is None for process in running)
        try:
            with urllib.request.urlopen(endpoint, timeout=60):
                return
        except OSError:
            assert time.monotonic() < gives_up_at
            time.sleep(0.1)


def _make_bucket(endpoint: str) -> None:
    boto3 = pytest.importorskip("boto3")
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
    )
    client.create_bucket(Bucket=BUCKET)
