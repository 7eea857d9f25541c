"""What a simulated cluster under an authority is made of: its times, the store, and hosts."""

from __future__ import annotations

from itertools import count
from random import Random

from cachestorm_server.cluster.lease import Timing
from cachestorm_server.cluster.leases import Leases
from cachestorm_server.cluster.messages import Member
from cachestorm_server.cluster.node import Node, new_id
from cachestorm_server.cluster.records import ABSENT, Record

SIZE = 8
KEYS = [(slot, name) for slot in range(SIZE) for name in "ab"]
TIMING = Timing(ttl_ms=4_000, margin_ms=400, look_ms=400, most_moves=2)
# what the margin is for
DRIFT = TIMING.margin_ms / TIMING.ttl_ms / 2
REQUEST_TIMEOUT_MS = 600
TIMEOUT_MS = 2_000
DEEDS = (*("crash", "start") * 3, "pause", "cut", "join", "gone", "slow", "island", "leave")
# how far replicas are behind, each as it is drawn, and how often they are fed
LAGS_MS = (20, 400, 1500)
FEED_MS = 120
SOON_MS = 20
# by when a replica that has asked for slots has them or gets none: the store may be slow
LATEST_MS = 2 * TIMING.ttl_ms

Key = tuple[int, str]


class MemoryStore:
    """Records in memory."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self._versions = count(1)

    def look(self) -> dict[str, Record]:
        return dict(self.records)

    def put(self, name: str, value: bytes, version: str) -> str:
        known = self.records.get(name)
        if (ABSENT if known is None else known.version) != version:
            return ABSENT
        self.records[name] = Record(str(next(self._versions)), value)
        return self.records[name].version

    def remove(self, name: str, version: str) -> bool:
        known = self.records.get(name)
        if known is None or known.version != version:
            return False
        del self.records[name]
        return True

    def close(self) -> None:
        pass


class Host:
    """A process or its absence, a clock, and a disk; and what its node asks of replication.

    Attributes:
        said: what has changed in its keys, in this life: what its replicas are to have.
        copied: of which history its keys are, and up to where.
        reigns: how often it has begun to be no replica, in this life: what it says then is
            another history.
        is_primary: whether it is none.
        is_following: whether anything more comes of its primary.
        link: a number of the connection to that.
        lag_ms: how late it gets what it is fed, at most.
        terms: of the leases that it has asked for, in this life.
        acknowledged: by replica and its life, how much of `said` that has, as it has told.
    """

    def __init__(self, number: int, random: Random, drift: float) -> None:
        self.number = number
        self.id = new_id(random)
        self.rate = 1 + random.uniform(-drift, drift)
        self.offset = random.randrange(1_000_000)
        self.lives = 0
        self.node: Node | None = None
        self.leases: Leases | None = None
        self.keys: dict[Key, int] = {}
        self.said: list[tuple[Key, int | None]] = []
        self.copied = ("", 0)
        self.reigns = 0
        self.is_primary = False
        self.is_following = False
        self.link = 0
        self.lag_ms = 0
        self.acknowledged: dict[tuple[str, int], int] = {}
        self.terms: set[str] = set()
        self.disk: dict[str, object] | None = None
        self.paused_until = self.crashed_at = 0.0
        self.is_asking = False
        self.island = 0

    @property
    def history(self) -> str:
        return f"{self.number}-{self.lives}-{self.reigns}"

    def offset_of(self, node_id: str) -> int:
        return 0

    def put(self, key: Key, value: int | None) -> None:
        """Changes a key, or with None removes it, as its replicas are to."""
        self.said.append((key, value))
        if value is None:
            self.keys.pop(key, None)
        else:
            self.keys[key] = value

    def settle_role(self, is_primary: bool) -> None:
        """Begins a history of its own, or has just what it has said in the one that ends."""
        if is_primary and not self.is_primary:
            self.reigns += 1
            self.copied, self.acknowledged = ("", 0), {}
        elif self.is_primary and not is_primary:
            self.copied = (self.history, len(self.said))
        self.is_primary = is_primary

    def member(self) -> Member:
        instance = f"{self.lives:08}-{self.number}"
        return Member(self.id, f"n{self.number}", f"10.0.0.{self.number}", 1, 2, 0, 0, instance)
