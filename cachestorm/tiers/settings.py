"""The settings of tiers: what `Cache(warm=…, cold=…)` takes is read, and the tiers are made."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Final, cast

from cachestorm.errors import ConfigError
from cachestorm.keyspace.store import Store
from cachestorm.operations.lifetimes import milliseconds_of
from cachestorm.sizes import parse_size
from cachestorm.tiers.blob_store import ENGINES
from cachestorm.tiers.cold import LEASE_S, TIMEOUT_S, ColdLevel, check_url
from cachestorm.tiers.tiers import Tiers
from cachestorm.tiers.warm import WarmLevel
from cachestorm.values.forms import Forms

WARM_SETTINGS: Final = ("path", "max_size", "engine")
COLD_SETTINGS: Final = (
    "url",
    "max_size",
    "endpoint",
    "region",
    "allow_http",
    "timeout",
    "credentials",
    "orphans_after",
)


def open_tiers(store: Store, forms: Forms | None, warm: object, cold: object) -> Tiers:
    """The tiers of a cache that is being made.

    Args:
        warm: the path of a directory, or a mapping of `WARM_SETTINGS`; None for none.
        cold: the URL of an object store, or a mapping of `COLD_SETTINGS`; None for none.

    Raises:
        ConfigError: for settings that are none, all of them at once.
        DurabilityError: if the directory cannot be used, or the object store refuses.
        TypeError: for anything else.
    """
    wrong: list[str] = []
    warm_settings = _Settings("warm", "path", WARM_SETTINGS, warm, wrong)
    cold_settings = _Settings("cold", "url", COLD_SETTINGS, cold, wrong)
    path, max_warm, engine = "", 0, None
    if warm is not None:
        path = warm_settings.path()
        max_warm = warm_settings.size()
        engine = warm_settings.get("engine")
        if engine is not None and engine not in ENGINES:
            wrong.append(f"the engine of warm is one of {', '.join(ENGINES)}, not {engine!r}")
    if cold is not None:
        message = check_url(cold_settings.get("url"))
        if message:
            wrong.append(message)
        max_cold = cold_settings.size()
        endpoint, region = cold_settings.text("endpoint"), cold_settings.text("region")
        credentials = cold_settings.text("credentials")
        allow_http = cold_settings.get("allow_http")
        if allow_http is not None and not isinstance(allow_http, bool):
            wrong.append(f"the allow_http of cold is True or False, not {allow_http!r}")
        timeout_s = cold_settings.seconds("timeout", TIMEOUT_S)
        lease_s = cold_settings.seconds("orphans_after", LEASE_S)
    if wrong:
        raise ConfigError("; ".join(wrong))
    coldest = None
    if cold is not None:
        coldest = ColdLevel(
            store,
            cast(str, cold_settings.get("url")),
            max_cold,
            endpoint=endpoint,
            region=region,
            allow_http=bool(allow_http),
            timeout_s=timeout_s,
            credentials=credentials,
            lease_s=lease_s,
        )
    try:
        warmer = None
        if warm is not None:
            warmer = WarmLevel(store, path, max_warm, cast("str | None", engine))
        return Tiers(store, forms, warmer, coldest)
    except BaseException:
        if coldest is not None:
            coldest.give_back()
        raise


class _Settings:
    """What a tier was given, and what is wrong with it."""

    def __init__(
        self, tier: str, first: str, known: tuple[str, ...], given: object, wrong: list[str]
    ) -> None:
        self._tier: Final = tier
        self._wrong: Final = wrong
        self._given: Mapping[object, object] = {}
        if isinstance(given, Mapping):
            self._given = given
        elif isinstance(given, (str, PathLike)):
            self._given = {first: given}
        elif given is not None:
            what = "a path" if first == "path" else "a URL"
            raise TypeError(f"{tier} is {what}, or a dict of {', '.join(known)}, not {given!r}")
        wrong.extend(
            f"{tier} takes {', '.join(known)}, not {each!r}"
            for each in self._given
            if each not in known
        )

    def get(self, name: str) -> object:
        return self._given.get(name)

    def path(self) -> str:
        path = self.get("path")
        if not isinstance(path, (str, PathLike)) or not fspath(path):
            self._wrong.append(f"the path of {self._tier} is that of a directory, not {path!r}")
            return ""
        return fspath(cast("str | PathLike[str]", path))

    def size(self) -> int:
        if self.get("max_size") is None:
            return 0
        try:
            return parse_size(self.get("max_size"))
        except ConfigError as error:
            self._wrong.append(f"the max_size of {self._tier}: {error}")
            return 0

    def text(self, name: str) -> str:
        found = self.get(name)
        if found is not None and not isinstance(found, str):
            self._wrong.append(f"the {name} of {self._tier} is a str, not {found!r}")
            return ""
        return found or ""

    def seconds(self, name: str, default: float) -> float:
        found = self.get(name)
        if found is None:
            return default
        try:
            span_ms = milliseconds_of(found)
        except (ValueError, TypeError):
            span_ms = 0
        if span_ms <= 0:
            self._wrong.append(
                f"the {name} of {self._tier} is a time such as 5 or '5s', not {found!r}"
            )
        return span_ms / 1000
