"""The records of a cluster in etcd.

Made by the joining; called by the governing, in a thread. It speaks to etcd's JSON gateway by
etcd3gw. Reads are linearizable, and a record's version is the revision of its last change.

Source: https://etcd.io/docs/v3.5/learning/api/
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Final, TypeVar, cast
from urllib.parse import urlsplit

from etcd3gw.client import Etcd3Client
from etcd3gw.exceptions import ConnectionFailedError, Etcd3Exception

from cachestorm_server.cluster.records import ABSENT, Record, StoreError

_T = TypeVar("_T")


def _coded(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


class EtcdStore:
    """Records under a prefix.

    Args:
        endpoints: URLs of members; the one that answered last is asked first.
        timeout_s: for one answer.
        ca_file, cert_file, key_file: for TLS; empty for what the system trusts, and none.
        user, password: empty where etcd asks for none.
    """

    def __init__(
        self,
        endpoints: tuple[str, ...],
        prefix: str,
        timeout_s: float,
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
        user: str = "",
        password: str = "",
    ) -> None:
        self._prefix: Final = prefix.strip("/") + "/"
        self._user: Final = user
        self._password: Final = password
        self._clients: Final[list[Etcd3Client]] = []
        for endpoint in endpoints:
            url = urlsplit(endpoint)
            self._clients.append(
                Etcd3Client(
                    host=url.hostname or "",
                    port=url.port or 2379,
                    protocol=url.scheme,
                    ca_cert=ca_file or None,
                    cert_cert=cert_file or None,
                    cert_key=key_file or None,
                    timeout=timeout_s,
                    api_path="/v3/",
                )
            )

    def look(self) -> dict[str, Record]:
        def ask(client: Etcd3Client) -> dict[str, Record]:
            return {
                about["key"].decode().removeprefix(self._prefix): Record(
                    str(about["mod_revision"]), value
                )
                for value, about in client.get_prefix(self._prefix)
            }

        return self._asked(ask)

    def put(self, name: str, value: bytes, version: str) -> str:
        request = {"request_put": {"key": _coded(self._prefix + name), "value": _coded(value)}}
        return self._changed(name, version, request)

    def remove(self, name: str, version: str) -> bool:
        request = {"request_delete_range": {"key": _coded(self._prefix + name)}}
        return self._changed(name, version, request) != ABSENT

    def close(self) -> None:
        for client in self._clients:
            client.session.close()

    def _changed(self, name: str, version: str, request: Mapping[str, object]) -> str:
        """Does it if the record has this version. Returns the revision, or ABSENT."""
        compare = {
            "key": _coded(self._prefix + name),
            "target": "MOD",
            "result": "EQUAL",
            "mod_revision": version or "0",
        }

        def ask(client: Etcd3Client) -> str:
            answer = client.transaction({"compare": [compare], "success": [request]})
            return answer["header"]["revision"] if answer.get("succeeded") else ABSENT

        return str(self._asked(ask))

    def _asked(self, ask: Callable[[Etcd3Client], _T]) -> _T:
        """What a member answers; another one is asked only if one cannot have heard of it."""
        for _ in range(len(self._clients)):
            client = self._clients[0]
            try:
                return self._authenticated(client, ask)
            except (Etcd3Exception, OSError, ValueError, KeyError) as error:
                self._clients.append(self._clients.pop(0))
                problem = error
                if not isinstance(error, ConnectionFailedError):
                    break
        detail = getattr(problem, "detail_text", None) or problem
        raise StoreError(f"no answer of {client.base_url}: {detail}") from problem

    def _authenticated(self, client: Etcd3Client, ask: Callable[[Etcd3Client], _T]) -> _T:
        if not self._user:
            return ask(client)
        if "Authorization" not in client.session.headers:
            self._log_in(client)
        try:
            return ask(client)
        except Etcd3Exception as error:
            if isinstance(error, ConnectionFailedError) or "token" not in str(
                getattr(error, "detail_text", "")
            ):
                raise
            # it has expired, and nothing was done
            self._log_in(client)
            return ask(client)

    def _log_in(self, client: Etcd3Client) -> None:
        client.session.headers.pop("Authorization", None)
        answer = client.post(
            client.get_url("/auth/authenticate"),
            json={"name": self._user, "password": self._password},
        )
        client.session.headers["Authorization"] = cast(str, answer["token"])
