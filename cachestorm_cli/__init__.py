"""The command line of CacheStorm."""
