"""The application, which declares what its caches depend on."""

from django.apps import AppConfig


class BlogConfig(AppConfig):
    """The blog."""

    name = "blog"

    def ready(self) -> None:
        """Connects the tags to the model."""
        from blog import tags  # noqa: F401
