"""The settings of tiers: what `Cache(warm=…)` takes is read, and the tier is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Final, cast

from cachestorm.errors import ConfigError
from cachestorm.keyspace.store import Store
from cachestorm.sizes import parse_size
from cachestorm.tiers.blob_store import ENGINES
from cachestorm.tiers.warm import WarmTier
from cachestorm.values.forms import Forms

SETTINGS: Final = ("path", "max_size", "engine")


def open_warm(store: Store, forms: Forms | None, warm: object) -> WarmTier:
    """The warm tier of a cache that is being made.

    Args:
        warm: the path of a directory, or a mapping of `SETTINGS`.

    Raises:
        ConfigError: for settings that are none, all of them at once.
        DurabilityError: if the directory cannot be used.
        TypeError: for anything else.
    """
    settings: Mapping[object, object]
    if isinstance(warm, Mapping):
        settings = warm
    elif isinstance(warm, (str, PathLike)):
        settings = {"path": warm}
    else:
        raise TypeError(f"warm is a path, or a dict of {', '.join(SETTINGS)}, not {warm!r}")
    wrong = [
        f"warm takes {', '.join(SETTINGS)}, not {each!r}"
        for each in settings
        if each not in SETTINGS
    ]
    path = settings.get("path")
    if not isinstance(path, (str, PathLike)) or not fspath(path):
        wrong.append(f"the path of warm is that of a directory, not {path!r}")
    max_bytes = 0
    if settings.get("max_size") is not None:
        try:
            max_bytes = parse_size(settings["max_size"])
        except ConfigError as error:
            wrong.append(f"the max_size of warm: {error}")
    engine = settings.get("engine")
    if engine is not None and engine not in ENGINES:
        wrong.append(f"the engine of warm is one of {', '.join(ENGINES)}, not {engine!r}")
    if wrong:
        raise ConfigError("; ".join(wrong))
    where = fspath(cast("str | PathLike[str]", path))
    return WarmTier(store, forms, where, max_bytes, cast("str | None", engine))
