"""The cluster: several servers that share the 16384 hash slots of one keyspace."""
