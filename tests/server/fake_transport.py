"""A transport of a test's, for a connection without a socket."""

from __future__ import annotations

from real_servers import HOST

from cachestorm_server.net import Connection


class FakeTransport:
    """A transport that a test can congest."""

    def __init__(self, peer: str = HOST) -> None:
        self.peer = (peer, 1)
        self.sent = bytearray()
        self.reading = True
        self.closing = False
        self.aborted = False
        self.congested_above = 1 << 60
        self.protocol: Connection | None = None

    def get_extra_info(self, name: str) -> tuple[str, int] | None:
        return None if name == "socket" else self.peer

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def write(self, data: bytes) -> None:
        self.sent += data
        if len(self.sent) > self.congested_above and self.protocol is not None:
            self.protocol.pause_writing()

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return 0
