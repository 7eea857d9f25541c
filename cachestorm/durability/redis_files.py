"""Files of Redis and Valkey: an RDB file, or an AOF, read into a cache.

Called by `Cache.load`, and by a server that is started with `--import`. Calls the readers of
RDB values, and the commands of the cache.

1. What a path is, its first bytes say; a directory, or a manifest, is an AOF of many parts.
2. A database is the namespace that SELECT calls by its number. What has expired is left out,
   and so are Redis' functions. Streams and values of modules are refused, with their key.
3. Whatever a length says, nothing is read beyond the end of the file; the checksum of an RDB
   file is looked at before anything is taken from it.
4. The commands of an AOF are run, those of a transaction in one step. A command or a
   transaction that the end of the last file cuts off is left out, as Redis does.

Source: `rdb.c`, `aof.c` of Redis 7.2 and Valkey 9.1.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cachestorm.codec import text_of
from cachestorm.errors import CacheStormError, DamagedFileError, DurabilityError, PayloadError
from cachestorm.keyspace.store import Store, database_name
from cachestorm.payload.crc64 import crc64
from cachestorm.payload.rdb import RdbReader, read_value

if TYPE_CHECKING:
    from cachestorm.cache import Cache

SLICE: Final = 256
MANIFEST: Final = ".manifest"

_REDIS: Final = b"REDIS"
_VALKEY: Final = b"VALKEY"
_HEADER_BYTES: Final = 9
# the first version whose files end with a checksum
_WITH_CHECKSUM: Final = 5
_NEWEST: Final = 12
_FIRST_OF_VALKEY: Final = 80

_SLOT_INFO: Final = 0xF4
_FUNCTION: Final = 0xF5
_MODULE_AUX: Final = 0xF7
_IDLE: Final = 0xF8
_FREQUENCY: Final = 0xF9
_AUX: Final = 0xFA
_RESIZE: Final = 0xFB
_EXPIRES_MS: Final = 0xFC
_EXPIRES: Final = 0xFD
_SELECT: Final = 0xFE
_END: Final = 0xFF
_KINDS: Final = {
    6: "a value of a module",
    7: "a value of a module",
    15: "a stream",
    19: "a stream",
    21: "a stream",
}

_OF_RDB: Final = "see what redis-check-rdb says of it"
_OF_AOF: Final = "let 'redis-check-aof --fix' cut off what is from there on"

_log = logging.getLogger("cachestorm")


class Part(NamedTuple):
    """One file of an AOF.

    Attributes:
        path: of the file.
        is_last: what its end cuts off is left out.
    """

    path: str
    is_last: bool


def parts_of(path: str) -> list[Part] | None:
    """The files that are to be read one after the other; None if it is none of Redis'.

    Raises:
        DurabilityError: for a manifest that cannot be read.
    """
    found = Path(path)
    try:
        if found.is_dir():
            manifests = [*found.glob(f"*{MANIFEST}"), *found.glob(f"*/*{MANIFEST}")]
            return _parts_of_manifest(manifests[0]) if manifests else None
        if found.name.endswith(MANIFEST):
            return _parts_of_manifest(found)
        with open(found, "rb") as file:
            head = file.read(_HEADER_BYTES)
    except OSError as error:
        raise DurabilityError(f"{path} cannot be read: {error.strerror}") from error
    is_theirs = head.startswith((_REDIS, _VALKEY, b"*", b"#TS:"))
    return [Part(path, True)] if is_theirs else None


def _parts_of_manifest(manifest: Path) -> list[Part]:
    names: list[str] = []
    for number, line in enumerate(manifest.read_text("utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        try:
            words = shlex.split(line)
            facts = dict(zip(words[::2], words[1::2], strict=True))
            name, kind = facts["file"], facts["type"]
        except (ValueError, KeyError) as error:
            raise DurabilityError(f"{manifest}: line {number} is not of a manifest") from error
        if kind in ("b", "i") and os.path.basename(name) == name:
            names.append(name)
        elif kind != "h":
            raise DurabilityError(f"{manifest}: line {number} names no file that can be read")
    folder = manifest.parent
    return [Part(str(folder / name), name == names[-1]) for name in names]


def load_into(cache: Cache[Any], path: str) -> bool:
    """Reads a file of Redis into a cache. Returns False if it is none.

    Raises:
        DurabilityError: if it is damaged, or has what a cache cannot store. What was before
            that is in the cache.
    """
    parts = parts_of(path)
    if parts is None:
        return False
    for _ in reading(cache, parts):
        pass
    return True


def reading(cache: Cache[Any], parts: list[Part]) -> Iterator[None]:
    """Does what `load_into` does, a slice at a time.

    Raises:
        DurabilityError: as `load_into`.
    """
    for part in parts:
        try:
            data = Path(part.path).read_bytes()
        except OSError as error:
            raise DurabilityError(f"{part.path} cannot be read: {error.strerror}") from error
        at = 0
        if data.startswith((_REDIS, _VALKEY)):
            rdb = RdbFile(part.path, data)
            yield from rdb.read_into(cache._store)
            at = rdb.ends_at
        yield from AofFile(part, data, at).run_in(cache)


class RdbFile:
    """An RDB file, or the beginning of an AOF that is one.

    Attributes:
        ends_at: where what comes after it begins, once it is read.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self.ends_at = 0
        self._path: Final = path
        self._reader: Final = RdbReader(data, _HEADER_BYTES, len(data))
        self._database = 0
        self._deadline = 0
        digits = data[len(_REDIS) : _HEADER_BYTES].removeprefix(_VALKEY[len(_REDIS) :])
        self._version = int(digits) if digits.isdigit() else 0
        known = 0 < self._version <= _NEWEST or self._version == _FIRST_OF_VALKEY
        if not known:
            raise DurabilityError(
                f"{path} is of a version of RDB that is not known: {digits.decode('latin-1')}"
            )

    def read_into(self, store: Store) -> Iterator[None]:
        """Puts what there is, a slice at a time."""
        reader = self._reader
        is_done = False
        while not is_done:
            store.enter()
            try:
                for _ in range(SLICE):
                    at = int(reader.at)
                    try:
                        is_done = self._read_one(store)
                    except PayloadError as error:
                        raise self._damaged(at) from error
                    if is_done:
                        break
            finally:
                store.leave()
            yield

    def _damaged(self, at: int) -> DamagedFileError:
        return DamagedFileError(self._path, at, "it is not what an RDB file has there", _OF_RDB)

    def _read_one(self, store: Store) -> bool:
        """Reads a key, or what is said of keys. Returns whether it was the end."""
        reader = self._reader
        what = int(reader.byte())
        if what == _END:
            self._check_sum()
            return True
        if what == _SELECT:
            self._database = int(reader.length())
        elif what == _EXPIRES_MS:
            self._deadline = int(reader.int64())
        elif what == _EXPIRES:
            self._deadline = int(reader.signed(4)) * 1000
        elif what in (_AUX, _FUNCTION):
            for _ in range(2 if what == _AUX else 1):
                reader.string()
        elif what in (_RESIZE, _SLOT_INFO):
            for _ in range(2 if what == _RESIZE else 3):
                reader.length()
        elif what == _IDLE:
            reader.length()
        elif what == _FREQUENCY:
            reader.byte()
        elif what == _MODULE_AUX:
            raise DurabilityError(f"{self._path} has data of a module, which a cache has not")
        else:
            self._put(store, what)
        return False

    def _put(self, store: Store, kind: int) -> None:
        reader = self._reader
        key = text_of(reader.string())
        if kind in _KINDS:
            raise DurabilityError(
                f"{self._path}: {key!r} is {_KINDS[kind]}, which a cache has not; delete it "
                f"there, and save again"
            )
        loaded = read_value(reader, kind, self._version >= _FIRST_OF_VALKEY)
        deadline, self._deadline = self._deadline, 0
        now_ms = store.now_ms()
        loaded.drop_due_fields(now_ms)
        if 0 < deadline <= now_ms or deadline < 0 or loaded.is_empty():
            return
        space = store.space(database_name(self._database))
        space.put(key, loaded.value, loaded.kind, deadline, None, None, "restore")

    def _check_sum(self) -> None:
        reader = self._reader
        at = int(reader.at)
        if self._version >= _WITH_CHECKSUM:
            found = int(reader.int64())
            # 0: it was switched off
            if found not in (0, crc64(reader.data, at)):
                raise DamagedFileError(self._path, at, "its checksum is wrong", _OF_RDB)
        self.ends_at = int(reader.at)


class AofFile:
    """The commands of an AOF, from a place on."""

    def __init__(self, part: Part, data: bytes, at: int) -> None:
        self._part: Final = part
        self._data: Final = data
        self._at = at
        self._database = 0
        self._queued: list[list[bytes]] | None = None

    def run_in(self, cache: Cache[Any]) -> Iterator[None]:
        """Runs them, a slice at a time."""
        begun = self._at
        count = 0
        while self._at < len(self._data):
            at = self._at
            argv = self._next()
            if argv is None:
                break
            if argv:
                try:
                    self._take(cache, argv)
                except CacheStormError as error:
                    name = text_of(argv[0])
                    raise DurabilityError(
                        f"{self._part.path}: {name} at offset {at} is refused: {error}"
                    ) from error
            if self._queued is None:
                begun = self._at
            count += 1
            if count % SLICE == 0:
                yield
        if begun < len(self._data):
            if not self._part.is_last:
                raise DamagedFileError(self._part.path, begun, "a command is cut off", _OF_AOF)
            _log.warning(
                "%s: %d bytes at its end, offset %d, are a command that is cut off",
                self._part.path,
                len(self._data) - begun,
                begun,
            )

    def _take(self, cache: Cache[Any], argv: list[bytes]) -> None:
        name = argv[0].upper()
        if name == b"MULTI":
            self._queued = []
        elif name == b"EXEC":
            queued, self._queued = self._queued or [], None
            with cache.transaction():
                for each in queued:
                    self._run(cache, each)
        elif self._queued is not None:
            self._queued.append(argv)
        else:
            self._run(cache, argv)

    def _run(self, cache: Cache[Any], argv: list[bytes]) -> None:
        name = argv[0].upper()
        if name == b"SELECT" and len(argv) == 2 and argv[1].isdigit():
            self._database = int(argv[1])
        elif name != b"FUNCTION":
            cache.database(self._database).execute(*argv)

    def _next(self) -> list[bytes] | None:
        """The next command; empty for a remark, None for one that the end cuts off."""
        line = self._line()
        if line is None:
            return None
        if line.startswith(b"#"):
            return []
        argv = []
        for _ in range(self._number(line, b"*")):
            line = self._line()
            if line is None:
                return None
            size = self._number(line, b"$")
            end = self._at + size
            if end + 2 > len(self._data):
                return None
            argv.append(self._data[self._at : end])
            self._at = end + 2
        return argv

    def _line(self) -> bytes | None:
        end = self._data.find(b"\r\n", self._at)
        if end < 0:
            return None
        line = self._data[self._at : end]
        self._at = end + 2
        return line

    def _number(self, line: bytes, mark: bytes) -> int:
        if not line.startswith(mark) or not line[1:].isdigit():
            at = self._at - len(line) - 2
            raise DamagedFileError(
                self._part.path, at, "it is not what an AOF has there", _OF_AOF
            )
        return int(line[1:])
