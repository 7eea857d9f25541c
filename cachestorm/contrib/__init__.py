"""CacheStorm in frameworks: Django, Flask, dogpile.cache, Starlette and FastAPI.

Each subpackage imports its framework, which this package does not bring along.
"""
