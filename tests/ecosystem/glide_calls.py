"""A program that asks a cluster by valkey-glide, and prints what comes.

Its argument is the port of a node.
"""

from __future__ import annotations

import asyncio
import sys

from glide import GlideClusterClient, GlideClusterClientConfiguration, NodeAddress

KEYS = [f"k{number}" for number in range(50)]


async def main() -> None:
    addresses = [NodeAddress("127.0.0.1", int(sys.argv[1]))]
    client = await GlideClusterClient.create(GlideClusterClientConfiguration(addresses))
    try:
        await client.mset({key: key.upper() for key in KEYS})
        values = await client.mget(KEYS)
        print([value.decode() for value in values] == [key.upper() for key in KEYS])
        for key in KEYS[:20]:
            await client.custom_command(["ADDTAG", key, "t"])
        print(await client.custom_command(["TAGCOUNT", "t"]))
        # it takes the tag for a key, and asks the node of that slot
        print(await client.custom_command(["INVALIDATE", "t"]))
        print(await client.exists(KEYS), await client.delete(KEYS))
    finally:
        await client.close()


asyncio.run(main())
