"""Visitors: who asks over HTTP, where there are no sessions.

Made by the access of the HTTP endpoint, once a request; asked before a command is run for it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Final

from cachestorm.codec import text_of
from cachestorm.declare.plan import Plan
from cachestorm_server.acl.denial import REASONS, NoPermissionError
from cachestorm_server.acl.log import TOPLEVEL
from cachestorm_server.acl.user import User
from cachestorm_server.acl.users import DEFAULT, Users, WrongPasswordError


class Visitor:
    """Somebody who asks over HTTP.

    Attributes:
        user: who it is.
    """

    def __init__(self, users: Users, user: User, address: str) -> None:
        self._users: Final = users
        self.user: Final = user
        self._client: Final = f"addr={address} user={user.name} protocol=http"

    def check(self, plan: Plan, argv: list[object], namespace: str) -> None:
        """Refuses what the user may not do, and notes it.

        Args:
            argv: of a size that the command may have.

        Raises:
            NoPermissionError: with Redis' text.
            CacheStormError: for words that the command would refuse, too.
        """
        user = self.user
        denial = user.check(plan, argv, namespace)
        if denial is not None:
            word = text_of(denial.word)
            self._users.log.add(REASONS[denial.code], TOPLEVEL, word, user.name, self._client)
            raise NoPermissionError(denial.text(user.name))


def visitor_by(users: Users, authorization: str, address: str) -> Visitor | None:
    """Who a header says to be; None if it says nothing that is understood.

    `Basic` carries a user and a password. `Bearer` carries the password of the default user,
    or `user:password` of a user that there is.

    Args:
        address: the host that it comes from.

    Raises:
        WrongPasswordError: for a user or a password that is not known.
    """
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    name, password = DEFAULT, token
    if scheme.lower() == "basic":
        try:
            pair = text_of(b64decode(token, validate=True))
        except binascii.Error:
            return None
        name, colon, password = pair.partition(":")
        if not colon:
            return None
    elif scheme.lower() == "bearer" and token:
        first, colon, rest = token.partition(":")
        if colon and users.get(first) is not None:
            name, password = first, rest
    else:
        return None
    try:
        user = users.authenticate(name, password, address)
    except WrongPasswordError:
        users.log.add("auth", TOPLEVEL, "HTTP", name, f"addr={address} protocol=http")
        raise
    return Visitor(users, user, address)
