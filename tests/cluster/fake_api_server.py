"""An API server of Kubernetes as far as Lease objects go, in a thread.

It has what kmock's emulator has not: resource versions that are raised with each change, and a
conflict for whoever names another one.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PREFIX = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


class FakeApiServer:
    """A server on a free port, with as many objects as are made."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 100
        self.lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # head and body in one segment: a client would wait for the second one
            wbufsize = 1 << 20

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                with owner.lock:
                    status, answer = owner.answer(self.command, self.path, body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = _serve

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> FakeApiServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, folder: Path) -> str:
        """The path of a file by which clients find it."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        config = {
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            "clusters": [{"name": "fake", "cluster": {"server": url}}],
            "users": [{"name": "fake", "user": {}}],
        }
        path = folder / "kubeconfig"
        path.write_text(json.dumps(config))
        return str(path)

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, object]:
        url = urlsplit(path)
        assert url.path.startswith(PREFIX), path
        name = url.path.removeprefix(PREFIX).strip("/")
        if method == "GET" and not name:
            key, _, value = parse_qs(url.query)["labelSelector"][0].partition("=")
            items = [
                each
                for each in self.objects.values()
                if each["metadata"]["labels"].get(key) == value
            ]
            kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "LeaseList"}
            return 200, {**kind, "metadata": {}, "items": items}
        if method == "POST":
            assert body is not None
            if body["metadata"]["name"] in self.objects:
                return _failure(409, "AlreadyExists")
            return 201, self._kept(body)
        known = self.objects.get(name)
        if known is None:
            return _failure(404, "NotFound")
        if method == "PUT":
            assert body is not None
            if body["metadata"]["resourceVersion"] != known["metadata"]["resourceVersion"]:
                return _failure(409, "Conflict")
            return 200, self._kept(body)
        return 200, known

    def _kept(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.objects[body["metadata"]["name"]] = body
        return body


def _failure(code: int, reason: str) -> tuple[int, object]:
    kind = {"apiVersion": "v1", "kind": "Status", "status": "Failure"}
    return code, {**kind, "code": code, "reason": reason, "message": reason}
