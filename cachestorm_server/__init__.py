"""The server: RESP and HTTP endpoints to a cache."""
