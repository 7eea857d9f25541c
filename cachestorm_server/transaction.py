"""A transaction: the requests that a session has queued since MULTI. Sans-IO.

Made by MULTI, filled by the session, run by EXEC; see `transactions.py`.
"""

from __future__ import annotations

from mypy_extensions import i64, mypyc_attr

from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError
from cachestorm_server.requests import ARGUMENT_OVERHEAD_BYTES


@mypyc_attr(native_class=False)
class ExecAbortError(CacheStormError):
    """A transaction that is not run, because a request of it was refused."""

    code = "EXECABORT"
    http_status = 409

    def __init__(self, reason: str = " previous errors.") -> None:
        super().__init__(f"Transaction discarded because of{reason}")


class Transaction:
    """What a session has queued since MULTI.

    Attributes:
        requests: plans and arguments.
        size_bytes: of the arguments.
        is_refused: a request could not be queued, so EXEC runs none.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[Plan, list[object]]] = []
        self.size_bytes: i64 = 0
        self.is_refused: bool = False

    def refuse(self) -> None:
        """Has EXEC run nothing; what was queued is forgotten, and nothing more is kept."""
        self.is_refused = True
        self.requests = []
        self.size_bytes = 0

    def queue(self, plan: Plan, args: list[object]) -> None:
        """Keeps a request until EXEC."""
        if self.is_refused:
            return
        self.requests.append((plan, args))
        for arg in args:
            assert isinstance(arg, bytes)
            self.size_bytes += len(arg) + ARGUMENT_OVERHEAD_BYTES
