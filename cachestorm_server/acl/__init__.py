"""Users: what they may do, how that is written, where it is kept, and their commands."""
