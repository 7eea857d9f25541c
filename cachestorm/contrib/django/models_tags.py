"""Tags that a model's changes invalidate.

Called where a Django application declares what its caches depend on, by Django's signals.

1. Within a transaction nothing is invalidated before it commits, and nothing if it is rolled
   back.
2. Bulk operations (`update`, `bulk_create`, `bulk_update`, raw SQL) send no signals: call
   `cache.invalidate_tags` after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from django.core.cache import caches
from django.db import models, transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

TagsOf = Callable[[Any], Iterable[str]]
F = TypeVar("F", bound=TagsOf)


def invalidate_on(*kinds: type[models.Model], cache: str = "default") -> Callable[[F], F]:
    """Invalidates what a function names, whenever an object of a model is saved or deleted.

    Args:
        kinds: the models.
        cache: which of CACHES; it must be a CacheStormCache.

    Returns:
        A decorator for a function that takes such an object and returns the tags.

    Raises:
        TypeError: for what is no model.

    Examples:
        @invalidate_on(Post)
        def tags_of_post(post):
            return ["posts", f"post:{post.pk}"]
    """
    given: tuple[object, ...] = kinds
    if not given or not all(isinstance(kind, models.base.ModelBase) for kind in given):
        raise TypeError("invalidate_on needs models: @invalidate_on(Post)")

    def decorate(tags_of: F) -> F:
        def changed(instance: Any, using: str | None = None, **details: Any) -> None:
            if details.get("action", "post_").startswith("pre_"):
                return
            # reversed: the relation of other objects was changed through this one
            if not isinstance(instance, kinds):
                return
            gone(tags_of(instance), using)

        def gone(tags: Iterable[str], using: str | None) -> None:
            names = list(tags)
            if names:
                act = partial(caches[cache].invalidate_tags, *names)
                transaction.on_commit(act, using=using)

        def changed_there(
            kind: type[models.Model],
            field: str,
            instance: Any,
            action: str,
            reverse: bool,
            **details: Any,
        ) -> None:
            # all that are removed are known before only; a commit comes after
            if not reverse or action not in ("post_add", "post_remove", "pre_clear"):
                return
            using = details.get("using")
            chosen: dict[str, Any] = {"pk__in": details.get("pk_set") or ()}
            if action == "pre_clear":
                chosen = {field: instance}
            for each in kind._base_manager.using(using).filter(**chosen):
                gone(tags_of(each), using)

        for kind in kinds:
            post_save.connect(changed, sender=kind, weak=False)
            post_delete.connect(changed, sender=kind, weak=False)
            for field in kind._meta.many_to_many:
                through = field.remote_field.through
                m2m_changed.connect(changed, sender=through, weak=False)
                there = partial(changed_there, kind, field.name)
                m2m_changed.connect(there, sender=through, weak=False)
        return tags_of

    return decorate
