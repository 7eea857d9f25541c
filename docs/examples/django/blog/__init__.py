"""A blog: the example's only application."""
