"""The tools of the command line, declared to Typer: what people look at servers with.

Imported by `commands`. A tool imports what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from cachestorm_cli import options
from cachestorm_cli.groups import CommandGroup

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")]
Match = Annotated[
    str | None,
    typer.Option("--match", metavar="PATTERN", help="Only keys of this glob pattern."),
]
Interval = Annotated[
    float,
    typer.Option("-i", "--interval", min=0.01, metavar="SECONDS", help="Between two looks."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="jsonl or msgpack; by default msgpack for names that end in .msgpack.",
    ),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Overwrite keys that are there already.")
]


def declare(app: typer.Typer) -> None:
    """Adds all tools to the command line."""
    for tool in (ping, stats, top, monitor, hotkeys, bigkeys, tagtree, doctor):
        app.command()(tool)
    app.command(name="export")(export_)
    app.command(name="import")(import_)
    app.command()(bench)
    app.command()(man)
    app.add_typer(_latency, name="latency")


def ping(
    count: Annotated[int, typer.Option("--count", min=1, help="How often.")] = 1,
    interval: Interval = 1.0,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    password: options.Password = None,
) -> None:
    """Tell whether a server answers, and how fast; the exit code tells it too."""
    from cachestorm_cli.connecting import client_for
    from cachestorm_cli.probing import ping as ping_server

    client = client_for(options.address(url, host, port, None, password))
    raise typer.Exit(ping_server(client, count, interval))


def stats(
    json: Json = False,
    csv: Csv = False,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    password: options.Password = None,
) -> None:
    """Show what a server is and does: keys, memory, hits, clients, slowest commands."""
    from cachestorm_cli.connecting import resp_client_for
    from cachestorm_cli.output import form_of
    from cachestorm_cli.stats import show_stats

    client = resp_client_for(options.address(url, host, port, None, password), "stats")
    show_stats(client, form_of(json, csv))


def top(
    interval: Interval = 1.0,
    count: Annotated[
        int, typer.Option("--count", min=0, help="Looks until it ends; 0: no end.")
    ] = 0,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    password: options.Password = None,
) -> None:
    """Watch a server live: commands a second, hits, memory, hot keys.

    Without a terminal it prints a line at every interval.
    """
    from cachestorm_cli.connecting import resp_client_for
    from cachestorm_cli.top import watch

    client = resp_client_for(options.address(url, host, port, None, password), "top")
    raise typer.Exit(watch(client, interval, count))


def monitor(
    match: Annotated[
        str | None,
        typer.Option("--match", metavar="PATTERN", help="Only lines of this glob pattern."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=0, help="Lines until it ends; 0: no end.")
    ] = 0,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    password: options.Password = None,
) -> None:
    """Show every command that a server is sent, as it comes. It slows the server down."""
    from cachestorm_cli.connecting import resp_client_for
    from cachestorm_cli.probing import monitor as watch_commands

    client = resp_client_for(options.address(url, host, port, None, password), "monitor")
    raise typer.Exit(watch_commands(client, match, count))


def hotkeys(
    count: Annotated[
        int, typer.Argument(min=1, max=100, metavar="[COUNT]", help="How many.")
    ] = 10,
    json: Json = False,
    csv: Csv = False,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    namespace: options.Namespace = None,
    password: options.Password = None,
) -> None:
    """Show the keys with most hits of late."""
    from cachestorm_cli.connecting import client_for
    from cachestorm_cli.key_tools import show_hot_keys
    from cachestorm_cli.output import form_of

    client = client_for(options.address(url, host, port, namespace, password))
    show_hot_keys(client, count, form_of(json, csv))


def bigkeys(
    count: Annotated[int, typer.Argument(min=1, metavar="[COUNT]", help="How many.")] = 10,
    match: Match = None,
    json: Json = False,
    csv: Csv = False,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    namespace: options.Namespace = None,
    password: options.Password = None,
) -> None:
    """Walk all keys and show those that take most memory."""
    from cachestorm_cli.connecting import client_for
    from cachestorm_cli.key_tools import show_big_keys
    from cachestorm_cli.output import form_of

    client = client_for(options.address(url, host, port, namespace, password))
    show_big_keys(client, count, match, form_of(json, csv))


def tagtree(
    tag: Annotated[str | None, typer.Argument(help="Only what is below this tag.")] = None,
    depth: Annotated[int, typer.Option("--depth", min=0, help="Levels to show; 0: all.")] = 0,
    json: Json = False,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    namespace: options.Namespace = None,
    password: options.Password = None,
) -> None:
    """Show the tags as a tree, each with its number of keys."""
    from cachestorm_cli.connecting import client_for
    from cachestorm_cli.key_tools import show_tag_tree
    from cachestorm_cli.output import form_of

    client = client_for(options.address(url, host, port, namespace, password))
    raise typer.Exit(show_tag_tree(client, tag, depth, form_of(json)))


def doctor(
    config: Annotated[
        str | None,
        typer.Option("--config", metavar="FILE", help="Look at this configuration."),
    ] = None,
    server: Annotated[
        bool, typer.Option("--server/--no-server", help="Look at the running server.")
    ] = True,
    json: Json = False,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    password: options.Password = None,
) -> None:
    """Say what is wrong with a running server or a configuration, and what to do about it.

    The exit code is 1 if anything is a problem.
    """
    from cachestorm_cli.connecting import resp_client_for
    from cachestorm_cli.doctor import consult
    from cachestorm_cli.output import form_of

    client = None
    if server:
        client = resp_client_for(options.address(url, host, port, None, password), "doctor")
    raise typer.Exit(consult(client, config, config is not None or not server, form_of(json)))


_latency = typer.Typer(
    cls=CommandGroup,
    invoke_without_command=True,
    rich_markup_mode=None,
    help="Measure how long answers take. Subcommands are those of the server's LATENCY.",
)


@_latency.callback()
def latency(
    ctx: typer.Context,
    count: Annotated[
        int, typer.Option("--count", min=0, help="Answers; 0: until Ctrl-C.")
    ] = 100,
    interval: Interval = 0.01,
    json: Json = False,
    csv: Csv = False,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    password: options.Password = None,
) -> None:
    """Measure how long answers take. Subcommands are those of the server's LATENCY."""
    if ctx.invoked_subcommand is not None:
        return
    from cachestorm_cli.connecting import client_for
    from cachestorm_cli.output import form_of
    from cachestorm_cli.probing import measure_latency

    client = client_for(options.address(url, host, port, None, password))
    measure_latency(client, count, interval, form_of(json, csv))


def export_(
    path: Annotated[str, typer.Argument(metavar="FILE", help="Where to; -: standard output.")],
    format: Format = None,
    match: Match = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a file that was interrupted.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite a file that is there.")
    ] = False,
    dry_run: DryRun = False,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    namespace: options.Namespace = None,
    password: options.Password = None,
) -> None:
    """Write all keys with their tags and deadlines to a file, as lines of JSON or msgpack.

    It reads a CacheStorm, a Redis or a Valkey server.
    """
    from cachestorm_cli.connecting import client_for
    from cachestorm_cli.transfer.exporting import export

    client = client_for(options.address(url, host, port, namespace, password))
    raise typer.Exit(export(client, path, format, match, resume, overwrite, dry_run))


def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A file of export, - for standard input, or a server's URL."
        ),
    ],
    format: Format = None,
    match: Match = None,
    replace: Replace = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a file that was interrupted.")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    namespace: options.Namespace = None,
    password: options.Password = None,
) -> None:
    """Read keys from a file of export, or from another server, into this one.

    Keys that are there already are kept as they are, unless --replace is given.
    """
    from cachestorm_cli.addresses import parse
    from cachestorm_cli.connecting import resp_client_for
    from cachestorm_cli.output import form_of
    from cachestorm_cli.transfer.importing import import_file, import_server

    client = resp_client_for(options.address(url, host, port, namespace, password), "import")
    form = form_of(json)
    if "://" in source:
        if resume or format is not None:
            raise typer.BadParameter("--resume and --format are for files")
        code = import_server(client, parse(source), match, replace, dry_run, form)
    else:
        if match is not None:
            raise typer.BadParameter("--match is for a source that is a server")
        code = import_file(client, source, format, replace, resume, dry_run, form)
    raise typer.Exit(code)


def bench(
    workloads: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORKLOAD]...", help="Which; by default all. See --list."),
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="List the workloads.")] = False,
    beside: Annotated[
        list[str] | None,
        typer.Option("--beside", metavar="URL", help="Another server; may be repeated."),
    ] = None,
    requests: Annotated[int, typer.Option("--requests", min=1, help="A workload.")] = 20_000,
    clients: Annotated[int, typer.Option("--clients", min=1, max=1000)] = 10,
    pipeline: Annotated[
        int, typer.Option("--pipeline", min=1, help="Requests sent at once.")
    ] = 1,
    keys: Annotated[int, typer.Option("--keys", min=1, help="Different keys.")] = 10_000,
    size: Annotated[int, typer.Option("--size", min=1, help="Bytes of a value.")] = 100,
    json: Json = False,
    csv: Csv = False,
    url: options.Url = None,
    host: options.Host = None,
    port: options.Port = None,
    namespace: options.Namespace = None,
    password: options.Password = None,
) -> None:
    """Measure a server, also beside others: requests a second and how long they take.

    It writes keys that begin with 'bench:', and deletes them at the end.
    """
    from cachestorm_cli.addresses import parse
    from cachestorm_cli.bench import Load, list_workloads, measure
    from cachestorm_cli.output import form_of

    if list_only:
        list_workloads(form_of(json, csv))
        return
    addresses = [options.address(url, host, port, namespace, password)]
    addresses += [parse(other) for other in beside or []]
    load = Load(requests, clients, pipeline, keys, size)
    raise typer.Exit(measure(addresses, workloads or [], load, form_of(json, csv)))


def man(
    page: Annotated[
        str | None, typer.Argument(metavar="[TOOL]", help="Of this tool; else of them all.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="DIR", help="Write all pages there, as files."),
    ] = None,
) -> None:
    """Print a manual page, as in 'cachestorm man top | man -l -'."""
    from cachestorm_cli.commands import app
    from cachestorm_cli.manual import show_manual

    raise typer.Exit(show_manual(app, page, to))
