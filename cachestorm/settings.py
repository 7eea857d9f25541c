"""The settings of a cache: its limits and its eviction policy, which can be changed in use.

A trait of `Cache`, and the checks of these values, which its constructor uses too. Calls the
store.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import INT64_MAX
from cachestorm.commands.edge import Edge, enter
from cachestorm.errors import ConfigError
from cachestorm.eviction.policies import policy_named
from cachestorm.operations.lifetimes import milliseconds_of
from cachestorm.sizes import parse_size

# what a namespace is given by `Cache(namespaces=)` and by `namespace`
NAMESPACE_SETTINGS: Final = ("default_ttl", "max_memory")
LONGEST_TTL_MS: Final = 1000 * 366 * 86_400_000


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Settings(Edge):
    """The properties of a cache that configure it."""

    @property
    def max_memory(self) -> int | None:
        """The limit of memory in bytes, or None. Setting it evicts what is beyond it.

        Raises:
            ConfigError: for an invalid size.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.max_memory = "64mb"
            >>> cache.max_memory
            67108864
        """
        limit: int = self._store.max_bytes
        return limit or None

    @max_memory.setter
    def max_memory(self, size: int | str | None) -> None:
        limit = limit_bytes(size)
        enter(self)
        try:
            self._store.limit(limit, self._store.max_entries)
        finally:
            self._leave()

    @property
    def max_reply(self) -> int | None:
        """The most bytes that one answer may hold, or None for what is derived.

        It bounds what can be larger than all that is there: `mget` of one key many times,
        `srandmember` with a negative count, `sort` with `get`.
        """
        limit: int = self._store.max_reply_bytes
        return limit or None

    @max_reply.setter
    def max_reply(self, size: int | str | None) -> None:
        self._store.max_reply_bytes = limit_bytes(size)

    @property
    def max_entries(self) -> int | None:
        """The limit of keys, or None. Setting it evicts what is beyond it.

        Raises:
            ConfigError: for anything that is not a positive number.
        """
        limit: int = self._store.max_entries
        return limit or None

    @max_entries.setter
    def max_entries(self, count: int | None) -> None:
        limit = limit_entries(count)
        enter(self)
        try:
            self._store.limit(self._store.max_bytes, limit)
        finally:
            self._leave()

    @property
    def policy(self) -> str:
        """The name of the eviction policy. It can be changed, with all keys in place.

        What the former policy knew of past hits is kept if the new one uses it too; otherwise
        the new one takes some time to learn. A change takes O(N), in one step.

        Raises:
            ConfigError: for an unknown policy.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache(max_memory="64mb")
            >>> cache.policy
            'adaptive'
            >>> cache.policy = "volatile-ttl"
        """
        return self._store.policy_name

    @policy.setter
    def policy(self, name: str) -> None:
        known = policy_named(name)
        enter(self)
        try:
            self._store.go_by(known, self._store.sample_size)
        finally:
            self._leave()

    @property
    def sample_size(self) -> int:
        """How many entries a policy that samples draws for a victim; it can be changed.

        Raises:
            ConfigError: for an invalid sample.
        """
        return self._store.sample_size

    @sample_size.setter
    def sample_size(self, count: int) -> None:
        sample = sample_size_of(count)
        enter(self)
        try:
            self._store.go_by(self._store.policy_name, sample)
        finally:
            self._leave()


def limit_bytes(size: object) -> int:
    return 0 if size is None else parse_size(size)


def limit_entries(count: object) -> int:
    if count is None:
        return 0
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError(f"max_entries is a positive number or None, not {count!r}")
    if count > INT64_MAX:
        raise ConfigError("max_entries fits into 64 bits")
    return int(count)


def sample_size_of(count: object) -> int:
    if not isinstance(count, int):
        raise ConfigError(f"a sample is a number of entries, not {count!r}")
    return int(count)


def default_ttl_ms_of(ttl: object) -> int:
    if ttl is None:
        return 0
    milliseconds = milliseconds_of(ttl)
    if milliseconds <= 0:
        raise ConfigError(f"default_ttl is positive or None, not {ttl!r}")
    if milliseconds > LONGEST_TTL_MS:
        raise ConfigError(f"default_ttl is at most a thousand years, not {ttl!r}")
    return milliseconds
