"""The migrations of CacheStorm: they make no table."""
