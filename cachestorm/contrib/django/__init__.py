"""CacheStorm as Django's cache: the backend, tags for pages and models, a panel in the admin.

In the settings:

    CACHES = {"default": {"BACKEND": "cachestorm.contrib.django.CacheStormCache"}}

and, for the template tag, the checks, the panel and the management command, also
`"cachestorm.contrib.django"` in INSTALLED_APPS.
"""

from cachestorm.contrib.django.backend import CacheStormCache
from cachestorm.contrib.django.models_tags import invalidate_on
from cachestorm.contrib.django.pages import cache_page

__all__ = ["CacheStormCache", "cache_page", "invalidate_on"]
