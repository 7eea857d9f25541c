"""What an entry of CACHES says: where the values are, and with which settings.

Called by the backend and by the system checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from cachestorm.contrib.places import Place
from cachestorm.contrib.serializers import Serializer, serializer_of
from cachestorm.errors import ConfigError
from cachestorm.remote.address import MEMORY, cache_settings, options_in

# what OPTIONS has beside the settings of a cache or a connection; BaseCache reads the first two
OTHERS = ("MAX_ENTRIES", "CULL_FREQUENCY", "serializer", "IGNORE_ERRORS")


@dataclass(frozen=True)
class Options:
    """One entry of CACHES, checked.

    Attributes:
        place: where the values are.
        serializer: of values.
        serializer_id: what tells it from another: its name or path, or the id of an object.
        ignores_errors: whether errors of the server are swallowed.
        culls: whether MAX_ENTRIES is given, and Django's rule for it applies.
    """

    place: Place
    serializer: Serializer
    serializer_id: object
    ignores_errors: bool
    culls: bool

    @classmethod
    def read(cls, location: object, params: Mapping[str, Any]) -> Options:
        """Checks LOCATION and OPTIONS.

        Raises:
            ConfigError: for what is wrong with them.
        """
        if not isinstance(location, str):
            raise ConfigError(
                f"LOCATION must be one string, not a {type(location).__name__}: a list of "
                "replicas is not taken"
            )
        given = dict(params.get("OPTIONS") or {})
        culls = "MAX_ENTRIES" in given or "max_entries" in params
        ignores = given.get("IGNORE_ERRORS", False)
        if not isinstance(ignores, bool):
            raise ConfigError(f"IGNORE_ERRORS: use True or False, not {ignores!r}")
        _check_timeout(params.get("timeout", params.get("TIMEOUT")))
        named = given.get("serializer", "pickle")
        serializer = serializer_of(named)
        for option in OTHERS:
            given.pop(option, None)
        place = Place.read(location, given, OTHERS)
        known_by = named if isinstance(named, str) else id(named)
        return cls(place, serializer, known_by, ignores, culls)


def _check_timeout(timeout: object) -> None:
    """Refuses what Django would silently take for 300 seconds."""
    try:
        if timeout is not None:
            int(timeout)  # type: ignore[call-overload]
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"TIMEOUT: {timeout!r} is refused: use a number of seconds, or None for ever"
        ) from error


def settings_of_name(name: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a store in this process, gathered from all aliases that share it.

    Raises:
        ConfigError: if two of them contradict each other.
    """
    gathered = dict(own)
    for alias, entry in getattr(settings, "CACHES", {}).items():
        location, told = options_in(str(entry.get("LOCATION", "")))
        if "://" in location and not location.startswith(f"{MEMORY}://"):
            continue
        if (location.removeprefix(f"{MEMORY}://") or "default") != name:
            continue
        for option, value in {**(entry.get("OPTIONS") or {}), **told}.items():
            if option not in cache_settings():
                continue
            if gathered.setdefault(option, value) != value:
                raise ConfigError(
                    f"CACHES[{alias!r}] gives another {option} for memory://{name} than an "
                    "alias that shares it: give the same, or use another LOCATION"
                )
    return gathered
