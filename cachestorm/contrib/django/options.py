"""What an entry of CACHES says: where the values are, and with which settings.

Called by the backend and by the system checks.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings

from cachestorm.cache import Cache
from cachestorm.contrib.serializers import Serializer, serializer_of
from cachestorm.errors import ConfigError
from cachestorm.remote.address import SCHEMES, Address, connection_options

# BaseCache has read these; they are no settings of ours
DJANGO = frozenset(["MAX_ENTRIES", "CULL_FREQUENCY"])
MEMORY = "memory"


@dataclass(frozen=True)
class Options:
    """One entry of CACHES, checked.

    Attributes:
        name: of the store in this process; None for one on a server.
        settings: of the `Cache` in this process.
        address: of the server; None for a store in this process.
        serializer: of values.
        ignores_errors: whether errors of the server are swallowed.
        culls: whether MAX_ENTRIES is given, and Django's rule for it applies.
    """

    name: str | None
    settings: dict[str, Any]
    address: Address | None
    serializer: Serializer
    ignores_errors: bool
    culls: bool

    @classmethod
    def read(cls, location: str, params: Mapping[str, Any]) -> Options:
        """Checks LOCATION and OPTIONS.

        Raises:
            ConfigError: for what is wrong with them.
        """
        given = dict(params.get("OPTIONS") or {})
        culls = "MAX_ENTRIES" in given or "max_entries" in params
        serializer = serializer_of(given.pop("serializer", "pickle"))
        ignores = given.pop("IGNORE_ERRORS", False)
        if not isinstance(ignores, bool):
            raise ConfigError(f"IGNORE_ERRORS: use True or False, not {ignores!r}")
        for option in DJANGO:
            given.pop(option, None)
        scheme, separator, name = location.partition("://")
        if not separator or scheme == MEMORY:
            name = (name if separator else location) or "default"
            _refuse_unknown(given, cache_settings(), f"memory://{name}")
            return cls(name, given, None, serializer, ignores, culls)
        if scheme not in SCHEMES:
            raise ConfigError(
                f"LOCATION begins with {scheme}://: use memory://name for a cache in this "
                "process, or redis://, rediss:// or unix:// for one on a server"
            )
        address = Address.parse(location)
        _refuse_unknown(given, connection_options(), address.shown)
        return cls(None, {}, Address.parse(location, given), serializer, ignores, culls)


def _refuse_unknown(given: Mapping[str, Any], known: frozenset[str], shown: str) -> None:
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ConfigError(
            f"OPTIONS of {shown} has no {', '.join(map(repr, unknown))}: use "
            f"{', '.join(sorted(known | DJANGO | {'serializer', 'IGNORE_ERRORS'}))}"
        )


@lru_cache(maxsize=1)
def cache_settings() -> frozenset[str]:
    """The parameters of `Cache`."""
    return frozenset(inspect.signature(Cache.__init__).parameters) - {"self"}


def settings_of_name(name: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a store in this process, gathered from all aliases that share it.

    Raises:
        ConfigError: if two of them contradict each other.
    """
    gathered = dict(own)
    for alias, entry in getattr(settings, "CACHES", {}).items():
        location = str(entry.get("LOCATION", ""))
        if "://" in location and not location.startswith(f"{MEMORY}://"):
            continue
        if (location.removeprefix(f"{MEMORY}://") or "default") != name:
            continue
        for option, value in (entry.get("OPTIONS") or {}).items():
            if option not in cache_settings():
                continue
            if gathered.setdefault(option, value) != value:
                raise ConfigError(
                    f"CACHES[{alias!r}] gives another {option} for memory://{name} than an "
                    "alias that shares it: give the same, or use another LOCATION"
                )
    return gathered
