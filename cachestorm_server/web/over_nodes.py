"""Lists over all nodes of a cluster, for requests over HTTP.

Called by the parts that list keys and tags, where the server is a node; calls the router.
"""

from __future__ import annotations

from typing import Final

from cachestorm.cache import Cache
from cachestorm.operations.long_command import LongCommand
from cachestorm_server.cluster.fan_out import KEY_COUNT, TAG_COUNTS
from cachestorm_server.cluster.gate import Router
from cachestorm_server.cluster.listing import begin
from cachestorm_server.turns import next_turn
from cachestorm_server.web.routes import Call
from cachestorm_server.web.wire import client_of


class OverNodes:
    """For one request.

    Args:
        cache: the namespace that is listed.
    """

    def __init__(self, router: Router, cache: Cache, call: Call) -> None:
        self._router: Final = router
        self._cache: Final = cache
        self._call: Final = call

    async def page(
        self, name: str, cursor: int, limit: int, match: str | None
    ) -> tuple[int, list[str]]:
        """The next cursor, and a page of a walk: SCAN or TAGSCAN.

        Raises:
            PartialError: if the node that is walked does not answer.
        """
        options = ("COUNT", str(limit), *(() if match is None else ("MATCH", match)))
        value = await self._end_of(self._router.page(self._cache, name, cursor, options))
        assert isinstance(value, tuple)
        after, names = value
        return after, names

    async def key_count(self) -> int:
        """How many keys there are on all nodes.

        Raises:
            PartialError: if a node does not answer.
        """
        counts = await self._everywhere((KEY_COUNT,))
        return sum(count for count in counts.values() if isinstance(count, int))

    async def tag_counts(self, names: list[str], cursor: int = -1) -> dict[str, int]:
        """How many keys bear each of these tags.

        Args:
            cursor: of a page that these are: what an earlier page had already is left out.

        Raises:
            PartialError: if a node does not answer.
        """
        counts = await self._everywhere((TAG_COUNTS, *names))
        walked = "" if cursor < 0 else begin(cursor, counts)[0]
        totals: dict[str, int] = {}
        for at, name in enumerate(names):
            by_node = {
                node_id: int(str(of_node[at]))
                for node_id, of_node in counts.items()
                if isinstance(of_node, tuple) and len(of_node) == len(names)
            }
            if not any(count for node_id, count in by_node.items() if node_id < walked):
                totals[name] = sum(by_node.values())
        return totals

    async def keys_of(self, tag: str) -> list[str]:
        """The keys that bear a tag.

        Raises:
            PartialError: if a node does not answer.
        """
        found = await self._everywhere(("TAGKEYS", tag))
        return [
            str(key)
            for of_node in found.values()
            if isinstance(of_node, tuple)
            for key in of_node
        ]

    async def _everywhere(self, words: tuple[str, ...]) -> dict[str, object]:
        value = await self._end_of(self._router.everywhere(self._cache, words))
        assert isinstance(value, dict)
        return value

    async def _end_of(self, long_command: LongCommand) -> object:
        client = client_of(self._call.request)
        client.carry(long_command)
        try:
            while not long_command.step():
                await next_turn(long_command)
            return long_command.result()
        except BaseException:
            long_command.abandon()
            raise
        finally:
            client.waiting = None
