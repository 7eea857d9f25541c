"""The pages. Each says when it was made, so that one sees which came from the cache."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from blog.models import Post
from cachestorm.contrib.django import cache_page


@cache_page(600, tags=["posts"])
def index(request: HttpRequest) -> HttpResponse:
    """All posts."""
    context = {"posts": Post.objects.order_by("pk"), "made": datetime.now()}
    return render(request, "blog/index.html", context)


@cache_page(600, tags=["post:{pk}"])
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """One post."""
    context = {"post": get_object_or_404(Post, pk=pk), "made": datetime.now()}
    return render(request, "blog/show.html", context)


@require_POST
@csrf_exempt
def rename(request: HttpRequest, pk: int) -> HttpResponse:
    """Gives a post another title: saving it invalidates its page and the list."""
    post = get_object_or_404(Post, pk=pk)
    post.title = request.POST["title"]
    post.save()
    return HttpResponseRedirect(f"/posts/{pk}/")
