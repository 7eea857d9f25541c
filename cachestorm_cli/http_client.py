"""The client over HTTP: `POST /v1/commands` of a CacheStorm server.

Made by `connecting`. Where a firewall or a proxy lets nothing but HTTP through, the command
line works as over RESP, but for commands that belong to a connection.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Sequence
from typing import Final

from cachestorm.declare.wire_values import Pairs
from cachestorm_cli.addresses import Address
from cachestorm_cli.client import CONNECT_WITHIN_S, ConnectError, ServerError

_PATH: Final = "/v1/commands"
_MOST_AT_ONCE: Final = 10_000


class HttpClient:
    """One connection by HTTP; made on the first request, and again when it was lost."""

    def __init__(self, address: Address) -> None:
        self.address: Final = address
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, argv: Sequence[bytes]) -> object:
        """Sends a command. Returns its reply, a `ServerError` among the possible ones.

        Raises:
            ConnectError: when there is no server, or what answers is none of ours.
        """
        return _reply(self._post({"command": [_json_of(arg) for arg in argv]}))

    def ask_many(self, commands: Sequence[Sequence[bytes]]) -> list[object]:
        """Sends commands at once. Returns their replies, errors among them.

        Raises:
            ConnectError: when there is no server, or what answers is none of ours.
        """
        replies: list[object] = []
        for first in range(0, len(commands), _MOST_AT_ONCE):
            page = commands[first : first + _MOST_AT_ONCE]
            answers = self._post([{"command": [_json_of(a) for a in argv]} for argv in page])
            if not isinstance(answers, list):
                refusal = _reply(answers)
                return [*replies, *[refusal] * (len(commands) - first)]
            replies.extend(_reply(answer) for answer in answers)
        return replies

    def close(self) -> None:
        """Disconnects."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, document: object) -> object:
        address = self.address
        headers = {"Content-Type": "application/json"}
        if address.password:
            headers["Authorization"] = f"Bearer {address.password}"
        if address.namespace:
            headers["X-CacheStorm-Namespace"] = address.namespace
        body = json.dumps(document).encode()
        try:
            if self._connection is None:
                self._connection = self._opened()
            self._connection.request("POST", _PATH, body, headers)
            with self._connection.getresponse() as response:
                raw = response.read()
                status = response.status
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = getattr(error, "strerror", None) or str(error) or "it disconnected"
            if isinstance(error, http.client.RemoteDisconnected):
                reason += "; is that the port of RESP? Then use redis://"
            raise ConnectError(f"{address.shown}: {reason}") from error
        try:
            return json.loads(raw)
        except ValueError as error:
            raise ConnectError(
                f"{address.shown}: what answers with status {status} is no CacheStorm server"
            ) from error

    def _opened(self) -> http.client.HTTPConnection:
        address = self.address
        place = (address.host, address.port)
        if address.scheme == "https":
            from cachestorm_cli.tls import context_for

            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                *place, timeout=CONNECT_WITHIN_S, context=context_for(address)
            )
        else:
            connection = http.client.HTTPConnection(*place, timeout=CONNECT_WITHIN_S)
        connection.connect()
        # a command may take longer than a connection
        connection.sock.settimeout(None)
        return connection


def _json_of(arg: bytes) -> object:
    try:
        return arg.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(arg).decode()}


def _reply(answer: object) -> object:
    """A document of the server as a wire value."""
    if not isinstance(answer, dict):
        return ServerError("ERR the server's answer is no object")
    if "result" in answer:
        return _value(answer["result"])
    error = answer.get("error")
    if isinstance(error, dict):
        return ServerError(f"{error.get('code', 'ERR')} {error.get('message', '')}")
    # a problem document of RFC 9457
    text = answer.get("detail") or answer.get("title") or "the server refuses"
    return ServerError(f"{answer.get('code', 'ERR')} {text}")


def _value(item: object) -> object:
    if isinstance(item, str):
        return item.encode("utf-8", "surrogateescape")
    if isinstance(item, list):
        return [_value(each) for each in item]
    if isinstance(item, dict):
        if item.keys() == {"base64"} and isinstance(item["base64"], str):
            return base64.b64decode(item["base64"])
        if item.keys() == {"error"}:
            return ServerError(str(item["error"]))
        return Pairs([(name.encode(), _value(each)) for name, each in item.items()])
    return item
