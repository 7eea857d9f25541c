"""`manage.py cachestorm stats|invalidate|clear`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.cache import caches
from django.core.management.base import BaseCommand, CommandError

from cachestorm.contrib.django.checks import aliases


class Command(BaseCommand):  # type: ignore[misc]
    """Looks at the caches that are CacheStorm's, and empties them.

    What is in memory belongs to one process: this command sees a `memory://` cache of its own.
    """

    help = (
        "Shows the statistics of a cache, invalidates tags, or clears it. It works on caches "
        "on a server: one in memory belongs to the process that made it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the subcommands."""
        commands = parser.add_subparsers(dest="action", required=True)
        stats = commands.add_parser("stats", help="what the cache says of itself")
        invalidate = commands.add_parser("invalidate", help="delete all keys with some tag")
        invalidate.add_argument("tags", nargs="+")
        invalidate.add_argument("--dry-run", action="store_true", help="only count")
        clear = commands.add_parser("clear", help="delete all keys")
        for command in (stats, invalidate, clear):
            command.add_argument("--cache", default="default", help="which of CACHES")

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs one of them."""
        alias = options["cache"]
        if alias not in aliases():
            known = ", ".join(aliases()) or "none"
            raise CommandError(
                f"CACHES[{alias!r}] is not a CacheStormCache; those that are: {known}"
            )
        cache = caches[alias]
        if options["action"] == "stats":
            for name, value in sorted(cache.stats().items()):
                self.stdout.write(f"{name}: {value}")
        elif options["action"] == "clear":
            cache.clear()
            self.stdout.write("cleared")
        else:
            dry_run = options["dry_run"]
            count = cache.invalidate_tags(*options["tags"], dry_run=dry_run)
            self.stdout.write(f"{count} keys {'would be deleted' if dry_run else 'deleted'}")
