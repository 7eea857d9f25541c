"""The joining: what makes a server a node, from its configuration.

Called by the application: before clients are let in, once they are, and at the end.
"""

from __future__ import annotations

import time
from random import SystemRandom
from typing import TYPE_CHECKING, Final

from cachestorm_server.cluster.authorities import Chosen, choose
from cachestorm_server.cluster.bus import Bus, bus_contexts
from cachestorm_server.cluster.clock import monotonic_ms
from cachestorm_server.cluster.governing import Governing
from cachestorm_server.cluster.membership import Membership
from cachestorm_server.cluster.messages import Member, MessageError
from cachestorm_server.cluster.moving import Moving
from cachestorm_server.cluster.node import Node, new_id
from cachestorm_server.cluster.node_state import restored
from cachestorm_server.cluster.state_file import ClusterStateError, StateFile

if TYPE_CHECKING:
    from cachestorm_server.config_cluster import ClusterConfig
    from cachestorm_server.endpoint import Endpoint
    from cachestorm_server.tls import TlsFiles

DEFAULT_SEED_PORT: Final = 7946


def timeout_of(config: ClusterConfig) -> int:
    """After how many milliseconds of silence a node is suspected."""
    return config.probe_interval * config.suspicion_mult + config.probe_timeout


class Joining:
    """One server's part in a cluster, from start to stop.

    Args:
        files: by which nodes speak TLS; None: they do not.
    """

    def __init__(
        self,
        config: ClusterConfig,
        endpoint: Endpoint,
        folder: str,
        files: TlsFiles | None = None,
    ) -> None:
        """Reads what was kept, or begins anew. Nobody is told yet.

        Raises:
            ClusterStateError: for a state that cannot be read or written.
        """
        self._config: Final = config
        random = SystemRandom()
        file = StateFile(folder)
        host = config.advertise_addr or config.bind_addr
        bus_port = config.advertise_port or config.bind_port
        instance = f"{time.time_ns():x}-{random.getrandbits(64):x}"
        port = endpoint.settings.port
        me = Member(new_id(random), config.node_name, host, port, bus_port, 0, 0, instance)
        kept, timeout_ms = file.load(), timeout_of(config)
        chosen = choose(config, random)
        authority = None if chosen is None else chosen.leases
        if kept is None:
            node = Node(me, random, timeout_ms, (), authority)
        else:
            try:
                now_ms = monotonic_ms()
                node = restored(kept, me, random, timeout_ms, now_ms, authority)
            except MessageError as error:
                raise ClusterStateError(
                    f"{file.path} holds no state of a node: {error}"
                ) from error
        self.membership: Final = Membership(endpoint, node, file, config.answer_timeout)
        tls = None if files is None else bus_contexts(files)
        self.bus: Final = Bus(self.membership, config.secret, config.probe_interval / 1000, tls)
        self._governing: Final = None if chosen is None else self._governed(chosen, endpoint)

    def _governed(self, chosen: Chosen, endpoint: Endpoint) -> Governing:
        membership, config = self.membership, self._config
        chosen.leases.bind(membership.node)
        password = endpoint.settings.password
        auth = (password,) if password else ()
        batch, timeout_ms = config.migration_batch_size, config.lease_ttl // 2
        moving = Moving(membership, batch, timeout_ms, auth)
        return Governing(chosen.leases, chosen.make_store, membership, moving)

    async def start(self, port: int) -> None:
        """Speaks with others from now on, and asks the seeds.

        Args:
            port: at which clients are let in.

        Raises:
            OSError: if the address of the bus cannot be bound.
        """
        node = self.membership.node
        if node.me.port != port:
            node.change_me(port=port)
        for seed in self._config.seeds:
            host, _, bus_port = seed.rpartition(":")
            address = (host, int(bus_port)) if host else (seed, DEFAULT_SEED_PORT)
            if address != node.me.address:
                node.meet(address, self.membership.clock())
        await self.bus.start(self._config.bind_addr, self._config.bind_port)
        if self._governing is not None:
            self._governing.start()

    async def stop(self) -> None:
        """Hands its slots over if an authority gives them to others; then says nothing more."""
        await self.membership.replicas.stop()
        if self._governing is not None:
            await self._governing.stop(self._config.drain_timeout / 1000)
        await self.bus.stop()
