"""The example applications start by the command that they name, and do what they show."""

from __future__ import annotations

import re
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from processes import environment, running

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(url: str, method: str = "GET", **form: str) -> str:
    """The body of a response."""
    data = urllib.parse.urlencode(form).encode() if form else None
    request = urllib.request.Request(url, data, method=method)
    with urllib.request.urlopen(request) as response:
        return str(response.read().decode())


def ask_until_it_answers(url: str) -> str:
    """The body of a response, as soon as the application is up."""
    for _try in range(300):
        try:
            return ask(url)
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def made(page: str) -> str:
    """When a page was made."""
    found = re.search(r"Made at (\S+)<", page)
    assert found is not None
    return found[1]


def test_the_blog_shows_a_new_title_at_once(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, str(EXAMPLES / "django" / "manage.py"), "runserver"]
    command += [f"127.0.0.1:{port}", "--noreload"]
    site = f"http://127.0.0.1:{port}"
    database = tmp_path / "blog.sqlite3"
    with running(command, environment(PYTHONSAFEPATH="", BLOG_DATABASE=str(database))):
        index = ask_until_it_answers(f"{site}/")
        other = ask(f"{site}/posts/2/")
        assert made(ask(f"{site}/")) == made(index)
        assert "New" in ask(f"{site}/posts/1/rename/", "POST", title="New")
        assert "New" in ask(f"{site}/")
        assert made(ask(f"{site}/posts/2/")) == made(other)


def test_the_shop_shows_a_new_price_at_once() -> None:
    pytest.importorskip("uvicorn")
    port = free_port()
    command = [sys.executable, str(EXAMPLES / "fastapi" / "app.py"), str(port)]
    shop = f"http://127.0.0.1:{port}"
    with running(command, environment()):
        assert ask_until_it_answers(f"{shop}/items/tea") == '{"name":"tea","price":3}'
        assert ask(f"{shop}/items/tea/5", "PUT") == '{"invalidated":1}'
        assert ask(f"{shop}/items/tea") == '{"name":"tea","price":5}'
