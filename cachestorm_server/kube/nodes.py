"""The nodes: the servers in the pods, spoken to over RESP.

Called by the reconciling. Says what any client of Redis Cluster may say, so that it works with
every server that speaks it.

1. What is done twice is done once: a step that was taken already is no error.
2. A slot is its source's until the target has all its keys; in between each key is on exactly
   one of the two, and clients are told which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from cachestorm.errors import CacheStormError
from cachestorm_server.kube.facts import CURRENT, PREVIOUS, Node
from cachestorm_server.kube.slots import Transfer, ranges

# that go with one MIGRATE
KEYS_AT_ONCE: Final = 100
TIMEOUT_S: Final = 5.0
MIGRATE_TIMEOUT_MS: Final = 30_000
# pairs in one ADDSLOTSRANGE
_MOST_RANGES: Final = 500


class NodeError(CacheStormError):
    """A node was not reached, or has refused what the operator asked of it."""


class Nodes:
    """The nodes of one resource; `aclose` when they are not needed any more.

    Args:
        addresses: host by name of the pod.
        current, previous: passwords; empty: none.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        port: int,
        cluster_port: int,
        current: str = "",
        previous: str = "",
    ) -> None:
        self._addresses: Final = dict(addresses)
        self._port: Final = port
        self._cluster_port: Final = cluster_port
        self._passwords: Final = {CURRENT: current, PREVIOUS: previous}
        self._logins: Final[dict[str, str]] = {}
        self._clients: Final[dict[tuple[str, str], Redis]] = {}

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    @property
    def answering(self) -> list[str]:
        """The pods whose nodes have answered."""
        return sorted(self._logins)

    async def look(self, pod: str, is_cluster: bool) -> Node | None:
        """What a node says; None if it does not answer."""
        for login in (CURRENT, PREVIOUS):
            if login == PREVIOUS and not self._passwords[PREVIOUS]:
                continue
            try:
                client = self._client(pod, login)
                await client.ping()
                self._logins[pod] = login
                return await _seen(client, login) if is_cluster else Node(pod, login=login)
            except AuthenticationError:
                continue
            except ResponseError as error:
                # with a password that the server has not been told of
                if "WRONGPASS" in str(error) or "NOAUTH" in str(error):
                    continue
                return None
            except (RedisError, OSError, TimeoutError):
                return None
        return None

    async def meet(self, pod: str, other: str) -> None:
        await self._call(
            pod, "CLUSTER", "MEET", self._addresses[other], self._port, self._cluster_port
        )

    async def assign(self, pod: str, slots: Sequence[int]) -> None:
        pairs = ranges(slots)
        for at in range(0, len(pairs), _MOST_RANGES):
            words = [bound for pair in pairs[at : at + _MOST_RANGES] for bound in pair]
            await self._call(pod, "CLUSTER", "ADDSLOTSRANGE", *words)

    async def forget(self, node_id: str, pods: Iterable[str]) -> None:
        for pod in pods:
            await self._call(pod, "CLUSTER", "FORGET", node_id, ignoring="Unknown node")

    async def settle(self, pod: str, slots: Iterable[int]) -> None:
        await self._set_slots(pod, slots, "STABLE")

    async def admit_password(self, pod: str) -> None:
        await self._call(pod, "ACL", "SETUSER", "default", f">{self._passwords[CURRENT]}")

    async def retire_password(self, pod: str) -> None:
        current = self._passwords[CURRENT]
        await self._call(pod, "ACL", "SETUSER", "default", "resetpass", f">{current}")

    async def move(self, transfer: Transfer) -> int:
        """Moves slots from one node to another; the others hear of it from these two.

        Returns:
            How many keys have moved with them.
        """
        source, target = transfer.source, transfer.target
        source_id, target_id = await self._id(source), await self._id(target)
        slots = transfer.slots
        # so says the owner of a slot that was given away just before a kill
        await self._set_slots(
            target, slots, "IMPORTING", source_id, ignoring="already the owner"
        )
        await self._set_slots(source, slots, "MIGRATING", target_id, ignoring="not the owner")
        moved = 0
        client = self._client(source)
        try:
            for slot, keys in zip(slots, await self._keys(client, slots)):
                while keys:
                    moved += await self._migrate(client, target, keys)
                    keys = (await self._keys(client, [slot]))[0]
        except (RedisError, OSError, TimeoutError) as error:
            raise NodeError(f"{source}: {error}") from error
        # the target first: were it the source, nobody would answer for a moment
        await self._set_slots(target, slots, "NODE", target_id)
        await self._set_slots(source, slots, "NODE", target_id)
        return moved

    # -- how it is said

    def _client(self, pod: str, login: str = "") -> Redis:
        login = login or self._logins.get(pod, CURRENT)
        client = self._clients.get((pod, login))
        if client is None:
            client = self._clients[pod, login] = Redis(
                host=self._addresses[pod],
                port=self._port,
                password=self._passwords[login] or None,
                socket_timeout=TIMEOUT_S + MIGRATE_TIMEOUT_MS / 1000,
                socket_connect_timeout=TIMEOUT_S,
                protocol=2,
            )
        return client

    async def _call(self, pod: str, *words: object, ignoring: str = "") -> Any:
        try:
            return await cast(Any, self._client(pod)).execute_command(*words)
        except (RedisError, OSError, TimeoutError) as error:
            if ignoring and ignoring in str(error):
                return None
            raise NodeError(f"{pod}: {' '.join(map(str, words[:2]))}: {error}") from error

    async def _set_slots(
        self, pod: str, slots: Iterable[int], *words: str, ignoring: str = ""
    ) -> None:
        """CLUSTER SETSLOT for some slots.

        A node of CacheStorm takes a range, in one step and with one write to its disk. One that
        is refused, by another server or for one of its slots, is said slot by slot.
        """
        pairs = ranges(slots)
        spelled = [f"{first}-{last}" if first < last else str(first) for first, last in pairs]
        replies = await self._pipeline(
            pod, [("CLUSTER", "SETSLOT", text, *words) for text in spelled]
        )
        single = [
            slot
            for (first, last), reply in zip(pairs, replies)
            if isinstance(reply, Exception)
            for slot in range(first, last + 1)
        ]
        commands = [("CLUSTER", "SETSLOT", str(slot), *words) for slot in single]
        for command, reply in zip(commands, await self._pipeline(pod, commands)):
            if isinstance(reply, Exception) and not (ignoring and ignoring in str(reply)):
                raise NodeError(f"{pod}: {' '.join(command)}: {reply}")

    async def _pipeline(self, pod: str, commands: Sequence[tuple[str, ...]]) -> list[object]:
        """The replies, with the errors among them."""
        if not commands:
            return []
        try:
            pipe = self._client(pod).pipeline(transaction=False)
            for words in commands:
                pipe.execute_command(*words)
            return cast("list[object]", await pipe.execute(raise_on_error=False))
        except (RedisError, OSError, TimeoutError) as error:
            raise NodeError(f"{pod}: {error}") from error

    async def _id(self, pod: str) -> str:
        return cast(bytes, await self._call(pod, "CLUSTER", "MYID")).decode()

    async def _keys(self, client: Redis, slots: Sequence[int]) -> list[list[bytes]]:
        pipe = client.pipeline(transaction=False)
        for slot in slots:
            pipe.execute_command("CLUSTER", "GETKEYSINSLOT", slot, KEYS_AT_ONCE)
        return cast("list[list[bytes]]", await pipe.execute())

    async def _migrate(self, client: Redis, target: str, keys: list[bytes]) -> int:
        password = self._passwords[self._logins.get(target, CURRENT)]
        words: list[object] = ["MIGRATE", self._addresses[target], self._port, "", 0]
        # what an attempt has left there that was cut off is older than what is here
        words += [MIGRATE_TIMEOUT_MS, "REPLACE"]
        if password:
            words += ["AUTH", password]
        try:
            await cast(Any, client).execute_command(*words, "KEYS", *keys)
        except RedisError as error:
            raise NodeError(f"MIGRATE to {target}: {error}") from error
        return len(keys)


async def _seen(client: Redis, login: str) -> Node:
    pipe = client.pipeline(transaction=False)
    pipe.execute_command("CLUSTER", "NODES")
    pipe.execute_command("CLUSTER", "INFO")
    nodes, info = await pipe.execute()
    return seen(nodes.decode(), info.decode(), login)


def seen(nodes: str, info: str, login: str = CURRENT) -> Node:
    """A node, from what it says to CLUSTER NODES and CLUSTER INFO."""
    me = ""
    known = set()
    reached = set()
    shares: dict[str, frozenset[int]] = {}
    moving: dict[int, str] = {}
    coming: dict[int, str] = {}
    for line in nodes.splitlines():
        node_id, _, flags, _, _, _, _, link, *words = line.split(" ")
        slots: set[int] = set()
        for word in words:
            if word.startswith("["):
                slot, arrow, other = word[1:-1].partition("->-" if "->-" in word else "-<-")
                (moving if arrow == "->-" else coming)[int(slot)] = other
            else:
                first, _, last = word.partition("-")
                slots.update(range(int(first), int(last or first) + 1))
        if "myself" in flags.split(","):
            me = node_id
        elif not {"handshake", "noaddr"} & set(flags.split(",")):
            known.add(node_id)
            if link == "connected":
                reached.add(node_id)
        if slots:
            shares[node_id] = frozenset(slots)
    is_ok = "cluster_state:ok" in info.split()
    return Node(me, shares, frozenset(known), frozenset(reached), moving, coming, is_ok, login)
