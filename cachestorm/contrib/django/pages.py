"""Pages that are cached by Django's rules and can be invalidated by tags.

Called by views, in place of `django.views.decorators.cache.cache_page`.

1. What is cached, for how long and under which key, is decided by Django's own middleware.
2. Both keys of a page, its body and the list of its headers, have its tags.
3. A page whose tags are invalidated while it is made is not cached, in memory. On a server it
   may be, and then it lasts until its timeout.
4. A page without valid tags is served and not cached.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.cache import CacheMiddleware
from django.utils.decorators import decorator_from_middleware_with_args

from cachestorm.contrib.tag_names import filled_in, usable

# of a view's keyword arguments, or a function of the request and these
Tags = Iterable[str] | Callable[..., Iterable[str]]


def cache_page(
    timeout: float | None,
    *,
    tags: Tags = (),
    cache: str | None = None,
    key_prefix: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Caches the pages of a view, as Django's decorator of this name does, with tags.

    Args:
        timeout: seconds; None for ever.
        tags: names, in which `{pk}` stands for the argument `pk` of the view; or a function
            that is called with the request and the view's arguments and returns names.
        cache: which of CACHES; it must be a CacheStormCache.
        key_prefix: as in Django.

    Examples:
        @cache_page(600, tags=["posts", "post:{pk}"])
        def show(request, pk): ...
    """
    if isinstance(tags, str):
        raise TypeError(f"tags must be a list of names, not the string {tags!r}")
    decorator = decorator_from_middleware_with_args(_TaggedPages)(
        page_timeout=timeout, cache_alias=cache, key_prefix=key_prefix, tags=tags
    )
    return decorator  # type: ignore[no-any-return]


class _Tagged:
    """A cache that gives tags to all that is set."""

    def __init__(self, cache: Any, tags: list[str], before: Any) -> None:
        self._cache = cache
        self._tags = tags
        self._before = before

    def get(self, key: str, default: object = None) -> Any:
        return self._cache.get(key, default)

    def set(self, key: str, value: object, timeout: float | None) -> None:
        self._cache.set_if_unchanged(key, value, timeout, self._tags, self._before)


class _TaggedPages(CacheMiddleware):  # type: ignore[misc]
    """Django's middleware for one view, whose cache gives tags."""

    def __init__(self, get_response: Any, tags: Tags, **options: Any) -> None:
        super().__init__(get_response, **options)
        self._tags = tags
        self._given: list[str] = []
        self._before: Any = None

    @property
    def cache(self) -> Any:
        found = super().cache
        return _Tagged(found, self._given, self._before) if self._given else found

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Finds out the tags while the view's arguments are known."""
        tags = self._tags
        if callable(tags):
            found = tags(request, *args, **kwargs)
        else:
            found = filled_in(tags, kwargs, "the view")
        names = usable(found, f"the page {request.path}")
        before = super().cache.version_of_tags(*names) if names else None
        # a view may call another that is cached, with the same request
        request.__dict__.setdefault("_page_tags", {})[id(self)] = names, before

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Caches the page. Threads share this object, and so a copy of it gets the tags."""
        of_request = copy.copy(self)
        known = getattr(request, "_page_tags", {})
        names, before = known.get(id(self), ([], None))
        if names is None:
            return response
        of_request._given, of_request._before = names, before
        return super(_TaggedPages, of_request).process_response(request, response)
