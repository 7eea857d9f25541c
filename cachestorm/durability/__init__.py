"""Durability: the journal and the snapshots by which a cache survives a restart."""
