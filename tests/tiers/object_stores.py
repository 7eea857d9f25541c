"""Object stores for the tests: what `moto` makes of S3, behind a proxy if need be."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

BUCKET = "cold"
# what moto takes from anybody
ACCESS, SECRET = "testing", "a-secret-that-nobody-is-shown"


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """An S3 of this process, with a bucket in it. Gives its endpoint."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        make_bucket(endpoint)
        yield endpoint
    finally:
        server.stop()


def make_bucket(endpoint: str) -> None:
    request = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
    request.add_header(
        "Authorization",
        f"AWS4-HMAC-SHA256 Credential={ACCESS}/20260101/us-east-1/s3/aws4_request,"
        " SignedHeaders=host, Signature=0",
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def s3(endpoint: str, **settings: Any) -> dict[str, Any]:
    """The settings of a cold tier on an S3."""
    return {
        "url": f"s3://{BUCKET}/cache",
        "endpoint": endpoint,
        "region": "us-east-1",
        "allow_http": True,
        # of a machine that is busy with other things
        "timeout": "30s",
        **settings,
    }


class Proxy:
    """A connection to a server that is slow, drops requests, throttles, or is dead.

    Attributes:
        requests: how many came.
        mode: what happens to the next ones: `pass`, `drop`, `throttle`, or `hang`.
        drops: how many of them are dropped before that.
    """

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("http://").partition(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = 0
        self.mode = "pass"
        self.drops = 0
        self._is_over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # one request each, so that the mode is looked at for every one
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                got = client.recv(1 << 16)
                if not got:
                    return
                head += got
            self.requests += 1
            if self.drops > 0:
                self.drops -= 1
                return
            if self.mode == "drop":
                return
            if self.mode == "hang":
                # whoever asks is told of it when that is over
                while self.mode == "hang" and not self._is_over.wait(0.005):
                    pass
                return
            if self.mode == "throttle":
                client.sendall(
                    b"HTTP/1.1 503 Slow Down\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                )
                return
            lines, _, rest = head.partition(b"\r\n\r\n")
            with socket.create_connection(self._target) as server:
                server.sendall(lines + b"\r\nconnection: close\r\n\r\n" + rest)
                threading.Thread(target=_pump, args=(client, server), daemon=True).start()
                _pump(server, client)

    def close(self) -> None:
        self._is_over.set()
        self._listener.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while got := source.recv(1 << 16):
            target.sendall(got)
