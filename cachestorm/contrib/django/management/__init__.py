"""The management command of CacheStorm."""
