"""Draws docs/dashboard.png: the overview of a server that a shop has used for some seconds.

PYTHONPATH=build/compiled:tests python tests/ecosystem/web/draw_dashboard.py
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from random import Random
from typing import Final

from http_served import running
from playwright.sync_api import sync_playwright
from redis import Redis

PICTURE: Final = Path(__file__).parents[3] / "docs" / "dashboard.png"
FOR_S: Final = 60.0
ITEMS: Final = 600
SESSIONS: Final = 150
LIMITS: Final = {"memory.max_memory": "96kb", "namespaces.sessions.max_memory": "24kb"}


def popular(chance: Random, count: int) -> int:
    """One of so many numbers, of which the first are drawn most."""
    return int(chance.paretovariate(0.7)) % count


def shop(client: Redis, chance: Random) -> None:
    """Some requests of a shop: items by popularity, sessions, and a change now and then."""
    pipe = client.pipeline(transaction=False)
    wanted = [popular(chance, ITEMS) for _ in range(chance.randint(20, 90))]
    for item in wanted:
        pipe.get(f"item:{item}")
    for item, found in zip(wanted, pipe.execute()):
        if found is None:
            tags = ["items", f"section:{item % 7}"]
            client.execute_command(
                "SET", f"item:{item}", "x" * 100, "EX", 1 + item % 90, "TAGS", *tags
            )
    if chance.random() < 0.02:
        client.execute_command("INVALIDATE", f"section:{chance.randrange(7)}")


def visit(client: Redis, chance: Random) -> None:
    """A visitor comes back, or is new."""
    session = f"session:{popular(chance, SESSIONS)}"
    if client.hget(session, "cart") is None:
        client.hset(session, mapping={"cart": "3", "user": "ada"})


def main() -> None:
    """Lets a shop use a server while a browser looks at it, then takes the picture."""
    chance = Random(1)
    with running(LIMITS) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        page.goto(f"http://127.0.0.1:{served.port}/")
        page.wait_for_selector("#state:text-is('Connected')")
        port = served.application.resp.port
        with Redis(port=port) as items, Redis(port=port) as visits:
            visits.execute_command("NAMESPACE", "sessions")
            end = time.monotonic() + FOR_S
            while time.monotonic() < end:
                shop(items, chance)
                visit(visits, chance)
                page.wait_for_timeout(30 + 40 * chance.random())
            page.screenshot(path=str(PICTURE), full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
