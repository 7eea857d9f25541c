"""TLS: what is spoken over it, which certificates are refused, and how new ones are taken."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from security_servers import application

from cachestorm.errors import ConfigError
from cachestorm_server.app import Application
from cachestorm_server.config import load

Files = tuple[str, str]


def tls(files: Files, **more: object) -> dict[str, object]:
    """The settings of a server with these files."""
    named = {f"tls.{name}": value for name, value in more.items()}
    return {"tls.port": free(), "tls.cert_file": files[0], "tls.key_file": files[1]} | named


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(files: Files, **more: object) -> Iterator[Application]:
    with application(tls(files, **more)) as server:
        yield server


def client(server: Application, ca_file: str, **more: object) -> redis.Redis:
    given: dict[str, object] = {"host": "localhost", **more}
    return redis.Redis(
        port=server.resp.settings.tls_port,
        ssl=True,
        ssl_ca_certs=ca_file,
        retry=Retry(NoBackoff(), 0),
        **given,  # type: ignore[arg-type]
    )


def test_redis_py_speaks_tls(papers, server_files) -> None:
    with serving(server_files) as server, client(server, papers.ca_file) as asked:
        assert asked.set("k", "v" * 1_000_000) is True
        assert asked.get("k") == b"v" * 1_000_000
        with asked.pipeline(transaction=True) as pipeline:
            assert pipeline.incr("n").incr("n").execute() == [1, 2]


def test_the_port_without_tls_stays(papers, server_files) -> None:
    with serving(server_files) as server, client(server, papers.ca_file) as asked:
        asked.set("k", "v")
        with redis.Redis(port=server.resp.port) as plain:
            assert plain.get("k") == b"v"
            told = plain.config_get("tls-*")
            assert (
                told
                | {
                    "tls-auth-clients": "no",
                    "tls-ca-cert-file": "",
                    "tls-cert-file": server_files[0],
                    "tls-cluster": "no",
                    "tls-key-file": server_files[1],
                    "tls-port": str(server.resp.settings.tls_port),
                    "tls-replication": "no",
                }
                == told
            )


def test_redis_cli_speaks_tls_and_shows_a_certificate_of_its_own(
    papers, server_files, client_files
) -> None:
    binary = shutil.which("redis-cli")
    if binary is None:
        pytest.skip("redis-cli is not installed")
    wanted = {"client_auth": "required", "ca_file": papers.ca_file}
    with serving(server_files, **wanted) as server:
        port = str(server.resp.settings.tls_port)
        argv = [binary, "-h", "localhost", "-p", port, "--tls", "--cacert", papers.ca_file]
        shown = ["--cert", client_files[0], "--key", client_files[1]]
        done = subprocess.run([*argv, *shown, "PING"], capture_output=True, timeout=30)
        assert (done.stdout, done.stderr) == (b"PONG\n", b"")
        anonymous = subprocess.run([*argv, "PING"], capture_output=True, timeout=30)
        assert b"PONG" not in anonymous.stdout
        piped = subprocess.run(
            [*argv, *shown, "--pipe"], input=b"SET a 1\r\n" * 1000, capture_output=True
        )
        assert b"errors: 0, replies: 1000" in piped.stdout


def test_a_client_without_a_certificate_is_refused_where_one_is_required(
    papers, server_files, client_files
) -> None:
    wanted = {"client_auth": "required", "ca_file": papers.ca_file}
    with serving(server_files, **wanted) as server:
        with client(server, papers.ca_file) as asked, pytest.raises(redis.ConnectionError):
            asked.ping()
        cert, key = client_files
        with client(server, papers.ca_file, ssl_certfile=cert, ssl_keyfile=key) as asked:
            assert asked.ping() is True


def test_a_certificate_of_a_stranger_is_refused_also_where_none_is_required(
    papers, server_files, tmp_path
) -> None:
    import trustme

    made = trustme.CA().issue_cert("localhost")
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    made.cert_chain_pems[0].write_to_path(str(cert))
    made.private_key_pem.write_to_path(str(key))
    wanted = {"client_auth": "optional", "ca_file": papers.ca_file}
    with serving(server_files, **wanted) as server:
        with client(server, papers.ca_file) as asked:
            assert asked.ping() is True
        shown = {"ssl_certfile": str(cert), "ssl_keyfile": str(key)}
        with (
            client(server, papers.ca_file, **shown) as asked,
            pytest.raises(redis.ConnectionError),
        ):
            asked.ping()


def test_http_speaks_tls_where_it_is_told_to(papers, server_files) -> None:
    trusted = ssl.create_default_context(cafile=papers.ca_file)
    with serving(server_files, http=True) as server:
        assert server.http is not None
        url = f"https://localhost:{server.http.port}/health"
        with urllib.request.urlopen(url, context=trusted) as answer:
            assert answer.status == 200
        with pytest.raises((urllib.error.URLError, http.client.RemoteDisconnected)):
            urllib.request.urlopen(url.replace("https", "http"), timeout=60)
        assert "HTTPS on" in server.banner()


@pytest.mark.skipif(sys.platform != "linux", reason="one loopback address elsewhere")
def test_tls_listens_on_addresses_of_its_own(server_files, papers) -> None:
    with serving(server_files, bind="127.0.0.2") as server:
        settings = server.resp.settings
        with client(
            server, papers.ca_file, host="127.0.0.2", ssl_check_hostname=False
        ) as there:
            assert there.ping()
        for address in (("127.0.0.1", settings.tls_port), ("127.0.0.2", settings.port)):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address).close()
        assert f"RESP over TLS on 127.0.0.2 port {settings.tls_port}" in server.banner()


@pytest.mark.parametrize(("bind", "is_open"), [("127.0.0.2", False), ("0.0.0.0", True)])
def test_a_server_that_all_reach_over_tls_alone_is_open_to_all(
    server_files, bind: str, is_open: bool
) -> None:
    given = tls(server_files, bind=bind) | {"server.protected_mode": False}
    config = load(None, {}, {name: ("test", value) for name, value in given.items()})
    assert Application(config).is_open_to_all() == is_open


def serial_of(port: int, ca_file: str) -> str:
    context = ssl.create_default_context(cafile=ca_file)
    with (
        socket.create_connection(("localhost", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return str((connection.getpeercert() or {})["serialNumber"])


def test_reloaded_certificates_are_for_new_connections_and_old_ones_go_on(papers) -> None:
    files = papers.issue("renewed")
    with serving(files) as server, client(server, papers.ca_file) as before:
        port = server.resp.settings.tls_port
        before.set("k", "v")
        first = serial_of(port, papers.ca_file)
        papers.issue("renewed")
        assert serial_of(port, papers.ca_file) == first
        server.reload(server.config)
        assert serial_of(port, papers.ca_file) != first
        assert before.get("k") == b"v"


def test_certificates_that_are_refused_leave_the_old_ones_in_use(papers) -> None:
    files = papers.issue("broken")
    with serving(files) as server:
        port = server.resp.settings.tls_port
        first = serial_of(port, papers.ca_file)
        Path(files[1]).write_text("nonsense")
        with pytest.raises(ConfigError, match=r"tls\.key_file: .* holds no key in PEM"):
            server.reload(server.config)
        assert serial_of(port, papers.ca_file) == first


def refusal(given: dict[str, object]) -> str:
    with pytest.raises(ConfigError) as refused:
        load(None, {}, {name: ("test", value) for name, value in given.items()})
    return str(refused.value)


def test_an_expired_certificate_is_refused(expired_files) -> None:
    text = refusal(tls(expired_files))
    assert f"tls.cert_file: {expired_files[0]!r} is refused: certificate has expired" in text


def test_a_certificate_with_the_key_of_another_is_refused(server_files, client_files) -> None:
    cert, key = server_files[0], client_files[1]
    assert f"tls.key_file: {key!r} is not the key of {cert!r}" in refusal(tls((cert, key)))


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(
    server_files, tmp_path
) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(Path(server_files[1]).read_bytes(), None)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    text = refusal(tls((server_files[0], str(encrypted))))
    assert "tls.key_file: is encrypted: give a key without a password" in text


def test_all_that_is_wrong_with_tls_is_said_at_once(tmp_path, server_files) -> None:
    missing = str(tmp_path / "none.pem")
    text = refusal({"tls.port": 7, "tls.cert_file": missing, "tls.client_auth": "required"})
    assert f"tls.cert_file: {missing!r} cannot be read: No such file or directory" in text
    assert "tls.key_file: is missing: TLS needs the key of the certificate" in text
    assert "tls.ca_file: is missing: client_auth required needs to know" in text
    taken = tls(server_files) | {"tls.port": 7000, "server.port": 7000}
    assert "tls.port: 7000 is taken by server.port" in refusal(taken)


def test_a_taken_port_is_said_and_leaves_nothing_open(server_files) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        given = tls(server_files) | {"tls.port": port}
        with (
            pytest.raises(
                Exception, match=rf"cannot listen for RESP on .* {port} \(tls.port\)"
            ),
            application(given),
        ):
            raise AssertionError("it listens")


def test_what_is_no_handshake_harms_nobody_else(papers, server_files) -> None:
    with serving(server_files) as server:
        port = server.resp.settings.tls_port
        for said in (b"PING\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b""):
            with socket.create_connection(("127.0.0.1", port)) as rude:
                rude.sendall(said)
                rude.shutdown(socket.SHUT_WR)
                rude.settimeout(60)
                answer = rude.recv(1000)
                assert answer == b"" or answer[:1] == b"\x15"
        with client(server, papers.ca_file) as asked:
            assert asked.ping() is True


def test_blocking_commands_and_messages_come_over_tls(papers, server_files) -> None:
    async def main(server: Application) -> tuple[object, object]:
        url = f"rediss://localhost:{server.resp.settings.tls_port}"
        one = redis.asyncio.from_url(url, ssl_ca_certs=papers.ca_file)
        other = redis.asyncio.from_url(url, ssl_ca_certs=papers.ca_file)
        async with one, other, other.pubsub() as heard:
            await heard.subscribe("c")
            assert (await heard.get_message(timeout=60))["type"] == "subscribe"
            waiting = asyncio.create_task(one.blpop(["q"], timeout=60))
            while (await other.info("clients"))["blocked_clients"] != 1:
                await asyncio.sleep(0)
            await other.rpush("q", "x")
            await other.publish("c", "m")
            return await waiting, (await heard.get_message(timeout=60))["data"]

    with serving(server_files) as server:
        assert asyncio.run(main(server)) == ((b"q", b"x"), b"m")


def test_who_speaks_tls_waits_while_a_script_keeps_the_server(papers, server_files) -> None:
    with serving(server_files) as server, client(server, papers.ca_file) as asked:
        settings = server.resp.settings
        assert asked.ping()
        with redis.Redis(port=settings.port) as plain, ThreadPoolExecutor(3) as pool:
            plain.config_set("busy-reply-threshold", 10)
            running = pool.submit(redis.Redis(port=settings.port).eval, "while true do end", 0)
            while True:
                try:
                    plain.ping()
                except redis.exceptions.BusyLoadingError:
                    break
                except redis.ResponseError as error:
                    assert str(error).startswith("BUSY")
                    break
            # one that is there, and one that comes
            waiting = pool.submit(asked.echo, "there")
            coming = pool.submit(lambda: client(server, papers.ca_file).echo("came"))
            # the script goes on for a while, as whoever is answered is told to wait
            with pytest.raises(redis.ResponseError):
                plain.get("k")
            plain.execute_command("SCRIPT", "KILL")
            with pytest.raises(redis.ResponseError, match="killed"):
                running.result(20)
            assert (waiting.result(20), coming.result(20)) == (b"there", b"came")
