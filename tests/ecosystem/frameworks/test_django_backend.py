"""What our backend for Django has beside Django's own: tags, signatures, checks, a panel."""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import django_site
import django_site_urls
import pytest
import redis
from django.contrib.auth.models import Group, User
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import transaction
from django.template import Context, Template, TemplateSyntaxError
from django.test import Client, override_settings
from django.test.utils import setup_test_environment
from real_servers import redis_binary, running

from cachestorm.contrib.django import CacheStormCache, invalidate_on
from cachestorm.contrib.django.checks import check_caches
from cachestorm.errors import TagError

assert django_site.settings.configured
setup_test_environment()
BACKEND = "cachestorm.contrib.django.CacheStormCache"


@pytest.fixture(scope="module", autouse=True)
def _tables() -> None:
    call_command("migrate", verbosity=0)


PLACES = {
    "local": lambda request: request.getfixturevalue("local"),
    "server": lambda request: request.getfixturevalue("url"),
    "redis": lambda request: request.getfixturevalue("redis_server").url + "/6",
    "cluster": lambda request: request.getfixturevalue("valkey_cluster").url,
}


@pytest.fixture(params=["memory", *PLACES])
def cache(request: pytest.FixtureRequest) -> Iterator[CacheStormCache]:
    """In memory, shared by the processes of a machine, on servers and on a cluster."""
    location = "memory://tests"
    if request.param in PLACES:
        location = PLACES[request.param](request)
    made = CacheStormCache(location, {})
    made.clear()
    yield made
    made.clear()


@pytest.fixture
def default() -> Iterator[CacheStormCache]:
    """What Django calls `cache`."""
    caches["default"].clear()
    django_site_urls.asked.clear()
    yield caches["default"]
    caches["default"].clear()


# -- tags


def test_tags_delete_all_keys_that_have_them_in_all_versions(cache: CacheStormCache) -> None:
    cache.set("a", 1, tags=["t"])
    cache.set("a", 2, version=2, tags=["t", "u"])
    cache.add("b", "text", tags=["u"])
    cache.set_many({"c": [1], "d": None}, tags=["u"])
    cache.get_or_set("e", lambda: "made", tags=["t"])
    assert cache.invalidate_tags("t", dry_run=True) == 3
    assert cache.invalidate_tags("t", "u", dry_run=True) == 6
    assert cache.invalidate_tags(dry_run=True) == 0
    assert cache.invalidate_tags("t") == 3
    assert cache.get_many(["a", "b", "c", "d", "e"]) == {"b": "text", "c": [1], "d": None}
    assert cache.invalidate_tags("t", "u") == 3


def test_aliases_with_a_key_prefix_have_tags_of_their_own(cache: CacheStormCache) -> None:
    location = "memory://tests" if cache._far is None else cache._far.address.shown
    other = CacheStormCache(location, {"KEY_PREFIX": "other"})
    cache.set("k", 1, tags=["t"])
    other.set("k", 2, tags=["t"])
    assert other.invalidate_tags("t") == 1
    assert (cache.get("k"), other.get("k")) == (1, None)


def test_a_string_is_no_list_of_tags(cache: CacheStormCache) -> None:
    with pytest.raises(TypeError, match="list of names"):
        cache.set("k", 1, tags="users")
    assert cache.get("k") is None


def test_incr_keeps_tags_and_timeout(cache: CacheStormCache) -> None:
    cache.set("n", 1, 1000, tags=["t"])
    assert cache.incr("n", 2) == 3
    assert cache.invalidate_tags("t") == 1
    with pytest.raises(ValueError, match="not found"):
        cache.incr("n")


def test_a_redis_that_may_evict_the_tags_says_so() -> None:
    options = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    with running("redis", redis_binary(), *options) as server:
        cache = CacheStormCache(server.url, {})
        cache.set("k", {"x": 1})
        assert cache.get("k") == {"x": 1}
        for run in (
            lambda: cache.set("k", 1, tags=["t"]),
            lambda: cache.invalidate_tags("t"),
        ):
            with pytest.raises(TagError, match="no allkeys policy"):
                run()
        assert cache.get("k") == {"x": 1}


# -- values


class Unpicklable:
    def __reduce__(self) -> str:
        raise TypeError("never")


@pytest.mark.parametrize("method", ["set", "add"])
@pytest.mark.parametrize("timeout", [None, 0])
def test_what_cannot_be_pickled_is_refused_before_anything_is_stored(
    cache: CacheStormCache, method: str, timeout: int | None
) -> None:
    for value in (Unpicklable(), lambda: None):
        with pytest.raises(pickle.PickleError):
            getattr(cache, method)("k", value, timeout)
    with pytest.raises(pickle.PickleError):
        cache.set_many({"a": 1, "k": Unpicklable()})
    assert cache.get_many(["a", "k"]) == {}


def test_no_value_is_shared_with_the_cache(cache: CacheStormCache) -> None:
    value = [1]
    cache.set("k", value)
    value.append(2)
    cache.get("k").append(3)
    assert cache.get("k") == [1]


@pytest.mark.parametrize(
    "value", [None, True, 1, -(2**70), 1.5, "text", b"bytes", (1, "a"), {}]
)
def test_a_value_comes_back_as_it_was(cache: CacheStormCache, value: object) -> None:
    cache.set("k", value)
    assert (cache.get("k", "none"), type(cache.get("k"))) == (value, type(value))


@pytest.mark.parametrize(
    "serializer", ["json", "msgpack", "django.core.signing.JSONSerializer"]
)
def test_other_serializers_than_pickle(serializer: str, url: str) -> None:
    if serializer == "msgpack":
        pytest.importorskip("msgpack")
    for location in ("memory://serialized", url):
        cache = CacheStormCache(location, {"OPTIONS": {"serializer": serializer}})
        cache.set("k", {"a": [1, None]})
        assert cache.get("k") == {"a": [1, None]}


# -- signatures


def test_a_value_that_somebody_else_wrote_is_never_unpickled(url: str) -> None:
    cache = CacheStormCache(url, {})
    cache.clear()
    cache.set("k", [1])
    cache.set("other", [2])
    client = redis.Redis.from_url(url)
    key, other = ":1:k", ":1:other"
    stored = client.get(key)
    assert isinstance(stored, bytes)
    refused = cache.stats()["refused_signatures"]
    for forged in (
        pickle.dumps([1]),
        b"=" + bytes(32) + pickle.dumps([1]),
        stored[:-1] + b"x",
        b"",
        client.get(other),
    ):
        client.set(key, forged)  # type: ignore[arg-type]
        assert cache.get("k", "missing") == "missing"
    assert cache.stats()["refused_signatures"] == refused + 5
    client.set(key, stored)
    assert cache.get("k") == [1]


def test_a_former_secret_is_still_accepted(url: str) -> None:
    with override_settings(SECRET_KEY="former"):
        CacheStormCache(url, {}).set("k", [1])
    assert CacheStormCache(url, {}).get("k") is None
    with override_settings(SECRET_KEY_FALLBACKS=["former"]):
        assert CacheStormCache(url, {}).get("k") == [1]


# -- a server that fails


def test_errors_of_the_server_are_raised_unless_they_are_to_be_ignored() -> None:
    nobody = "redis://:secret@127.0.0.1:1/0"
    with pytest.raises(redis.ConnectionError) as caught:
        CacheStormCache(nobody, {}).get("k")
    cache = CacheStormCache(nobody, {"OPTIONS": {"IGNORE_ERRORS": True}})
    assert cache.get("k", "default") == "default"
    assert cache.set("k", 1) is None
    assert (cache.add("k", 1), cache.delete("k"), cache.has_key("k")) == (False, False, False)
    assert cache.get_many(["k"]) == {}
    assert cache.set_many({"k": 1}) == ["k"]
    assert cache._store.failures.ignored == 7  # type: ignore[union-attr]
    assert "secret" not in f"{cache!r} {caught.value!r} {cache._store!r}"


# -- configuration


@pytest.mark.parametrize(
    ("location", "options", "wrong"),
    [
        ("http://host", {}, "http://"),
        ("loca://a", {}, "local://name for one that the processes"),
        ("localhost:6380", {}, "redis://, rediss:// or unix:// for one on a server"),
        ("redis:/:secret@host", {}, "'host' is neither a name nor an address"),
        ("local://", {}, "use local://name"),
        ("local://a", {"max_memroy": "1mb"}, "max_memroy"),
        ("local://a", {"linger": "soon"}, "linger"),
        ("local://a", {"max_memory": "lots"}, "lots"),
        ("redis://host:port/0", {}, "port"),
        ("redis://host/zero", {}, "database"),
        ("unix://", {}, "path"),
        ("redis://host", {"max_memory": "1mb"}, "max_memory"),
        ("memory://a", {"max_memroy": "1mb"}, "max_memroy"),
        ("memory://b", {"max_memory": "lots"}, "lots"),
        ("memory://c", {"policy": "best"}, "best"),
        ("memory://d", {"serializer": "yaml"}, "yaml"),
        ("memory://e", {"IGNORE_ERRORS": 1}, "IGNORE_ERRORS"),
    ],
)
def test_a_wrong_entry_of_caches_is_refused(
    location: str, options: dict[str, Any], wrong: str, local: str
) -> None:
    entry = {"BACKEND": BACKEND, "LOCATION": location, "OPTIONS": options}
    with pytest.raises(ImproperlyConfigured, match=wrong):
        CacheStormCache(location, {"OPTIONS": options})
    with override_settings(CACHES={"default": entry}):
        found = check_caches()
        if location.startswith("memory://") and {"max_memory", "policy"} & options.keys():
            # what `Cache` itself refuses, is known when it is made
            return
        assert [error.id for error in found] == ["cachestorm.E001"]
        assert wrong in found[0].msg


def test_aliases_of_one_location_share_its_settings_and_may_not_contradict() -> None:
    first = {"BACKEND": BACKEND, "LOCATION": "memory://shared"}
    second = {**first, "OPTIONS": {"max_memory": "8mb"}}
    with override_settings(CACHES={"default": first, "second": second}):
        assert caches["default"].stats()["max_memory"] == 8 * 2**20
        assert check_caches() == []
    third = {**first, "OPTIONS": {"max_memory": "9mb"}}
    with override_settings(CACHES={"default": second, "third": third}):
        assert "max_memory" in check_caches()[0].msg


def test_threads_share_a_location(default: CacheStormCache) -> None:
    default.set("k", 1)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(caches["default"].get("k")))
    thread.start()
    thread.join()
    assert found == [1]


# -- pages and fragments


def test_a_page_is_cached_and_goes_with_its_tags(default: CacheStormCache) -> None:
    client = Client()
    pages = [client.get(f"/posts/{pk}/").content for pk in (1, 1, 2)]
    assert pages == [b"post 1, asked 1 times"] * 2 + [b"post 2, asked 2 times"]
    assert default.invalidate_tags("post:1") > 0
    assert client.get("/posts/1/").content == b"post 1, asked 3 times"
    assert client.get("/posts/2/").content == b"post 2, asked 2 times"
    default.invalidate_tags("posts")
    assert client.get("/posts/2/").content == b"post 2, asked 4 times"


def test_tags_of_a_page_may_come_from_the_request(default: CacheStormCache) -> None:
    client = Client()
    for lang in ("de", "en", "de"):
        client.get(f"/search/?lang={lang}")
    assert len(django_site_urls.asked) == 2
    default.invalidate_tags("language:de")
    for lang in ("de", "en"):
        client.get(f"/search/?lang={lang}")
    assert len(django_site_urls.asked) == 3


def test_a_page_invalidated_while_it_is_made_is_not_cached(default: CacheStormCache) -> None:
    client = Client()
    client.get("/posts/1/?outdated=1")
    client.get("/posts/1/?outdated=1")
    assert django_site_urls.asked == ["post 1", "post 1"]


def test_a_page_that_calls_another_keeps_its_own_tags(default: CacheStormCache) -> None:
    client = Client()
    pages = [client.get("/around/1/").content for _ in range(2)]
    default.invalidate_tags("around")
    pages.append(client.get("/around/1/").content)
    assert len(set(pages)) == 2


def test_a_fragment_of_a_template_has_tags(default: CacheStormCache) -> None:
    text = (
        "{% load cachestorm %}"
        "{% cachetags 60 'side' user tags=tags %}{{ value }}{% endcachetags %}"
    )

    def render(**context: Any) -> str:
        return str(Template(text).render(Context(context)))

    tags = ["users", "user:1"]
    assert render(user=1, value="old", tags=tags) == "old"
    assert render(user=1, value="new", tags=tags) == "old"
    assert render(user=2, value="two", tags="users, user:2") == "two"
    default.invalidate_tags("user:1")
    assert render(user=1, value="new", tags=tags) == "new"
    assert render(user=2, value="else", tags="") == "two"


@pytest.mark.parametrize("tag", ["cachetags", "cachetags 60", "cachetags soon side"])
def test_a_fragment_without_what_it_needs_is_an_error_of_the_template(tag: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        Template("{% load cachestorm %}{% " + tag + " %}{% endcachetags %}").render(
            Context({"soon": "soon"})
        )


def test_a_fragment_whose_tags_are_not_defined_is_an_error_of_the_template(
    default: CacheStormCache,
) -> None:
    text = "{% load cachestorm %}{% cachetags 60 'other' tags=nope %}x{% endcachetags %}"
    with pytest.raises(TemplateSyntaxError, match="tags=nope is not defined"):
        Template(text).render(Context())


@pytest.mark.parametrize("told", [[""], "", "news", None, ["x" * 2000]])
def test_a_page_whose_tags_are_none_is_served_and_not_cached(
    default: CacheStormCache, told: Any, caplog: pytest.LogCaptureFixture
) -> None:
    django_site_urls.tags_of_news = told
    pages = [Client().get("/news/") for _ in range(2)]
    assert [page.status_code for page in pages] == [200, 200]
    assert pages[0].content != pages[1].content
    assert "the page /news/ is not cached: its tags are" in caplog.text


def test_a_timeout_that_is_no_number_is_refused(default: CacheStormCache) -> None:
    with pytest.raises(ImproperlyConfigured, match="TIMEOUT: '5m' is refused"):
        CacheStormCache("memory://x", {"TIMEOUT": "5m"})
    assert CacheStormCache("memory://x", {"TIMEOUT": "60"}).default_timeout == 60
    with pytest.raises(TypeError, match="a timeout is a number of seconds, or None, not '5m'"):
        default.set("k", 1, timeout="5m")


def test_a_serializer_with_a_typing_error_is_said_to_be_one() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'jsonn' is unknown.*; did you mean json"):
        CacheStormCache("memory://x", {"OPTIONS": {"serializer": "jsonn"}})


# -- models


@invalidate_on(Group)
def tags_of_group(group: Group) -> list[str]:
    return ["groups", f"group:{group.pk}"]


@invalidate_on(User)
def tags_of_user(user: User) -> list[str]:
    return [f"user:{user.pk}"]


def test_saving_and_deleting_invalidates(default: CacheStormCache) -> None:
    group = Group.objects.create(name="readers")
    default.set("page", 1, tags=["groups"])
    group.save()
    assert default.get("page") is None
    default.set("page", 1, tags=[f"group:{group.pk}"])
    group.delete()
    assert default.get("page") is None


def test_relations_to_many_invalidate(default: CacheStormCache) -> None:
    group = Group.objects.create(name="writers")
    user = User.objects.create(username="ada")
    default.set("page", 1, tags=[f"user:{user.pk}"])
    user.groups.add(group)
    assert default.get("page") is None
    user.delete()
    group.delete()


@pytest.mark.parametrize("change", ["add", "remove", "clear", "set"])
def test_a_relation_that_is_changed_from_its_other_side_invalidates(
    default: CacheStormCache, change: str
) -> None:
    group = Group.objects.create(name="editors")
    user = User.objects.create(username="bob")
    if change != "add":
        user.groups.add(group)
    default.set("page", 1, tags=[f"user:{user.pk}"])
    arguments = {"clear": [], "set": [[]]}.get(change, [user])
    getattr(group.user_set, change)(*arguments)
    assert default.get("page") is None
    user.delete()
    group.delete()


def test_nothing_is_invalidated_before_the_commit_or_after_a_rollback(
    default: CacheStormCache,
) -> None:
    default.set("page", 1, tags=["groups"])
    with pytest.raises(RuntimeError), transaction.atomic():
        Group.objects.create(name="gone")
        raise RuntimeError
    assert default.get("page") == 1
    with transaction.atomic():
        Group.objects.create(name="kept").delete()
        assert default.get("page") == 1
    assert default.get("page") is None


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match="models"):
        invalidate_on()
    with pytest.raises(TypeError, match="models"):
        invalidate_on("auth.Group")  # type: ignore[arg-type]


# -- the admin and the command line


def test_the_panel_counts_before_it_deletes(default: CacheStormCache) -> None:
    User.objects.filter(username="root").delete()
    root = User.objects.create_superuser("root")
    client = Client()
    client.force_login(root)
    panel = "/admin/cachestorm/cachepanel/"
    default.set("<k>", 1, tags=["t"])
    page = client.get(panel).content.decode()
    assert "hits" in page and "default" in page
    page = client.post(panel, {"alias": "default", "tags": "t"}).content.decode()
    assert "1 keys with t would be deleted from default" in page
    assert default.get("<k>") == 1
    client.post(panel, {"alias": "default", "tags": "t", "confirmed": "yes"})
    assert default.get("<k>") is None
    assert client.post(panel, {"alias": "none", "tags": "t"}).status_code == 302


def test_the_panel_is_for_those_who_are_permitted(default: CacheStormCache) -> None:
    User.objects.filter(username="staff").delete()
    staff = User.objects.create_user("staff", is_staff=True)
    client = Client()
    client.force_login(staff)
    assert client.get("/admin/cachestorm/cachepanel/").status_code == 403


def test_the_command_shows_invalidates_and_clears(default: CacheStormCache) -> None:
    def run(*argv: str) -> str:
        out = io.StringIO()
        call_command("cachestorm", *argv, stdout=out)
        return out.getvalue()

    default.set("k", 1, tags=["t"])
    assert "keys: 1" in run("stats")
    assert run("invalidate", "t", "--dry-run") == "1 keys would be deleted\n"
    assert run("invalidate", "t") == "1 keys deleted\n"
    default.set("k", 1)
    assert run("clear") == "cleared\n"
    assert default.get("k") is None
    with pytest.raises(CommandError, match="those that are: default"):
        run("stats", "--cache", "other")
