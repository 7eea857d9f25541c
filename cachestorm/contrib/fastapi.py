"""The HTTP cache in FastAPI, and in Starlette: what a route says of its responses.

app = FastAPI()
app.add_middleware(CacheMiddleware, cache=Cache(max_memory="256mb"))

@app.get("/posts/{pk}", dependencies=[Depends(cached(600, tags=["posts", "post:{pk}"]))])
async def show(pk: int): ...

@app.post("/posts/{pk}")
async def save(pk: int, cache: Annotated[Cache, Depends(cache_of)]):
cache.invalidate(f"post:{pk}")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request

from cachestorm.cache_like import CacheLike
from cachestorm.contrib.asgi import CacheMiddleware, add_tags, cache_for
from cachestorm.contrib.tag_names import filled_in

__all__ = ["CacheMiddleware", "add_tags", "cache_for", "cache_of", "cached"]


def cached(
    ttl: float,
    *,
    tags: Iterable[str] = (),
    stale: float = 0,
    stale_if_error: float = 0,
) -> Callable[[Request], None]:
    """A dependency that has the responses of a route stored.

    Args:
        ttl: seconds for which they are fresh.
        tags: names, in which `{pk}` stands for the path's parameter `pk`.
        stale: seconds afterwards during which they are served while they are reloaded.
        stale_if_error: seconds afterwards during which they stand for an error.

    Raises:
        ValueError: for times that are none.
    """
    if isinstance(tags, str):
        raise TypeError(f"tags must be a list of names, not the string {tags!r}")
    names = list(tags)
    # a wrong time is said when the route is made, not when it is asked for
    cache_for({}, ttl, stale=stale, stale_if_error=stale_if_error)

    def mark(request: Request) -> None:
        made = filled_in(names, request.path_params, "the path")
        cache_for(request, ttl, *made, stale=stale, stale_if_error=stale_if_error)

    return mark


def cache_of(request: Request) -> CacheLike[Any]:
    """The cache of the middleware, as a dependency.

    Raises:
        RuntimeError: if there is no middleware.
    """
    found = request.scope.get("cachestorm.cache")
    if found is None:
        raise RuntimeError("no CacheMiddleware: app.add_middleware(CacheMiddleware, cache=...)")
    return found  # type: ignore[no-any-return]
