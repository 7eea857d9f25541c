"""Memoized functions: results kept in a cache, under keys that the arguments make."""

from cachestorm.memoizing.memoized import CacheInfo, Memoized, TemplateError

__all__ = ["CacheInfo", "Memoized", "TemplateError"]
