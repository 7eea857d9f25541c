"""Which tags a change of a post invalidates."""

from blog.models import Post
from cachestorm.contrib.django import invalidate_on


@invalidate_on(Post)
def tags_of_post(post: Post) -> list[str]:
    """The post itself, and every list that it may be in."""
    return [f"post:{post.pk}", "posts"]
