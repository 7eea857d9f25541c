"""Tiers: where values go that do not fit in memory, and come back from."""
