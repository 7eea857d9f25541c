"""The commands of the command line, declared to Typer.

Called by `app`. A flag of `serve` is one row: its text goes to the configuration unread, so
that all that is wrong is said at once, with the same messages for flags and file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final

import typer

from cachestorm_cli import config_commands, operator_commands, options, plugin_commands, tools
from cachestorm_cli.groups import make_late

app = typer.Typer(
    name="cachestorm",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(config_commands.app)
app.add_typer(plugin_commands.app)
app.add_typer(operator_commands.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from cachestorm_cli.version import version_line

        print(version_line())
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """A cache with tags, for every Redis client.

    Besides the tools below, every command of the server is a subcommand: 'cachestorm get KEY',
    'cachestorm settag KEY VALUE TAG', 'cachestorm get --help'.
    """


Text = str | None
_MEMORY = "Memory limit of the whole cache, such as 256mb or 2gb; 0: none."


def _by_default(value: str, help: str) -> str:
    # the configuration's own default, whose import would slow --help; a test compares them
    return f"{help}  [default: {value}]"


# Of each flag of `serve`: the setting, and what a refusal calls it.
SETTINGS: Final = {
    "bind": ("server.bind", "--bind"),
    "port": ("server.port", "--port"),
    "unixsocket": ("server.unixsocket", "--unixsocket"),
    "unixsocketperm": ("server.unixsocketperm", "--unixsocketperm"),
    "tls_port": ("tls.port", "--tls-port"),
    "tls_cert_file": ("tls.cert_file", "--tls-cert-file"),
    "tls_key_file": ("tls.key_file", "--tls-key-file"),
    "tls_ca_cert_file": ("tls.ca_file", "--tls-ca-cert-file"),
    "tls_auth_clients": ("tls.client_auth", "--tls-auth-clients"),
    "tls_http": ("tls.http", "--tls-http"),
    "aclfile": ("acl.file", "--aclfile"),
    "max_connections": ("server.max_connections", "--max-connections"),
    "protected_mode": ("server.protected_mode", "--protected-mode"),
    "http_port": ("http.port", "--http-port"),
    "http": ("http.enabled", "--http"),
    "max_memory": ("memory.max_memory", "--max-memory"),
    "max_entries": ("memory.max_entries", "--max-entries"),
    "policy": ("memory.eviction_policy", "--policy"),
    "data_dir": ("persistence.data_dir", "--data-dir"),
    "aof_sync": ("persistence.aof_sync", "--aof-sync"),
    "cluster": ("cluster.enabled", "--cluster"),
    "cluster_port": ("cluster.bind_port", "--cluster-port"),
    "seeds": ("cluster.seeds", "--seeds"),
    "node_name": ("cluster.node_name", "--node-name"),
    "replica_of": ("replication.replica_of", "--replica-of"),
    "log_level": ("logging.level", "--log-level"),
    "log_format": ("logging.format", "--log-format"),
    "log_output": ("logging.output", "--log-output"),
}


def flags_given(params: Mapping[str, object]) -> dict[str, tuple[str, object]]:
    """What the flags of `serve` set, as the configuration takes it."""
    given = {
        setting: (flag, params[name])
        for name, (setting, flag) in SETTINGS.items()
        if params[name] is not None
    }
    if params["data_dir"] is not None:
        given["persistence.enabled"] = ("--data-dir", True)
    return given


@app.command()
def serve(
    context: typer.Context,
    config: Annotated[
        Text, typer.Option("--config", metavar="FILE", help="Configuration file, in YAML.")
    ] = None,
    bind: Annotated[
        Text,
        typer.Option(
            "--bind",
            metavar="HOSTS",
            help=_by_default("127.0.0.1", "Addresses to listen on, comma-separated."),
        ),
    ] = None,
    port: Annotated[
        Text, typer.Option("--port", metavar="PORT", help=_by_default("6380", "RESP port."))
    ] = None,
    unixsocket: Annotated[
        Text,
        typer.Option("--unixsocket", metavar="PATH", help="Socket of Unix to listen on too."),
    ] = None,
    unixsocketperm: Annotated[
        Text,
        typer.Option(
            "--unixsocketperm", metavar="MODE", help=_by_default("0700", "Its permissions.")
        ),
    ] = None,
    tls_port: Annotated[
        Text,
        typer.Option(
            "--tls-port", metavar="PORT", help=_by_default("0", "RESP over TLS; 0: none.")
        ),
    ] = None,
    tls_cert_file: Annotated[
        Text, typer.Option("--tls-cert-file", metavar="FILE", help="Certificate, in PEM.")
    ] = None,
    tls_key_file: Annotated[
        Text, typer.Option("--tls-key-file", metavar="FILE", help="Its key, in PEM.")
    ] = None,
    tls_ca_cert_file: Annotated[
        Text,
        typer.Option(
            "--tls-ca-cert-file", metavar="FILE", help="Who signs certificates of clients."
        ),
    ] = None,
    tls_auth_clients: Annotated[
        Text,
        typer.Option(
            "--tls-auth-clients",
            metavar="WHEN",
            help=_by_default("none", "none, optional or required: certificates of clients."),
        ),
    ] = None,
    tls_http: Annotated[
        bool | None,
        typer.Option(
            "--tls-http/--no-tls-http", help=_by_default("--no-tls-http", "Speak HTTPS.")
        ),
    ] = None,
    aclfile: Annotated[
        Text, typer.Option("--aclfile", metavar="FILE", help="Users, as lines of ACL LIST.")
    ] = None,
    http_port: Annotated[
        Text,
        typer.Option(
            "--http-port",
            "--metrics-port",
            metavar="PORT",
            help=_by_default("9090", "HTTP port."),
        ),
    ] = None,
    http: Annotated[
        bool | None,
        typer.Option("--http/--no-http", help=_by_default("--http", "Open the HTTP endpoint.")),
    ] = None,
    max_memory: Annotated[
        Text,
        typer.Option(
            "--max-memory", "--maxmemory", metavar="SIZE", help=_by_default("0", _MEMORY)
        ),
    ] = None,
    max_entries: Annotated[
        Text,
        typer.Option(
            "--max-entries", metavar="N", help=_by_default("0", "Most keys; 0: no limit.")
        ),
    ] = None,
    policy: Annotated[
        Text,
        typer.Option(
            "--policy",
            "--eviction-policy",
            metavar="NAME",
            help=_by_default("adaptive", "Eviction policy at a limit."),
        ),
    ] = None,
    max_connections: Annotated[
        Text,
        typer.Option(
            "--max-connections",
            metavar="N",
            help=_by_default("10000", "Most RESP clients at a time."),
        ),
    ] = None,
    protected_mode: Annotated[
        bool | None,
        typer.Option(
            "--protected-mode/--no-protected-mode",
            help=_by_default(
                "--protected-mode", "Without a password, admit only clients of this host."
            ),
        ),
    ] = None,
    data_dir: Annotated[
        Text,
        typer.Option(
            "--data-dir",
            metavar="DIR",
            help="Keep the cache in this directory, so that it survives a restart.",
        ),
    ] = None,
    aof_sync: Annotated[
        Text,
        typer.Option(
            "--aof-sync",
            metavar="WHEN",
            help=_by_default("everysec", "always, everysec or no: when writes reach the disk."),
        ),
    ] = None,
    cluster: Annotated[
        bool | None,
        typer.Option(
            "--cluster/--no-cluster",
            help=_by_default("--no-cluster", "Be a node of a cluster."),
        ),
    ] = None,
    cluster_port: Annotated[
        Text,
        typer.Option(
            "--cluster-port",
            metavar="PORT",
            help=_by_default("7946", "Where other nodes come in."),
        ),
    ] = None,
    seeds: Annotated[
        Text,
        typer.Option(
            "--seeds",
            metavar="HOST:PORT,...",
            help="Nodes of the cluster to join, by their cluster ports.",
        ),
    ] = None,
    node_name: Annotated[
        Text, typer.Option("--node-name", metavar="NAME", help="What people call this node.")
    ] = None,
    import_file: Annotated[
        Text,
        typer.Option(
            "--import",
            metavar="FILE",
            help="Begin with a snapshot, or a file of Redis (RDB, AOF), where nothing is kept.",
        ),
    ] = None,
    replica_of: Annotated[
        Text,
        typer.Option(
            "--replica-of",
            "--replicaof",
            metavar="HOST:PORT",
            help="Follow another server: a copy that is kept up to date, for reads.",
        ),
    ] = None,
    log_level: Annotated[
        Text,
        typer.Option(
            "--log-level",
            "--loglevel",
            metavar="LEVEL",
            help=_by_default("info", "debug, info, warn or error."),
        ),
    ] = None,
    log_format: Annotated[
        Text,
        typer.Option(
            "--log-format",
            "--logformat",
            metavar="FORMAT",
            help=_by_default("console", "console or json."),
        ),
    ] = None,
    log_output: Annotated[
        Text,
        typer.Option(
            "--log-output",
            metavar="PATH",
            help=_by_default("stdout", "stdout, stderr or a file."),
        ),
    ] = None,
) -> None:
    """Start the server: RESP on port 6380, HTTP on port 9090.

    Flags take precedence over the environment (CACHESTORM_PORT and so on), and the environment
    over the file. Set a password in the file or by CACHESTORM_AUTH_PASSWORD, where no other
    user can see it.
    """
    from cachestorm_server.config import load
    from cachestorm_server.running import serve as serve_until_stopped

    given = flags_given(context.params)
    again = partial(load, config, flags=given)
    serve_until_stopped(load(config, flags=given), again, import_file or "")


@app.command()
def check(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Data directory or snapshot.")],
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Cut off what is damaged, and all behind it; keep a copy."
        ),
    ] = False,
) -> None:
    """Check the files of a data directory that no server has open, or a snapshot."""
    from cachestorm.durability.check import check as check_files

    lines, is_sound = check_files(path, repair)
    for line in lines:
        print(line)
    raise typer.Exit(0 if is_sound else 1)


@app.command(context_settings={"allow_interspersed_args": False})
def cli(
    argv: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND [ARG]...", show_default=False)
    ] = None,
    url: options.Url = None,
    host: Annotated[Text, typer.Option("-h", "--host", help="Host of the server.")] = None,
    port: options.Port = None,
    namespace: options.Namespace = None,
    password: options.Password = None,
    resp3: Annotated[bool, typer.Option("-3", help="Speak RESP3.")] = False,
    raw: Annotated[
        bool | None,
        typer.Option("--raw/--no-raw", help="Bare replies; by default when piped."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Replies as JSON, a line each.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    from_stdin: Annotated[
        bool, typer.Option("-x", help="The last argument is the standard input.")
    ] = False,
    pipe: Annotated[
        bool,
        typer.Option("--pipe", help="Send the standard input at full speed, in RESP or lines."),
    ] = False,
) -> None:
    """Send a command to a server, or talk to it.

    Without a command, commands are read from the terminal or from a pipe, a line each. What
    stands here is sent as it is, also where a tool has the same name.
    """
    from cachestorm_cli.printing import CSV, JSON, PEOPLE, RAW
    from cachestorm_cli.terminal import run_cli

    if json + csv + (raw is not None) > 1:
        raise typer.BadParameter("give one of --json, --csv, --raw, --no-raw")
    is_raw = not sys.stdout.isatty() if raw is None else raw
    form = JSON if json else CSV if csv else RAW if is_raw else PEOPLE
    address = options.address(url, host, port, namespace, password)
    words = [os.fsencode(arg) for arg in argv or []]
    raise typer.Exit(run_cli(address, words, form, resp3, from_stdin, pipe))


tools.declare(app)
make_late(app)
