"""The pages of the site."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.urls import path

from cachestorm.contrib.django import cache_page

asked: list[str] = []


@cache_page(60, tags=["posts", "post:{pk}"])
def post(request: HttpRequest, pk: int) -> HttpResponse:
    asked.append(f"post {pk}")
    if "outdated" in request.GET:
        cache.invalidate_tags(f"post:{pk}")
    return HttpResponse(f"post {pk}, asked {len(asked)} times")


@cache_page(60, tags=lambda request: ["search", f"language:{request.GET['lang']}"])
def search(request: HttpRequest) -> HttpResponse:
    asked.append("search")
    return HttpResponse(str(len(asked)))


tags_of_news: Any = ()


@cache_page(60, tags=lambda request: tags_of_news)
def news(request: HttpRequest) -> HttpResponse:
    asked.append("news")
    return HttpResponse(str(len(asked)))


@cache_page(60, tags=["around"], key_prefix="around")
def around(request: HttpRequest, pk: int) -> HttpResponse:
    asked.append("around")
    return HttpResponse(f"asked {len(asked)} times: ".encode() + post(request, pk=pk).content)


urlpatterns = [
    path("around/<int:pk>/", around),
    path("admin/", admin.site.urls),
    path("news/", news),
    path("posts/<int:pk>/", post),
    path("search/", search),
]
