"""A panel in the admin: what the caches hold, and an invalidation that says first what goes.

1. Who may see it has the permission `cachestorm.view_cachepanel`; who may invalidate,
   `cachestorm.change_cachepanel`.
2. The first press only counts (`dry_run`); the second, on the page that shows the number,
   deletes.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.cache import caches
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from cachestorm.contrib.django.checks import aliases
from cachestorm.contrib.django.models import CachePanel


@admin.register(CachePanel)
class CachePanelAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """The page of all caches that are CacheStorm's."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: caches come from the settings."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody, likewise."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Statistics; on POST, a count of what would go, or its deletion."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Caches",
            "opts": self.model._meta,
            "aliases": aliases(),
            "can_invalidate": self.has_change_permission(request),
            **(extra_context or {}),
        }
        if request.method == "POST":
            if not self.has_change_permission(request):
                raise PermissionDenied
            alias = request.POST.get("alias", "")
            tags = request.POST.get("tags", "").replace(",", " ").split()
            if alias not in context["aliases"] or not tags:
                messages.error(request, "Choose a cache, and name at least one tag.")
                return HttpResponseRedirect(request.path)
            if "confirmed" in request.POST:
                deleted = caches[alias].invalidate_tags(*tags)
                messages.success(
                    request, f"{deleted} keys with {', '.join(tags)} were deleted from {alias}."
                )
                return HttpResponseRedirect(request.path)
            context["would_delete"] = caches[alias].invalidate_tags(*tags, dry_run=True)
            context["alias"] = alias
            context["tags"] = tags
        context["panels"] = [
            (alias, sorted(caches[alias].stats().items())) for alias in context["aliases"]
        ]
        return TemplateResponse(request, "admin/cachestorm/panel.html", context)
