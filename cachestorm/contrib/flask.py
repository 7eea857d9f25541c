"""CacheStorm in Flask, by Flask-Caching: a backend, and decorators that take tags.

    app.config["CACHE_TYPE"] = "cachestorm.contrib.flask.CacheStormCache"
    cache = cachestorm.contrib.flask.Cache(app)

    @app.get("/posts/<pk>")
    @cache.cached(timeout=600, tags=["posts", "post:{pk}"])
    def show(pk): ...

    cache.invalidate_tags("posts")

1. CACHE_LOCATION is `memory://name` (by default `memory://default`), `local://name` for what
   the processes of this machine share, or the address of a server; CACHE_OPTIONS has the
   settings of `Cache` or of redis-py's connections, and `serializer`.
2. What is on a server is signed by the application's SECRET_KEY.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

import flask_caching
from flask_caching.backends.base import BaseCache

from cachestorm.contrib import cachelib
from cachestorm.contrib.tag_names import filled_in, usable

# of a call whose result is not to be cached
_UNCACHED: dict[str, Any] = {}
# of a function's arguments, or a function of these
Tags = Iterable[str] | Callable[..., Iterable[str]]


class CacheStormCache(cachelib.CacheStormCache, BaseCache):  # type: ignore[misc]
    """The backend for CACHE_TYPE: all of cachelib's interface, and tags."""

    @classmethod
    def factory(
        cls, app: Any, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]
    ) -> CacheStormCache:
        """Makes it from the configuration of an application.

        Raises:
            ConfigError: for what is wrong in it.
        """
        secret = app.config.get("SECRET_KEY")
        secrets = [secret, *(app.config.get("SECRET_KEY_FALLBACKS") or ())] if secret else []
        options: dict[str, Any] = {
            "key_prefix": config.get("CACHE_KEY_PREFIX") or "",
            "serializer": config.get("CACHE_SERIALIZER") or "pickle",
            "secrets": secrets,
            **kwargs,
        }
        if not args:
            options.setdefault("location", config.get("CACHE_LOCATION", "memory://default"))
        return cls(*args, **options)


class Cache(flask_caching.Cache):  # type: ignore[misc]
    """Flask-Caching's cache, whose decorators and `set` take tags."""

    def cached(self, *args: Any, tags: Tags = (), **options: Any) -> Any:
        """Caches a view, as in Flask-Caching, with tags.

        Args:
            tags: names, in which `{pk}` stands for the view's argument `pk`; or a function of
                the view's arguments that returns names.
            args, options: as in Flask-Caching.
        """
        tagging = _Tagging(self, tags)
        return tagging.around(flask_caching.Cache.cached(tagging, *args, **options))

    def memoize(self, *args: Any, tags: Tags = (), **options: Any) -> Any:
        """Caches a function by its arguments, as in Flask-Caching, with tags as in `cached`."""
        tagging = _Tagging(self, tags)
        return tagging.around(flask_caching.Cache.memoize(tagging, *args, **options))

    def invalidate_tags(self, *tags: str, dry_run: bool = False) -> int:
        """Deletes all keys with any of the tags. Returns how many; or would."""
        return int(self.cache.invalidate_tags(*tags, dry_run=dry_run))


class _Tagging(flask_caching.Cache):  # type: ignore[misc]
    """The cache as one decorated function sees it: what it sets, gets the tags of its call."""

    def __init__(self, parent: Cache, tags: Tags) -> None:
        if isinstance(tags, str):
            raise TypeError(f"tags must be a list of names, not the string {tags!r}")
        self._parent = parent
        self._named = tags
        # the options of `set` for what the call that has just ended has made
        self._of_call: ContextVar[dict[str, Any] | None] = ContextVar("of call", default=None)

    def __getattr__(self, name: str) -> Any:
        # what `init_app` gives to the cache, maybe after the function was decorated
        return getattr(self._parent, name)

    @property
    def cache(self) -> Any:
        return self._parent.cache

    def set(self, *args: Any, **kwargs: Any) -> Any:
        options = self._of_call.get()
        if options is _UNCACHED:
            return False
        return self._parent.set(*args, **kwargs, **(options or {}))

    def around(self, decorate: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A decorator that remembers the tags of each call of the function itself."""

        def decorator(function: Callable[..., Any]) -> Any:
            signature = inspect.signature(function)
            name = function.__qualname__

            # the tags are set when the function has ended: it may have called itself

            @functools.wraps(function)
            def called(*args: Any, **kwargs: Any) -> Any:
                options = self._options_of(name, signature, args, kwargs)
                made = function(*args, **kwargs)
                self._of_call.set(options)
                return made

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                options = self._options_of(name, signature, args, kwargs)
                made = await function(*args, **kwargs)
                self._of_call.set(options)
                return made

            return decorate(awaited if inspect.iscoroutinefunction(function) else called)

        return decorator

    def _options_of(
        self,
        what: str,
        signature: inspect.Signature,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        """The tags of a call, and what tells whether they are invalidated while it runs."""
        if callable(self._named):
            found = self._named(*args, **kwargs)
        else:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            found = filled_in(self._named, bound.arguments, "the function")
        tags = usable(found, f"a result of {what}")
        if tags is None:
            return _UNCACHED
        if not tags:
            return {}
        return {"tags": tags, "if_unchanged": self.cache.version_of_tags(*tags)}
