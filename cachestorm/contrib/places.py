"""Where a framework's cache is: the address and the settings that a user writes down.

Called by the backends, which say what their framework calls these.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cachestorm.contrib.memory_store import STORES, MemoryStore
from cachestorm.contrib.serializers import SignedValues, serializer_of
from cachestorm.errors import ConfigError
from cachestorm.remote.address import (
    CLUSTER,
    LOCAL,
    MEMORY,
    SCHEMES,
    Address,
    cache_settings,
    connection_options,
    options_in,
)
from cachestorm.suggestions import did_you_mean

if TYPE_CHECKING:
    from cachestorm.remote.remote_cache import RemoteCache

ADDRESSES = (
    "memory://name for a cache in this process, local://name for one that the processes of "
    "this machine share, redis://, rediss:// or unix:// for one on a server, or "
    "cluster://host:6379,host:6379 for one on a cluster"
)


@dataclass(frozen=True)
class Place:
    """A cache in this process, or elsewhere.

    Attributes:
        name: of the store in this process; None for one elsewhere.
        settings: of the `Cache`, in this process or of `local://`.
        address: of the server, or of `local://`; None for a store in this process.
    """

    name: str | None
    settings: dict[str, Any]
    address: Address | None

    @classmethod
    def read(
        cls, location: str, options: Mapping[str, Any], others: Collection[str] = ()
    ) -> Place:
        """Checks an address and its options.

        Args:
            location: `memory://name`, or a name alone, for this process; `local://name` for
                the processes of this machine; `redis://`, `rediss://` or `unix://` for a
                server; `cluster://` for a cluster.
            options: settings of `Cache`, or of redis-py's connections; for `local://` both,
                and `linger`. Those of the address count before them.
            others: what else the framework lets its user write, for the message.

        Raises:
            ConfigError: for what is wrong with them.
        """
        location, told = options_in(location)
        options = {**options, **told}
        scheme, separator, name = location.partition("://")
        if not separator and (":" in location or "/" in location):
            # a typing error must not become a cache of one process
            raise ConfigError(
                f"the location {location.rpartition('@')[2]!r} is neither a name nor an "
                f"address: use {ADDRESSES}"
            )
        if not separator or scheme == MEMORY:
            name = (name if separator else location) or "default"
            _refuse_unknown(options, cache_settings(), f"memory://{name}", others)
            return cls(name, dict(options), None)
        if scheme == LOCAL:
            connection_options()  # which says what is to be installed
            from cachestorm.remote.local import local_options

            _refuse_unknown(options, local_options(), location, others)
            settings = {each: options[each] for each in cache_settings() & options.keys()}
            return cls(None, settings, Address.read(location, options))
        if scheme not in (*SCHEMES, CLUSTER):
            raise ConfigError(f"the location begins with {scheme}://: use {ADDRESSES}")
        address = Address.read(location)
        _refuse_unknown(options, connection_options(), address.shown, others)
        return cls(None, {}, Address.read(location, options))


def open_store(
    location: str,
    options: Mapping[str, Any],
    *,
    serializer: object = "pickle",
    secrets: Sequence[str | bytes] = (),
    ignore_errors: bool = False,
) -> MemoryStore | RemoteCache:
    """The store at an address.

    Args:
        location, options: as in `Place.read`.
        serializer: a name, a dotted path or an object.
        secrets: what values on a server are signed with; the first for new ones.
        ignore_errors: whether an error of the server counts as an empty cache.

    Raises:
        ConfigError: for what is wrong with them.
    """
    place = Place.read(location, options)
    made = serializer_of(serializer)
    if place.address is None:
        assert place.name is not None
        return MemoryStore(STORES.cache(place.name, place.settings), made)
    from cachestorm.remote.remote_cache import RemoteCache

    values = SignedValues(made, secrets)
    return RemoteCache(place.address, values, ignore_errors=ignore_errors)


def _refuse_unknown(
    given: Mapping[str, Any], known: frozenset[str], shown: str, others: Collection[str]
) -> None:
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ConfigError(
            f"{shown} has no option {', '.join(map(repr, unknown))}: use "
            f"{', '.join(sorted(known | set(others)))}"
            f"{did_you_mean(unknown, known | set(others))}"
        )
