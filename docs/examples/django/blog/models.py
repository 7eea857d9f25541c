"""What is stored."""

from django.db import models


class Post(models.Model):
    """A post of an author."""

    title = models.CharField(max_length=100)
    author = models.CharField(max_length=50)
    text = models.TextField()
