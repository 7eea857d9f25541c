"""The references: eviction policies of the literature, as their papers say, and the optimum.

Asked by the judge, by the notebook and by their tests. They hold keys and no values, and are
written to be read and checked beside the paper; nothing here is used by the product.

1. A reference has `request(key)`, which says whether it was a hit and keeps the key by the
   policy's own rule, and `len()`, which never exceeds its capacity.
2. They draw no random numbers and hash nothing: a trace and a capacity give one number of hits.
3. Constants are those of the papers, the same for every trace. What a paper leaves open, the
   module says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from tests.benchmarks.hit_ratio.references.arc import Arc
from tests.benchmarks.hit_ratio.references.lfu import Lfu
from tests.benchmarks.hit_ratio.references.lirs import Lirs
from tests.benchmarks.hit_ratio.references.lru import Lru
from tests.benchmarks.hit_ratio.references.s3_fifo import S3Fifo
from tests.benchmarks.hit_ratio.references.sieve import Sieve
from tests.benchmarks.hit_ratio.references.w_tiny_lfu import WTinyLfu


class Reference(Protocol):
    """A simulated cache of keys."""

    def request(self, key: int) -> bool:
        """Asks for a key and keeps it as the policy wants; whether it was there."""

    def __len__(self) -> int: ...


# the eight that `adaptive` is held against, by the names that tables and plots use
FIXED: Final[dict[str, Callable[[int], Reference]]] = {
    "LRU": Lru,
    "LFU": Lfu,
    "SIEVE": Sieve,
    "S3-FIFO 1": partial(S3Fifo, threshold=1),
    "S3-FIFO 2": partial(S3Fifo, threshold=2),
    "ARC": Arc,
    "LIRS": Lirs,
    "W-TinyLFU": WTinyLfu,
}
