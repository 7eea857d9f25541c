"""The dashboard in a real Chromium, as somebody uses it: by mouse, by keyboard, on a phone.

`SCREENSHOTS=folder` keeps a picture of each view.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_served import Client, running
from processes import PACKAGES
from redis import Redis

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = PACKAGES / "node" / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = ["overview", "keys", "tags", "slow", "clients", "console"]
HTML = "<img src=x onerror=document.title='broken'><b>bold</b>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Client]:
    with running({}) as client:
        yield client


@pytest.fixture
def server(served: Client) -> Client:
    """A server with some keys of each type, and tags in a hierarchy."""
    cache = served.cache
    cache.flushall()
    cache.taglink("shop", "books")
    cache.taglink("books", "crime")
    for number in range(3):
        cache.set(f"book:{number}", f"title {number}", ttl=1000, tags=["crime", "paper"])
    cache.set("front", HTML, tags=["shop"])
    cache.hset("user:1", mapping={"name": HTML})
    cache.rpush("queue", "a", "b")
    cache.sadd("langs", "py")
    cache.zadd("top", {"ada": 3})
    return served


class Page:
    """A page of the dashboard, and what has gone wrong in it."""

    def __init__(self, page: Any, client: Client) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.on("request", lambda request: self.requested.add(request.url))
        self.requested: set[str] = set()
        self.base = f"http://127.0.0.1:{client.port}/"

    def _note(self, message: Any) -> None:
        # a refusal that is shown is in the console as well
        if message.type == "error" and "the server responded with" not in message.text:
            self.errors.append(message.text)

    def open(self, view: str) -> Any:
        self.page.goto(self.base + f"#{view}")
        self.page.wait_for_selector(f"#view-{view}:not([hidden])")
        self.page.wait_for_selector("#state:text-is('Connected')")
        return self.page

    def find_key(self, key: str) -> Any:
        page = self.open("keys")
        page.fill("#pattern", key)
        page.press("#pattern", "Enter")
        page.wait_for_selector("#key-list li:only-child")
        page.click("#key-list button")
        page.wait_for_selector(f"#key-detail h3:text-is('{key}')")
        return page


@pytest.fixture
def dashboard(browser, server) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(60_000)
    page = Page(context.new_page(), server)
    yield page
    assert page.errors == []
    assert {url for url in page.requested if not url.startswith(page.base)} == set()
    context.close()


def test_the_overview_follows_the_server(dashboard, server) -> None:
    page = dashboard.open("overview")
    with Redis(port=server.application.resp.port) as client:
        for _ in range(20):
            client.get("front")
    page.wait_for_selector("#latency td:text-is('get')")
    page.wait_for_selector("#hot td:text-is('front')")
    page.wait_for_selector("#namespaces td:text-is('default')")
    page.wait_for_selector("#cards dd:has-text('20 of')")
    server.cache.invalidate("paper")
    page.wait_for_selector("#invalidations li:has-text('paper invalidated')")
    page.wait_for_selector("#cards dd:has-text('3 invalidated')")
    page.wait_for_selector("#cards dd:has-text('1 namespace')")
    assert "1 namespaces" not in page.inner_text("#cards")


def test_a_value_is_edited_with_its_tags_and_time_to_live(dashboard, server) -> None:
    page = dashboard.find_key("book:1")
    area = page.wait_for_selector("#key-detail textarea")
    area.fill("another title")
    page.click("#key-detail >> text=Save")
    # the key is shown anew, and what is typed before that is lost
    area.wait_for_element_state("hidden")
    assert server.cache.get("book:1") == b"another title"
    assert server.cache.tags("book:1") == ["crime", "paper"]
    assert server.result("TTL", "book:1") > 900
    page.fill("#key-detail label:has-text('Tag') input", "new")
    page.press("#key-detail label:has-text('Tag') input", "Enter")
    page.wait_for_selector("#key-detail .chips li:has-text('new')")
    assert "new" in server.cache.tags("book:1")
    page.click("[aria-label='Remove the tag paper']")
    page.wait_for_selector("#key-detail .chips li:has-text('paper')", state="detached")
    page.click("text=No end")
    page.wait_for_selector("#key-detail p:has-text('no end')")
    assert server.result("TTL", "book:1") == -1


def test_what_somebody_else_has_changed_is_not_overwritten(dashboard, server) -> None:
    page = dashboard.find_key("book:1")
    server.cache.set("book:1", "theirs")
    page.fill("#key-detail textarea", "mine")
    page.click("#key-detail >> text=Save")
    page.wait_for_selector("#key-problem:has-text('another version')")
    assert server.cache.get("book:1") == "theirs"


@pytest.mark.parametrize(
    ("key", "values", "command", "after"),
    [
        ("user:1", ["age", "36"], ["HGET", "user:1", "age"], "36"),
        ("queue", ["", "c"], ["LRANGE", "queue", "0", "-1"], ["a", "b", "c"]),
        ("langs", ["c"], ["SISMEMBER", "langs", "c"], 1),
        ("top", ["bob", "1.5"], ["ZSCORE", "top", "bob"], 1.5),
    ],
)
def test_containers_are_edited_by_their_type(
    dashboard, server, key, values, command, after
) -> None:
    page = dashboard.find_key(key)
    inputs = page.locator("#key-detail form").first.locator("input")
    for number, value in enumerate(values):
        inputs.nth(number).fill(value)
    inputs.last.press("Enter")
    shown = next(value for value in values if value)
    page.wait_for_selector(f"#key-detail td:text-is('{shown}')")
    assert server.result(*command) == after


def test_a_key_is_made_and_deleted(dashboard, server) -> None:
    page = dashboard.open("keys")
    page.click("#new-key")
    page.fill("#confirm label:has-text('Key') input", "made here")
    page.fill("#confirm label:has-text('Value') input", "x")
    page.click("#confirm-yes")
    page.wait_for_selector("#key-detail h3:text-is('made here')")
    assert server.cache.get("made here") == b"x"
    page.click("text=Delete this key…")
    page.click("#confirm-yes")
    page.wait_for_selector("#key-detail p:has-text('It was deleted')")
    assert server.cache.exists("made here") == 0


def test_it_says_why_a_key_is_gone(dashboard, server) -> None:
    server.cache.invalidate("shop", cascade=True)
    page = dashboard.open("keys")
    page.fill("#why-key", "book:1")
    page.press("#why-key", "Enter")
    page.wait_for_selector("#why:has-text('invalidated, by the tag crime')")
    assert "shop → books → crime" in page.inner_text("#why")


def test_an_invalidation_shows_first_what_it_will_delete(dashboard, server) -> None:
    page = dashboard.open("tags")
    page.click(".node:has-text('shop')")
    page.click("text=Invalidate…")
    page.wait_for_selector("#h-confirm:text-is('4 keys will be deleted')")
    body = page.inner_text("#confirm-body")
    assert "shop (1), books (0), crime (3)" in body
    assert "book:1" in body
    page.click("#confirm >> text=Cancel")
    assert server.cache.exists("front") == 1
    page.click("text=Invalidate…")
    page.wait_for_selector("#confirm[open]")
    page.click("#confirm-yes")
    page.wait_for_selector("#tag-done:text-is('4 keys were deleted.')")
    assert server.cache.exists("front", "book:0") == 0


def test_what_is_stored_is_shown_as_text(dashboard, server) -> None:
    server.cache.set(HTML, "v", tags=[HTML])
    server.cache.taglink(HTML, "child")
    server.result("SET", "x" + HTML, "v")
    page = dashboard.find_key("user:1")
    page.wait_for_selector("#key-detail td >> text=onerror")
    page = dashboard.open("tags")
    page.wait_for_selector("#tag-list >> text=onerror")
    page.wait_for_selector("#graph text >> text=<img")
    page = dashboard.open("console")
    page.fill("#command", "GET front")
    page.press("#command", "Enter")
    page.wait_for_selector("#output >> text=onerror")
    assert page.evaluate("document.querySelectorAll('main img').length") == 0
    assert page.title() == "CacheStorm: Console"


def test_a_stored_page_runs_no_script_in_the_place_of_the_dashboard(browser, server) -> None:
    script = b"<title>stored</title><script>document.title = 'run'</script>"
    path = "/v1/namespaces/default/keys/page"
    server.request("PUT", path, script, Content_Type="text/html")
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.port}{path}")
    assert page.title() == "stored"
    page.close()


def test_the_console_completes_and_runs_commands_by_keyboard_alone(dashboard, server) -> None:
    page = dashboard.open("console")
    page.focus("#command")
    page.keyboard.type("hgetal")
    page.wait_for_selector("#choices li:has-text('HGETALL')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("#command") == "HGETALL "
    assert page.inner_text("#hint").startswith("HGETALL key")
    page.keyboard.type('"user:1"')
    page.keyboard.press("Enter")
    page.wait_for_selector("#output >> text=onerror")
    page.keyboard.press("ArrowUp")
    assert page.input_value("#command") == 'HGETALL "user:1"'
    page.fill("#command", "INCR user:1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#output .failed:has-text('WRONGTYPE')")


def test_all_of_it_can_be_reached_by_tab(dashboard) -> None:
    page = dashboard.open("tags")
    page.wait_for_selector(".node")
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(e => e.className.baseVal ?? (e.id || e.getAttribute('href')))"
                "(document.activeElement)"
            )
        )
    assert {"#main", "#console", "namespace", "theme", "tag-pattern", "node"} <= reached


def test_slow_calls_and_clients_are_listed(dashboard, server) -> None:
    with Redis(port=server.application.resp.port, client_name="slow teller") as client:
        pass
    with Redis(port=server.application.resp.port, client_name="teller") as client:
        client.config_set("slowlog-log-slower-than", 0)
        client.set("k", HTML)
        page = dashboard.open("clients")
        page.wait_for_selector("#clients td:text-is('teller')")
        page = dashboard.open("slow")
        page.wait_for_selector("#slow td:has-text('onerror')")
        client.config_set("slowlog-log-slower-than", 10_000)
    page.click("#clear-slow")
    page.wait_for_selector("#slow:has-text('No call was slow.')")


def test_a_password_is_asked_for_and_kept_for_the_session(browser) -> None:
    with running({"plugins.auth.enabled": True, "plugins.auth.password": "sesame"}) as guarded:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{guarded.port}/")
        page.wait_for_selector("#login[open]")
        page.fill("#password", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#login[open]")
        page.fill("#password", "sesame")
        page.keyboard.press("Enter")
        page.wait_for_selector("#cards dd")
        page.reload()
        page.wait_for_selector("#cards dd")
        page.close()


def test_a_server_that_comes_back_is_followed_again(browser) -> None:
    with running({}) as first:
        port = first.port
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("#state:text-is('Connected')")
    page.wait_for_selector("#state:has-text('Disconnected')")
    with running({"plugins.metrics.port": port}):
        page.wait_for_selector("#state:text-is('Connected')", timeout=60_000)
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_axe_finds_nothing_and_nothing_is_cut_off(browser, server, width, theme) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=theme, has_touch=width < 500
    )
    context.set_default_timeout(60_000)
    page = Page(context.new_page(), server)
    folder = os.environ.get("SCREENSHOTS")
    for view in VIEWS:
        shown = page.find_key("user:1") if view == "keys" else page.open(view)
        if view == "tags":
            shown.wait_for_selector(".node")
            shown.focus(".node")
            shown.keyboard.press("Enter")
            shown.wait_for_selector("#tag-detail h3")
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        if folder:
            name = f"{view}-{width}-{theme}.png"
            shown.screenshot(path=str(Path(folder, name)), full_page=True)
        _check_by_axe(shown, view)
    shown.goto(page.base + "docs")
    shown.wait_for_selector(".operation")
    _check_by_axe(shown, "docs")
    assert page.errors == []
    context.close()


def _check_by_axe(page: Any, view: str) -> None:
    """Skips nothing but what is not installed: layout is looked at all the same."""
    if not AXE.exists():
        return
    page.evaluate(AXE.read_text(encoding="utf-8"))
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
    found = page.evaluate(
        "tags => axe.run({runOnly: tags}).then(found => found.violations.map("
        "each => `${each.id}: ${each.nodes.map(node => node.html).join(' ')}`))",
        tags,
    )
    assert (view, found) == (view, [])
