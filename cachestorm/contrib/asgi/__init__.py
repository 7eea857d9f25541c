"""An HTTP cache in front of an ASGI application: Starlette, FastAPI, Litestar, Quart.

    app = CacheMiddleware(app, cache)                        # any ASGI application
    app.add_middleware(CacheMiddleware, cache=cache)         # Starlette, FastAPI

It is the shared cache of RFC 9111, with the stale responses of RFC 5861, one request to the
application for all who ask at once, and tags.
"""

from cachestorm.contrib.asgi.middleware import CacheMiddleware, add_tags, cache_for

__all__ = ["CacheMiddleware", "add_tags", "cache_for"]
