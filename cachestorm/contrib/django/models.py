"""What the panel in the admin hangs on: a model without a table."""

from __future__ import annotations

from django.db import models


class CachePanel(models.Model):  # type: ignore[misc]
    """Stands for the caches, so that the admin lists them and knows who may change them."""

    class Meta:
        managed = False
        default_permissions = ("view", "change")
        verbose_name = "cache"
        verbose_name_plural = "caches"
