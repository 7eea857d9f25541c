"""Replication: a server that follows another one's changes."""
