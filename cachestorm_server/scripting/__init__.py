"""Scripts in Lua: the sandbox, what they are given, what they reply, and their commands."""
