"""The server: RESP and HTTP doors to a cache."""
