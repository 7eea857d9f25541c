"""The long runner: the half of a session that has a long command on its way. Sans-IO.

Between the speaker and the session, which begins long commands and does their slices. Here is
how one is kept, woken and given up.
"""

from __future__ import annotations

from mypy_extensions import i64

from cachestorm.declare.plan import Plan
from cachestorm.operations.long_command import LongCommand
from cachestorm_server.endpoint import WAKE, Endpoint
from cachestorm_server.speaker import Speaker


class LongRunner(Speaker):
    """A client that may wait for the reply to a long command.

    Attributes:
        long_command: the one that is on its way; None when there is none.
        long_command_plan, long_command_args: what it was asked by.
        long_command_ns: what it has taken so far, without its sleep; 0 if it is not timed.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.long_command: LongCommand | None = None
        self.long_command_plan: Plan | None = None
        self.long_command_args: list[object] = []
        self.long_command_ns: i64 = 0

    def abandon(self) -> None:
        """Gives up the long command: nobody is there for its reply."""
        long_command = self.long_command
        if long_command is not None:
            long_command.notifier = None
            # refused to a finalizer within a command: then it is still to be done
            long_command.abandon()
            self.long_command = None

    def is_blocked(self) -> bool:
        """Whether the long command sleeps: the session waits for others, and polls nothing."""
        long_command = self.long_command
        return long_command is not None and long_command.sleeps

    def carry(self, long_command: LongCommand) -> None:
        """Keeps what remains of a long command, and sees to its being woken."""
        self.long_command = long_command
        long_command.notifier = self._wake
        carrier = self.carrier
        if long_command.sleeps and long_command.wakes_at != 0.0 and carrier is not None:
            carrier.unblock_at(long_command.wakes_at, long_command)

    def _wake(self) -> None:
        self.endpoint.post(self.id, WAKE)
