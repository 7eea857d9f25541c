"""The command line as a user starts it: a process, its output and its exit code."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
from processes import COMMAND, Running, environment, run

import cachestorm
from cachestorm_cli.app import main
from cachestorm_server.config_sections import Config


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    running = Running("serve", "--port", "0", "--http-port", "0")
    yield running
    running.end()


def test_version_says_which_build_runs() -> None:
    mode = "compiled" if cachestorm.COMPILED else "pure"
    python = ".".join(map(str, sys.version_info[:3]))
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout == f"cachestorm {cachestorm.__version__} ({mode}, Python {python})\n"


def test_the_package_is_a_program_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cachestorm_cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == run("--version").stdout


def test_version_imports_neither_typer_nor_a_server() -> None:
    code = (
        "import sys; from cachestorm_cli.app import main; main(['--version']); "
        "print({'typer', 'aiohttp', 'asyncio', 'redis', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment()
    )
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of open files")
def test_no_more_clients_are_let_in_than_there_are_descriptors() -> None:
    start = 'ulimit -n 64; exec "$@"'
    argv = ["/bin/sh", "-c", start, "sh", *COMMAND, "serve", "--port", "0", "--http-port", "0"]
    running = Running(command=argv)
    clients = []
    try:
        assert running.cli("CONFIG", "GET", "maxclients").stdout == "maxclients\n24\n"
        refused = running.cli("CONFIG", "SET", "maxclients", "25").stderr
        assert "not able to handle the specified number of clients, try with 24" in refused
        for _ in range(25):
            client = socket.create_connection(("127.0.0.1", int(running.port)))
            client.settimeout(60)
            clients.append(client)
        for client in clients[:24]:
            client.sendall(b"PING\r\n")
            assert client.recv(100) == b"+PONG\r\n"
        assert clients[24].recv(100) == b"-ERR max number of clients reached\r\n"
    finally:
        for client in clients:
            client.close()
        running.end()
    said = "".join(running.lines)
    assert "room for 24 clients instead of 10000 (server.max_connections)" in said
    assert "room for 8 HTTP clients instead of 1000 (http.max_connections)" in said


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of open files")
def test_a_soft_limit_of_open_files_is_raised() -> None:
    code = (
        "import os, resource; from cachestorm_server.descriptors import make_room, run_out; "
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE); "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)); "
        "fit = make_room(100, 50); "
        "print(fit, resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 182, run_out()); "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); "
        "print(make_room(100, 50), make_room(100, 0), make_room(20, 50)); "
        "print([os.dup(0) for _ in range(20)] and run_out());"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (10, 64)); print(run_out())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment()
    )
    assert done.stdout == "(100, 50) True False\n(24, 8) (32, 0) (20, 12)\nFalse\nTrue\n"


def test_help_names_the_commands() -> None:
    done = run("--help")
    assert done.returncode == 0
    listed = re.findall(r"^  (\w+)  ", done.stdout, re.MULTILINE)
    assert listed[:3] == ["serve", "check", "cli"]
    assert {"top", "doctor", "export", "import", "bench"} <= set(listed)


def test_help_imports_nothing_of_the_cache() -> None:
    code = (
        "import sys; from cachestorm_cli.app import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'cachestorm', 'aiohttp', 'asyncio', 'rich', 'prompt_toolkit', 'yaml'}"
        " & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment()
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_help_of_serve_tells_the_defaults() -> None:
    rows = re.split(r"^  (?=--)", run("serve", "--help").stdout, flags=re.MULTILINE)
    config = Config()
    defaults = {
        "--bind": ",".join(config.server.bind),
        "--port": config.server.port,
        "--unixsocketperm": config.server.unixsocketperm,
        "--tls-port": config.tls.port,
        "--tls-auth-clients": config.tls.client_auth,
        "--tls-http": "--no-tls-http",
        "--http-port": config.http.port,
        "--http": "--http",
        "--max-memory": config.memory.max_memory,
        "--max-entries": config.memory.max_entries,
        "--policy": config.memory.eviction_policy,
        "--max-connections": config.server.max_connections,
        "--protected-mode": "--protected-mode",
        "--log-level": config.logging.level,
        "--log-format": config.logging.format,
        "--log-output": config.logging.output,
        "--aof-sync": config.persistence.aof_sync,
        "--cluster-port": config.cluster.bind_port,
    }
    assert config.http.enabled and config.server.protected_mode
    found = {row.split()[0].rstrip(","): re.findall(r"default:\s+(\S+)\]", row) for row in rows}
    found = {flag: values[0] for flag, values in found.items() if values}
    assert {flag: str(value) for flag, value in defaults.items()} == found


def test_serve_opens_both_endpoints_and_says_where(server: Running) -> None:
    assert cachestorm.__version__ in server.lines[-1]
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/health") as answer:
        assert answer.status == 200


def test_the_example_of_the_seeds_works_line_by_line(server: Running) -> None:
    lines = (
        'SETTAG user:1 "John Doe" users profile\n'
        'SETTAG user:2 "Jane" users profile\n'
        'SETTAG product:1 "Widget" products catalog\n'
        "TAGKEYS users\n"
        "INVALIDATE users\n"
        "TAGLINK users admin\n"
        'SETTAG admin:1 "Admin" admin users\n'
        "INVALIDATE users CASCADE\n"
        "EXISTS product:1\n"
    )
    done = server.cli(given=lines)
    assert done.returncode == 0
    expected = "OK OK OK user:1 user:2 2 OK OK 1 1"
    assert expected.split() == done.stdout.split()


def test_cli_prints_for_people_when_asked(server: Running) -> None:
    server.cli("SET", "k", "a b")
    assert server.cli("--no-raw", "GET", "k").stdout == '"a b"\n'
    assert server.cli("--no-raw", "GET", "none").stdout == "(nil)\n"
    assert server.cli("--no-raw", "SET", "k", "-1").stdout == "OK\n"


@pytest.mark.parametrize("argv", [("INFO", "server"), ("client", "list"), ("MEMINFO",)])
def test_cli_prints_lines_as_lines_in_both_protocols(server: Running, argv) -> None:
    for flags in ([], ["-3"]):
        lines = server.cli("--no-raw", *flags, *argv).stdout.splitlines()
        assert '"' not in lines[0]
        assert "\\n" not in "".join(lines)


def test_cli_shows_a_value_of_lines_in_quotes(server: Running) -> None:
    server.cli("SET", "lines", "a\nb")
    assert server.cli("--no-raw", "GET", "lines").stdout == '"a\\nb"\n'


def test_cli_ends_with_an_error_where_the_server_refuses(server: Running) -> None:
    done = server.cli("NOPE")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ERR unknown command 'NOPE'")


def test_cli_goes_to_a_namespace(server: Running) -> None:
    server.cli("-n", "shop", "SET", "only-there", "1")
    assert server.cli("EXISTS", "only-there").stdout == "0\n"
    assert server.cli("-n", "shop", "EXISTS", "only-there").stdout == "1\n"


def test_the_old_way_to_send_a_command_works(server: Running) -> None:
    done = run("-cli", "-h", "127.0.0.1", "-p", server.port, "ECHO", "-addr")
    assert done.stdout == "-addr\n"


@pytest.mark.parametrize("arg", ["quit", "EXIT"])
def test_a_script_ends_where_it_says_so(server: Running, arg: str) -> None:
    done = server.cli(given=f"ECHO one\n{arg}\nECHO two\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\n", "")


def test_cli_without_a_server_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = run("cli", "-p", str(free.getsockname()[1]), "PING")
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_gracefully(number: int) -> None:
    running = Running("serve", "--port", "0", "--no-http")
    assert running.end(number) == 0
    assert "stopped" in running.lines[-1]
    assert "Traceback" not in running.lines[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_signal_ends_gracefully_as_soon_as_the_first_endpoint_answers() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", str(port), "--http-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
    ends_at = time.monotonic() + 30
    while time.monotonic() < ends_at:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "stopped" in output
    assert "Traceback" not in output


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_terminal_that_is_closed_does_not_end_the_server() -> None:
    running = Running("serve", "--port", "0", "--no-http")
    running.process.send_signal(signal.SIGHUP)
    assert running.cli("PING").stdout == "PONG\n"
    assert running.end() == 0
    assert "SIGHUP: reading the configuration again" in "".join(running.lines)


def test_a_password_from_the_environment_is_asked_for() -> None:
    running = Running("serve", "--port", "0", "--no-http", CACHESTORM_AUTH_PASSWORD="sesame")
    try:
        assert running.cli("PING").stderr.startswith("NOAUTH")
        assert running.cli("PING", CACHESTORM_AUTH_PASSWORD="sesame").stdout == "PONG\n"
        assert "WRONGPASS" in running.cli("-a", "guess", "PING").stderr
    finally:
        running.end()


def test_a_password_that_nobody_is_asked_for_is_warned_of() -> None:
    switched_off = {"CACHESTORM_AUTH_PASSWORD": "sesame", "CACHESTORM_AUTH_ENABLED": "false"}
    running = Running("serve", "--port", "0", "--no-http", **switched_off)
    try:
        assert running.cli("PING").stdout == "PONG\n"
    finally:
        running.end()
    assert "nobody is asked" in "".join(running.lines)


def test_a_data_directory_that_is_not_used_is_warned_of(tmp_path) -> None:
    unused = {"CACHESTORM_PERSISTENCE_DATA_DIR": str(tmp_path)}
    running = Running("serve", "--port", "0", "--no-http", **unused)
    try:
        assert running.cli("PING").stdout == "PONG\n"
    finally:
        running.end()
    assert "nothing is kept" in "".join(running.lines)


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port), "--no-http")
    assert done.returncode == 1
    assert re.match(f"cachestorm: cannot listen for RESP on 127.0.0.1 port {port}", done.stderr)
    assert len(done.stderr.splitlines()) == 1


def test_wrong_flags_are_all_listed() -> None:
    done = run("serve", "--port", "x", "--max-memory", "lots", "--policy", "lifo")
    assert done.returncode == 2
    assert "3 settings are refused" in done.stderr
    for flag in ("--port", "--max-memory", "--policy"):
        assert f"\n  {flag}: " in done.stderr


def test_a_node_that_others_reach_needs_a_secret(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CACHESTORM_CLUSTER_BIND_ADDR", "10.0.0.1")
    assert main(["-cluster-enabled", "-data-dir", str(tmp_path)]) == 2
    assert "cluster.secret is needed" in capsys.readouterr().err
