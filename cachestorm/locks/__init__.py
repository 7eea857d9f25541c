"""Locks that are keys of a cache: for threads, tasks, and clients on the wire."""

from cachestorm.locks.lock import Lock, LockError

__all__ = ["Lock", "LockError"]
