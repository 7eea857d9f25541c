"""Users: who is there, by which password, and with which permissions. Sans-IO.

Made and changed by `rules.py`; asked by sessions, for each request, and by HTTP.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.declare.plan import Plan
from cachestorm_server.acl.denial import Denial
from cachestorm_server.acl.selector import Selector


class User:
    """A user; at first it can do nothing, and nobody can be it.

    Attributes:
        is_enabled: it may authenticate.
        needs_no_password: any password will do.
        sanitizes: None where nothing was said of payloads; they are checked in any case.
        passwords: SHA-256 of each, in hexadecimal digits.
        selectors: the root selector, then the others; one that permits a call is enough.
        is_free: nothing is denied to it.
        is_deleted: it is no user any more.
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.is_enabled: bool = False
        self.needs_no_password: bool = False
        self.sanitizes: bool | None = None
        self.passwords: list[str] = []
        self.selectors: list[Selector] = [Selector()]
        self.is_free: bool = False
        self.is_deleted: bool = False

    def copy(self) -> User:
        """One that may do the same, and changes alone."""
        made = User(self.name)
        made.become(self)
        return made

    def become(self, other: User) -> None:
        """Takes over all of another one but its name."""
        self.is_enabled = other.is_enabled
        self.needs_no_password = other.needs_no_password
        self.sanitizes = other.sanitizes
        self.passwords = other.passwords.copy()
        self.selectors = [selector.copy() for selector in other.selectors]
        self.is_free = any([selector.is_free() for selector in self.selectors])

    def is_open(self) -> bool:
        """Whether nobody has to authenticate to be it."""
        return self.needs_no_password and self.is_enabled

    def asked_from(self, plan: Plan) -> i64:
        """The fewest words of a call that `check` is to be asked about."""
        most: i64 = 0
        for selector in self.selectors:
            most = max(most, selector.asked_from(plan))
        return most

    def check(self, plan: Plan, argv: list[object], namespace: str) -> Denial | None:
        """What of a call is denied; None if it is permitted.

        Args:
            argv: of a size that the command may have.
            namespace: where it is asked.

        Raises:
            CacheStormError: for words that the command would refuse.
        """
        if self.is_free:
            return None
        found: Denial | None = None
        for selector in self.selectors:
            denial = selector.check(plan, argv, namespace)
            if denial is None:
                return None
            if found is None or denial.outranks(found):
                found = denial
        return found

    def permits_channel(self, name: bytes, is_pattern: bool) -> bool:
        """Whether any selector permits a channel."""
        return any([each.permits_channel(name, is_pattern) for each in self.selectors])

    def flags(self) -> list[str]:
        """As ACL GETUSER shows them."""
        found = ["on" if self.is_enabled else "off"]
        if self.needs_no_password:
            found.append("nopass")
        if self.sanitizes is not None:
            found.append("sanitize-payload" if self.sanitizes else "skip-sanitize-payload")
        return found

    def describe(self) -> str:
        """The line of ACL LIST, which makes the same user when it is read again."""
        parts = ["user", self.name, *self.flags()]
        parts.extend([f"#{each}" for each in self.passwords])
        parts.append(self.selectors[0].describe())
        parts.extend([f"({each.describe()})" for each in self.selectors[1:]])
        return " ".join(parts)
