"""Options that many commands of the command line share: where the server is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cachestorm_cli.addresses import Address

Url = Annotated[
    str | None,
    typer.Option(
        "-u",
        "--url",
        metavar="URL",
        envvar="CACHESTORM_URL",
        show_envvar=True,
        help="redis://, rediss://, unix://, http:// or https:// address of the server.",
    ),
]
Host = Annotated[str | None, typer.Option("--host", help="Host of the server.")]
Port = Annotated[
    int | None,
    typer.Option(
        "-p", "--port", min=1, max=65535, help="Its port; left out: CACHESTORM_PORT, or 6380."
    ),
]
Namespace = Annotated[
    str | None, typer.Option("-n", "--namespace", help="Namespace to work in.")
]
Password = Annotated[
    str | None,
    typer.Option(
        "-a",
        "--password",
        envvar="CACHESTORM_AUTH_PASSWORD",
        show_envvar=True,
        help="Password; safer in the environment.",
    ),
]


def address(
    url: str | None,
    host: str | None = None,
    port: int | None = None,
    namespace: str | None = None,
    password: str | None = None,
) -> Address:
    """The address that these options ask for.

    Raises:
        ConfigError: for one that is wrong.
    """
    from cachestorm_cli.addresses import resolve

    if host is not None or port is not None:
        # a URL of the environment gives way to what is said on the line
        url = None if url == os.environ.get("CACHESTORM_URL") else url
    return resolve(url, host, port, password, namespace, os.environ)
