"""A small blog whose pages are cached, and invalidated by tags when a post is saved.

python docs/examples/django/manage.py runserver
"""

import os
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command, execute_from_command_line

HERE = Path(__file__).resolve().parent
DATABASE = os.environ.get("BLOG_DATABASE", HERE / "blog.sqlite3")

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        # on a server for all workers: LOCATION="redis://127.0.0.1:6380/0"
        CACHES={
            "default": {
                "BACKEND": "cachestorm.contrib.django.CacheStormCache",
                "LOCATION": os.environ.get("BLOG_CACHE", "memory://blog"),
            }
        },
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
        DEBUG=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["cachestorm.contrib.django", "blog"],
        ROOT_URLCONF="blog.urls",
        SECRET_KEY="only an example",
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
        ],
    )

if __name__ == "__main__":
    if "runserver" in sys.argv:
        django.setup()
        call_command("migrate", verbosity=0)
        call_command("fill")
    execute_from_command_line(sys.argv)
