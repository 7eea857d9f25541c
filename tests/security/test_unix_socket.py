"""The socket of Unix: who may open it, and what it replaces."""

from __future__ import annotations

import os
import socket
import stat

import pytest
import redis
from security_servers import application

from cachestorm.errors import ConfigError
from cachestorm_server.described import ServeError

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no such sockets here")


def test_it_has_its_permissions_and_serves_the_same_cache(tmp_path) -> None:
    path = str(tmp_path / "s.sock")
    given = {"server.unixsocket": path, "server.unixsocketperm": "0750"}
    with application(given) as server:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o750
        with (
            redis.Redis(unix_socket_path=path) as near,
            redis.Redis(port=server.resp.port) as far,
        ):
            far.set("k", "v")
            assert near.get("k") == b"v"
            assert near.client_info()["addr"] == f"{path}:0"
            assert near.config_get("unixsocket*") == {
                "unixsocket": path,
                "unixsocketperm": "750",
            }
    assert not os.path.exists(path)


def test_only_its_owner_may_open_it_unless_told_otherwise(tmp_path) -> None:
    path = str(tmp_path / "s.sock")
    with application({"server.unixsocket": path}):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700


def test_one_that_was_left_behind_is_replaced(tmp_path) -> None:
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    with application({"server.unixsocket": path}), redis.Redis(unix_socket_path=path) as asked:
        assert asked.ping() is True


def test_one_that_somebody_listens_on_is_not_touched(tmp_path) -> None:
    path = str(tmp_path / "s.sock")
    with application({"server.unixsocket": path}):
        with (
            pytest.raises(ServeError, match=r"s\.sock: Address already in use"),
            application({"server.unixsocket": path}),
        ):
            raise AssertionError("it listens")
        with redis.Redis(unix_socket_path=path) as asked:
            assert asked.ping() is True


def test_a_file_that_is_no_socket_is_not_touched(tmp_path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with (
        pytest.raises(ServeError, match="precious: File exists"),
        application({"server.unixsocket": str(path)}),
    ):
        raise AssertionError("it listens")
    assert path.read_text() == "data"


@pytest.mark.parametrize("mode", [700, "9", "rwx", "01000", ""])
def test_permissions_are_digits_of_chmod_in_quotes(mode: object) -> None:
    with (
        pytest.raises(ConfigError, match="permissions as chmod takes them, in quotes: '0700'"),
        application({"server.unixsocketperm": mode}),
    ):
        raise AssertionError("it serves")
