"""The template tag of CacheStorm."""
