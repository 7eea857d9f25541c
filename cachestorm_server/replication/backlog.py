"""The backlog: the last bytes of a stream, for a replica that was away for a moment. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final


class Backlog:
    """What was added last, up to a size; whole pieces, as they were added.

    Attributes:
        size: how many bytes are kept at most; the newest piece is always.
        first, offset: where what is kept begins, and where the stream ends.
    """

    def __init__(self, size: int, offset: int = 0) -> None:
        self.size = size
        self.first = self.offset = offset
        self._pieces: Final[deque[bytes]] = deque()

    def add(self, piece: bytes) -> None:
        """Adds whole frames. O(1), amortised."""
        if piece:
            self._pieces.append(piece)
            self.offset += len(piece)
            self._trim()

    def resize(self, size: int) -> None:
        """Keeps more or fewer bytes from now on."""
        self.size = size
        self._trim()

    def since(self, offset: int) -> bytes | None:
        """What came from an offset on; None if that is not all there, or is within a piece."""
        if not self.first <= offset <= self.offset:
            return None
        at, found = self.first, []
        for piece in self._pieces:
            if at >= offset:
                found.append(piece)
            elif at + len(piece) > offset:
                return None
            at += len(piece)
        return b"".join(found)

    def __len__(self) -> int:
        return self.offset - self.first

    def _trim(self) -> None:
        while len(self) > self.size and len(self._pieces) > 1:
            self.first += len(self._pieces.popleft())
