"""`manage.py fill`: three posts to look at, unless there are some."""

from django.core.management.base import BaseCommand

from blog.models import Post


class Command(BaseCommand):
    """Writes the posts."""

    help = "Writes three posts, unless there are some."

    def handle(self, *args: object, **options: object) -> None:
        """Runs it."""
        if not Post.objects.exists():
            for number in (1, 2, 3):
                Post.objects.create(title=f"Post {number}", author="Ada", text="Tags!")
