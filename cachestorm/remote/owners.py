"""The owners: processes that each hold a cache which the workers of a machine share.

Called by the connections of `local.py`. Starts `cachestorm_server.owner` as a detached
process: an owner inside a busy worker would answer only when that worker's interpreter lets it,
and would go with it.

1. The sockets are in a folder that only this user may enter, and who answers there must be a
   process of this user.
2. Whoever starts an owner, or is one and leaves, holds the lock of its name meanwhile. So of
   several who start one at once, one does.
3. An owner is nobody's child, so that nobody has to wait for its end.
4. What an owner has to say goes to a log beside its socket, which each start empties.
5. Who starts an owner leaves its settings in the file of the lock. Who asks for others later is
   told in the log that they do not count.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from cachestorm.errors import ConfigError
from cachestorm.remote.refusals import UnreachableError

logger = logging.getLogger("cachestorm.remote")

STARTS_WITHIN_S: Final = 30.0
_LOOK_S: Final = 0.01
_ANSWERS_WITHIN_S: Final = 1.0
# what an address of a socket may have, on the system that allows the least
_LONGEST_PATH: Final = 103
_IN_NAMES: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
)
# the second process: its parent ends at once, and is waited for
_BOOT: Final = (
    "import os, sys; os.fork() and os._exit(0); import json; "
    "sys.path[:] = json.loads(sys.argv[2]); "
    "from cachestorm_server.owner import main; sys.exit(main(sys.argv[1]))"
)
# who answers nobody: no socket, or one whose process has died
NOBODY: Final = (FileNotFoundError, ConnectionRefusedError)

# descriptors that are open only while an owner is started: a child that is forked meanwhile by
# another thread would hold the lock, and the other end of the pipe, for as long as it lives
_brief: Final[set[int]] = set()


def _close_brief() -> None:
    for descriptor in list(_brief):
        with suppress(OSError):
            os.close(descriptor)
    _brief.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_brief)


class Owner:
    """The owner of one name, who may have to be started.

    Args:
        name: letters, digits, `-`, `_` and `.`.
        linger_s: how long it stays without a client.
        settings: of its `Cache`; they count if this process starts it.

    Attributes:
        path: of its socket.
        pid: of the one that was connected to last; None before, and where the system does not
            tell.

    Raises:
        ConfigError: for a name that is none, and where there are no such sockets.
    """

    def __init__(self, name: str, linger_s: float, settings: dict[str, Any]) -> None:
        if sys.platform == "win32" or not hasattr(socket, "AF_UNIX"):
            raise ConfigError(
                f"local://{name} needs sockets of Unix, which this system does not have: run a "
                "server, and use redis://host:6380"
            )
        if not name or name.startswith(".") or set(name) - _IN_NAMES:
            raise ConfigError(
                f"local://{name}: use local://name, with letters, digits, '-', '_' and '.'"
            )
        self._name: Final = name
        self._linger_s: Final = linger_s
        self._settings: Final = settings
        self._settle()

    def _settle(self) -> None:
        self._uid = os.getuid()
        self._folder = _folder()
        _make_private(self._folder)
        base = os.path.join(self._folder, self._name)
        self.path = f"{base}.sock"
        self._lock_path = f"{base}.lock"
        self._log_path = f"{base}.log"
        self.pid: int | None = None
        if len(os.fsencode(self.path)) > _LONGEST_PATH:
            raise ConfigError(
                f"local://{self._name}: {self.path} is too long for a socket: use a shorter "
                "name, or set XDG_RUNTIME_DIR to a shorter path"
            )

    def place(self) -> str:
        """The path of the socket, for the user that this process runs as by now.

        A server that begins as root gives its workers another user when it has forked them.

        Raises:
            ConfigError: if that user has no folder for it.
        """
        if os.getuid() != self._uid:
            self._settle()
        return self.path

    def ensure(self) -> None:
        """Starts an owner, unless somebody else has by now.

        Raises:
            UnreachableError: if none can be started; it says why.
        """
        # the system may have cleared it away meanwhile
        _make_private(self._folder)
        with self._locked() as lock:
            if not self._is_there():
                os.ftruncate(lock, 0)
                os.pwrite(lock, json.dumps(self._settings).encode(), 0)
                self._start()

    def is_gone(self, pid: int | None) -> bool:
        """Whether an owner that was connected to has ended, and its values with it.

        Takes up to _ANSWERS_WITHIN_S.
        """
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(0)
            try:
                probe.connect(self.path)
            except NOBODY:
                return True
            except OSError:
                # too busy to take another client
                return False
            if pid is not None and peer_of(probe)[0] != pid:
                return True
            # a process that is being ended may still be connected to
            probe.settimeout(_ANSWERS_WITHIN_S)
            try:
                probe.sendall(b"PING\r\n")
                return probe.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

    def attached(self, peer: socket.socket) -> int | None:
        """Checks who answers, and says if the values have gone. Returns its process id.

        Raises:
            UnreachableError: if it is a process of another user.
        """
        pid, uid = peer_of(peer)
        if uid != os.getuid():
            raise UnreachableError(f"{self.path} is answered by user {uid}, not by this one")
        if self.pid is not None and pid != self.pid:
            logger.warning(
                "local://%s: process %d, which held its values, is gone; process %s begins "
                "without any",
                self._name,
                self.pid,
                pid,
            )
        if self.pid is None or pid != self.pid:
            self._tell_of_settings()
        self.pid = pid
        return pid

    def _tell_of_settings(self) -> None:
        try:
            with open(self._lock_path, encoding="utf-8") as file:
                counting = json.load(file)
            differing = {
                name: (counting.get(name), value)
                for name, value in json.loads(json.dumps(self._settings)).items()
                if counting.get(name) != value
            }
        except (OSError, ValueError, AttributeError):
            # somebody else has cleared it away, or written it
            return
        for name, (theirs, ours) in differing.items():
            logger.warning(
                "local://%s: %s=%r does not count: whoever started its owner gave %r; give all "
                "the same",
                self._name,
                name,
                ours,
                theirs,
            )

    def _is_there(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(0)
            try:
                probe.connect(self.path)
            except NOBODY:
                return False
            except OSError:
                return True
        return True

    @contextmanager
    def _locked(self) -> Iterator[int]:
        import fcntl

        held = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _brief.add(held)
        try:
            deadline = time.monotonic() + STARTS_WITHIN_S
            while True:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise UnreachableError(
                            f"somebody has held {self._lock_path} for {STARTS_WITHIN_S:g} "
                            "seconds"
                        ) from None
                time.sleep(_LOOK_S)
            yield held
        finally:
            _brief.discard(held)
            with suppress(OSError):
                fcntl.flock(held, fcntl.LOCK_UN)
            os.close(held)

    def _start(self) -> None:
        ready, said = os.pipe()
        mine = {ready, said}
        _brief.update(mine)
        task = {
            "path": self.path,
            "lock": self._lock_path,
            "linger_s": self._linger_s,
            "settings": self._settings,
            "ready": said,
        }
        places = [os.path.abspath(place) for place in sys.path]
        try:
            log = os.open(self._log_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(log, "rb") as errors:
                with subprocess.Popen(
                    [_interpreter(), "-P", "-c", _BOOT, json.dumps(task), json.dumps(places)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=[said],
                    start_new_session=True,
                    cwd="/",
                ) as process:
                    pass
                # the next descriptor that any thread opens may have its number
                mine.discard(said)
                _brief.discard(said)
                os.close(said)
                if not _said_ready(ready):
                    with suppress(OSError):
                        os.killpg(process.pid, signal.SIGKILL)
                    errors.seek(0)
                    reason = errors.read().decode("utf-8", "replace").strip()
                    raise UnreachableError(
                        "no owner could be started: "
                        f"{reason.rpartition(chr(10))[2] or 'it did not begin in time'}"
                    )
            logger.info("local://%s: started its owner", self._name)
        finally:
            for descriptor in mine:
                _brief.discard(descriptor)
                os.close(descriptor)


def _interpreter() -> str:
    """Python's executable; in a program that has one built in, the one beside its library.

    Raises:
        UnreachableError: if there is none.
    """
    if "py" in os.path.basename(sys.executable or "") and not getattr(sys, "frozen", False):
        return sys.executable
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    beside = os.path.join(sys.exec_prefix, "bin", version)
    if not os.access(beside, os.X_OK):
        raise UnreachableError(
            f"there is no {beside} to start an owner with: run a server, and use unix:///path"
        )
    return beside


def _said_ready(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(STARTS_WITHIN_S * 1000):
        return False
    return os.read(descriptor, 16) == b"ready"


def _folder() -> str:
    """Where the sockets are."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        return os.path.join(base, "cachestorm")
    return os.path.join(tempfile.gettempdir(), f"cachestorm-{os.getuid()}")


def _make_private(folder: str) -> None:
    """Makes a folder that only this user may enter.

    Raises:
        ConfigError: if it cannot be, or is somebody else's, or open to others.
    """
    try:
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        facts = os.lstat(folder)
    except OSError as error:
        raise ConfigError(
            f"local:// has no folder for its sockets: {error}; set XDG_RUNTIME_DIR to one of "
            "this user, or leave it out for the temporary folder"
        ) from error
    is_open = facts.st_mode & 0o077
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or is_open:
        raise ConfigError(
            f"local://: {folder} must be a folder of this user that nobody else enters (mode "
            f"0700), not of user {facts.st_uid} with mode {stat.S_IMODE(facts.st_mode):04o}"
        )


def peer_of(connected: socket.socket) -> tuple[int | None, int]:
    """The process and the user at the other end.

    Where the system does not tell, what keeps others out is that the folder is closed to them.

    Source: unix(7) of Linux, unix(4) of macOS.
    """
    if sys.platform == "linux":
        size = struct.calcsize("3i")
        raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        pid, uid, _ = struct.unpack("3i", raw)
        return pid, uid
    if sys.platform == "darwin":
        # SOL_LOCAL with LOCAL_PEERCRED, whose second field is the user, and LOCAL_PEERPID
        uid = struct.unpack_from("2I", connected.getsockopt(0, 1, 76))[1]
        return connected.getsockopt(0, 2), uid
    return None, os.getuid()
