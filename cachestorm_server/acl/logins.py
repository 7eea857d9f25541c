"""Logins: how many wrong passwords an address may give.

Asked by `users.py` for each login, whatever the protocol.

1. An address may fail so many times in a row, and once more for each second that has passed.
   Who fails more often is refused without a look at the password, until it has been quiet.
2. Only failures count: clients that know their password come as often as they like.
3. So many addresses are remembered at most, those that failed last.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST_FAILURES: Final = 100
MOST_ADDRESSES: Final = 10_000


class Logins:
    """Counts failures by address.

    Args:
        most: how many an address may have; 0: any number.
        clock: seconds, from any point.
    """

    def __init__(
        self, most: int = MOST_FAILURES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most = most
        self._clock: Final = clock
        # by address: how many failures were left, and when that was
        self._left: Final[OrderedDict[str, tuple[float, float]]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """For how many seconds an address is to wait before its next try; 0: not at all."""
        left = self._left_of(address)
        return 0 if not self.most or left >= 1 else max(1, round(1 - left))

    def failed(self, address: str) -> None:
        """Notes a wrong password."""
        if not self.most:
            return
        self._left[address] = (self._left_of(address) - 1, self._clock())
        self._left.move_to_end(address)
        if len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)

    def _left_of(self, address: str) -> float:
        known = self._left.get(address)
        if known is None:
            return self.most
        left, then = known
        return min(self.most, left + self._clock() - then)


def host_of(address: str) -> str:
    """The host of an address as CLIENT LIST shows it: of `[::1]:5` it is `::1`."""
    return address.rpartition(":")[0].strip("[]")
