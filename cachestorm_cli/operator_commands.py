"""The commands about Kubernetes: the operator, and what it brings to a cluster.

Called by Typer as `cachestorm operator ...`; the server's package has the operator itself.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Annotated

import typer

app = typer.Typer(name="operator", help="Run CacheStorm on Kubernetes.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Run CacheStorm on Kubernetes."""


@app.command()
def run(
    namespace: Annotated[
        list[str] | None,
        typer.Option("--namespace", "-n", help="Watch this one; again for more. None: all."),
    ] = None,
    health_port: Annotated[
        int, typer.Option("--health-port", help="Where /healthz answers; 0: nowhere.")
    ] = 8080,
    lease_namespace: Annotated[
        str | None,
        typer.Option(
            "--lease-namespace",
            help="Where operators agree on which of them acts; none: this one acts.",
            envvar="POD_NAMESPACE",
        ),
    ] = None,
    node_role: Annotated[
        str | None,
        typer.Option(
            "--node-role",
            help="The ClusterRole of nodes that share slots by Leases.",
            envvar="CACHESTORM_NODE_ROLE",
        ),
    ] = None,
) -> None:
    """Look after the CacheStorm resources of a cluster, until it is stopped.

    It reaches the API server as a pod does, or by KUBECONFIG or ~/.kube/config.
    """
    import asyncio
    import logging

    try:
        from cachestorm_server.kube.access import NODE_ROLE
        from cachestorm_server.kube.leading import Lease
        from cachestorm_server.kube.operator import Operator
        from cachestorm_server.kube.operator import run as run_operator
    except ImportError as error:
        print(
            f"cachestorm: the operator needs {error.name}: pip install 'cachestorm[operator]'",
            file=sys.stderr,
        )
        raise typer.Exit(1) from error

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    liveness = f"http://0.0.0.0:{health_port}/healthz" if health_port else None

    async def until_stopped() -> bool:
        stop = asyncio.Event()
        lease = None
        if lease_namespace:
            identity = f"{os.environ.get('HOSTNAME') or socket.gethostname()}-{os.getpid()}"
            lease = Lease(lease_namespace, identity, lost=stop.set)
        operator = Operator(lease=lease, node_role=node_role or NODE_ROLE)
        await run_operator(operator, tuple(namespace or ()), liveness, stop)
        return stop.is_set()

    if asyncio.run(until_stopped()):
        print("cachestorm: another operator has the lease", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def crd() -> None:
    """Print the CustomResourceDefinition, for `kubectl apply -f -`."""
    import yaml

    from cachestorm_server.kube.schema import crd as drawn

    print(yaml.safe_dump(drawn(), sort_keys=False, width=100), end="")
