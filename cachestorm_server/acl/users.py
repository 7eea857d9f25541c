"""The users of a server: who there is, who they say they are, and where that is kept.

Owned by the endpoint. Asked by sessions and by HTTP; changed by the commands of ACL, by CONFIG
SET requirepass, and by the ACL file.

1. There is always a user called `default`: who says nothing is that one, as long as it needs no
   password.
2. Changes are made to a copy and taken over in one step: what is refused changes nothing, and
   sessions see a user as it is.
3. Whoever authenticates wrongly is answered the same, and as fast, whether there is such a user
   or not.
4. The ACL file is read as a whole or not at all. It is written beside itself and then moved
   there, so that a disk that is full leaves the old one.
"""

from __future__ import annotations

import hmac
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from cachestorm.declare.registry import Registry
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm_server.acl.log import AclLog
from cachestorm_server.acl.logins import Logins
from cachestorm_server.acl.rules import RuleError, Rules, has_spaces, hashed, merged
from cachestorm_server.acl.user import User
from cachestorm_server.replaced_file import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEFAULT: Final = "default"
_DEFAULT_RULES: Final = ("on", "nopass", "allkeys", "allchannels", "alltags", "+@all")
# what is compared where there is no password: the hash of nothing
_NOBODY: Final = ["0" * 64]
_NO_CHANGE: Final = (
    "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
)

_log = logging.getLogger("cachestorm.acl")


@mypyc_attr(native_class=False)
class WrongPasswordError(CacheStormError):
    """The password, or the user, is not known."""

    code = "WRONGPASS"
    http_status = 401

    def __init__(
        self, text: str = "invalid username-password pair or user is disabled."
    ) -> None:
        super().__init__(text)


class TooManyFailuresError(WrongPasswordError):
    """An address has given too many wrong passwords."""

    http_status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"too many wrong passwords from this address: try again in {seconds} seconds"
        )


class FileOfUsers:
    """An ACL file that was read and is valid: its bytes, and the users it tells of."""

    def __init__(self, written: bytes, users: dict[str, User]) -> None:
        self.written: Final = written
        self.users: Final = users


class Users:
    """The users by name.

    Args:
        password: of the default user; empty: it needs none.
        file: the path of the ACL file; or empty.

    Attributes:
        default: the user that who says nothing is.
        rules: what says rules to users.
        log: what was denied.
        logins: which addresses have failed.
    """

    def __init__(self, registry: Registry, password: str = "", file: str = "") -> None:
        self.rules: Final = Rules(registry)
        self.log: Final = AclLog()
        self.logins: Final = Logins()
        self.file: Final = file
        self._password = password
        # what is in the file, as it was last read or written
        self._saved = b""
        self.default: Final = self._made(DEFAULT, _DEFAULT_RULES)
        self._users: dict[str, User] = {DEFAULT: self.default}
        if password:
            self.set_password(password)

    def __iter__(self) -> Iterator[User]:
        """All users, by name."""
        return iter([self._users[name] for name in sorted(self._users)])

    @property
    def password(self) -> str:
        """That of the default user, as CONFIG knows it; empty: none was given there."""
        return self._password

    def get(self, name: str) -> User | None:
        """A user by name."""
        return self._users.get(name)

    def set(self, name: str, words: Iterable[str]) -> None:
        """Makes a user, or changes one, by rules.

        Raises:
            ArgumentError: for a name or a rule that is none; nothing has changed.
        """
        if has_spaces(name):
            raise ArgumentError("Usernames can't contain spaces or null characters")
        known = self._users.get(name)
        changed = User(name) if known is None else known.copy()
        try:
            for rule in merged(list(words)):
                self._say(changed, rule)
        except RuleError as error:
            raise ArgumentError(str(error)) from error
        if known is None:
            known = self._users[name] = User(name)
        known.become(changed)

    def _say(self, user: User, rule: str) -> None:
        try:
            self.rules.say(user, rule)
        except RuleError as error:
            raise RuleError(f"Error in ACL SETUSER modifier '{rule}': {error}") from error

    def delete(self, names: Iterable[str]) -> int:
        """Deletes users. Returns how many there were.

        Raises:
            ArgumentError: for the default user; none is deleted.
        """
        wanted = set(names)
        if DEFAULT in wanted:
            raise ArgumentError("The 'default' user cannot be removed")
        gone = [self._users.pop(name) for name in wanted if name in self._users]
        for user in gone:
            user.is_deleted = True
        return len(gone)

    def set_password(self, password: str) -> None:
        """Gives the default user this password and no other; empty: it needs none."""
        self._password = password
        self.rules.say(self.default, "resetpass")
        self.rules.say(self.default, f">{password}" if password else "nopass")

    def authenticate(self, name: str, password: str, address: str) -> User:
        """The user that somebody says to be.

        Args:
            address: the host that it is said from.

        Raises:
            WrongPasswordError: for a user or a password that is not known.
            TooManyFailuresError: for an address that has failed too often.
        """
        seconds = self.logins.wait_s(address)
        if seconds:
            raise TooManyFailuresError(seconds)
        user = self._users.get(name)
        digest = hashed(password)
        known = _NOBODY if user is None or not user.passwords else user.passwords
        # all of them are looked at, so that the time says nothing
        fits = [hmac.compare_digest(digest, each) for each in known]
        if user is not None and user.is_enabled and (user.needs_no_password or any(fits)):
            return user
        self.logins.failed(address)
        raise WrongPasswordError()

    # -- the file

    def load(self) -> None:
        """Reads the ACL file in place of the users that there are.

        Raises:
            ArgumentError: without a file, or with all that is wrong with it; nothing has
                changed.
        """
        if not self.file:
            raise ArgumentError(_NO_FILE)
        self.take(self._checked(self._bytes_of_file()))

    def read_if_changed(self) -> FileOfUsers | None:
        """What others have written into the ACL file since it was last read or saved; or None.

        So users that were made since and not saved stay while it says the same as before.

        Raises:
            ArgumentError: with all that is wrong with it.
        """
        if not self.file:
            return None
        written = self._bytes_of_file()
        return None if written == self._saved else self._checked(written)

    def look(self) -> None:
        """Reads the ACL file, and makes nothing of it.

        Raises:
            ArgumentError: if it cannot be read.
        """
        self._bytes_of_file()

    def _bytes_of_file(self) -> bytes:
        try:
            return Path(self.file).read_bytes()
        except OSError as error:
            raise ArgumentError(
                f"Error loading ACLs, opening file '{self.file}': {error.strerror}"
            ) from error

    def _checked(self, written: bytes) -> FileOfUsers:
        found, problems = self._read(written.decode("utf-8", "surrogateescape").split("\n"))
        if problems:
            raise ArgumentError("".join([f"{each}. " for each in problems]) + _NO_CHANGE)
        return FileOfUsers(written, found)

    def take(self, read: FileOfUsers) -> None:
        """Has the users of a file in place of those that there are."""
        self._saved = read.written
        found = dict(read.users)
        if DEFAULT not in found:
            found[DEFAULT] = self._made(DEFAULT, _DEFAULT_RULES)
            if self._password:
                self.rules.say(found[DEFAULT], f">{self._password}")
        for name, user in list(self._users.items()):
            if name not in found:
                user.is_deleted = True
                del self._users[name]
        for name, user in found.items():
            self._users.setdefault(name, User(name)).become(user)

    def _read(self, lines: list[str]) -> tuple[dict[str, User], list[str]]:
        found: dict[str, User] = {}
        problems: list[str] = []
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            place = f"{self.file}:{number}"
            if words[0] != "user" or len(words) < 2:
                problems.append(
                    f"{place} should start with user keyword followed by the username"
                )
                continue
            name = words[1]
            if has_spaces(name):
                problems.append(f"{place}: username '{name}' contains invalid characters")
                continue
            if name in found:
                problems.append(f"WARNING: Duplicate user '{name}' found on line {number}")
                continue
            try:
                rules = merged(words[2:])
            except RuleError as error:
                problems.append(f"{place}: {str(error).removesuffix('.')}")
                continue
            found[name] = User(name)
            for rule in rules:
                try:
                    self.rules.say(found[name], rule)
                except RuleError as error:
                    problems.append(f"{place}: {error}")
            found[name].become(found[name].copy())
        return found, problems

    def save(self) -> None:
        """Writes the users to the ACL file.

        Raises:
            ArgumentError: without a file.
            CacheStormError: if it cannot be written; the old one is as it was.
        """
        if not self.file:
            raise ArgumentError(_NO_FILE)
        text = "".join([f"{user.describe()}\n" for user in self])
        written = text.encode("utf-8", "surrogateescape")
        try:
            replace_file(Path(self.file), written)
        except OSError as error:
            _log.error("cannot write the ACL file %s: %s", self.file, error.strerror)
            raise CacheStormError(
                "There was an error trying to save the ACLs. Please check the server logs for "
                "more information"
            ) from error
        self._saved = written

    def _made(self, name: str, words: Iterable[str]) -> User:
        user = User(name)
        for rule in words:
            self.rules.say(user, rule)
        user.become(user.copy())
        return user


_NO_FILE: Final = (
    "This Redis instance is not configured to use an ACL file. You may want to specify users "
    "via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis "
    "configuration file set) in order to store users in the Redis configuration."
)
