"""The backend's name in dogpile.cache, where the tree at hand is not the installed one."""

from __future__ import annotations

from importlib.metadata import entry_points

from dogpile.cache import register_backend
from dogpile.cache.region import _backend_loader


def ensure() -> None:
    """Registers the backend, unless an entry point of the installed package does."""
    found = entry_points(group="dogpile.cache", name="cachestorm")
    if not found and "cachestorm" not in _backend_loader.impls:
        register_backend("cachestorm", "cachestorm.contrib.dogpile", "CacheStormBackend")
