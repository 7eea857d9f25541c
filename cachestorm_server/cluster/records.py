"""The records: what an authority keeps outside of the cluster, and how it is asked for it.

A few small values under names, in a store that answers as if there were one copy of them, and
that replaces a value only if it is still the one that was read. Implemented by `etcd_store.py`
and `kubernetes_store.py`, and by the simulator of the tests; asked by `governing.py`, in a
thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from cachestorm.errors import CacheStormError

# the version of what does not exist
ABSENT: Final = ""


class StoreError(CacheStormError):
    """The store was not reached, did not answer in time or refuses: it may have done it."""

    exit_code = 2


class Record(NamedTuple):
    """A value, and the version of it that a change is to name."""

    version: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """Asks for all records; answered by a dict, as of one moment."""


@dataclass(frozen=True, slots=True)
class Put:
    """Replaces a record of this version; answered by its next one, ABSENT if it has another."""

    name: str
    value: bytes
    version: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Removes a record of this version; answered by whether it had it."""

    name: str
    version: str


Request = Look | Put | Remove
Answer = dict[str, Record] | str | bool


class RecordStore(Protocol):
    """A store. All calls block, for a bounded time.

    Names are of small letters, digits and hyphens.
    """

    def look(self) -> dict[str, Record]:
        """All records, as of one moment not before the call.

        Raises:
            StoreError: if it is not reached.
        """
        ...

    def put(self, name: str, value: bytes, version: str) -> str:
        """Replaces a record, or makes one that is ABSENT. Returns its version; else ABSENT.

        Raises:
            StoreError: if it is not known what has happened.
        """
        ...

    def remove(self, name: str, version: str) -> bool:
        """Removes a record. Returns whether it was there in this version.

        Raises:
            StoreError: if it is not known what has happened.
        """
        ...

    def close(self) -> None:
        """Ends all connections."""
        ...


def do(store: RecordStore, request: Request) -> Answer:
    """Has a store do what is asked.

    Raises:
        StoreError: if it is not known what has happened.
    """
    if isinstance(request, Put):
        return store.put(request.name, request.value, request.version)
    if isinstance(request, Remove):
        return store.remove(request.name, request.version)
    return store.look()
