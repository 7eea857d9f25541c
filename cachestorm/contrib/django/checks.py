"""System checks: what is wrong with an entry of CACHES is said before anything is served."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from cachestorm.cache import Cache
from cachestorm.contrib.django.backend import CacheStormCache
from cachestorm.contrib.django.options import Options, settings_of_name
from cachestorm.errors import ConfigError


def aliases() -> list[str]:
    """The aliases in CACHES that are CacheStorm's."""
    found = []
    for alias, entry in settings.CACHES.items():
        try:
            kind = import_string(entry.get("BACKEND", ""))
        except ImportError:
            continue
        if isinstance(kind, type) and issubclass(kind, CacheStormCache):
            found.append(alias)
    return found


def check_caches(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """An error for each of our entries that a backend would refuse."""
    errors = []
    for alias in aliases():
        entry = settings.CACHES[alias]
        try:
            place = Options.read(entry.get("LOCATION", ""), entry).place
            if place.name is not None:
                Cache(**settings_of_name(place.name, place.settings)).close()
        except (ConfigError, TypeError) as error:
            errors.append(Error(f"CACHES[{alias!r}]: {error}", obj=alias, id="cachestorm.E001"))
    return errors
