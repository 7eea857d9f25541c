"""CacheStorm as an application of Django: what an entry in INSTALLED_APPS adds."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class CacheStormConfig(AppConfig):  # type: ignore[misc]
    """System checks, the template tag, the panel in the admin, the management command."""

    name = "cachestorm.contrib.django"
    label = "cachestorm"
    verbose_name = "CacheStorm"
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        """Registers the checks."""
        from cachestorm.contrib.django.checks import check_caches

        register(check_caches, Tags.caches)
