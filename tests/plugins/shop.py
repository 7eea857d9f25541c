"""Plugins for tests: each named by its path in a configuration."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from cachestorm import Cache
from cachestorm.plugins import Call, Refused, Request, Response, Route, declare, hookimpl
from cachestorm_server.setting_kinds import DURATION_MS


class Diary:
    """Writes down what happens; the latest one made is `Diary.last`."""

    version = "2.1"
    last: Diary

    @dataclass(frozen=True)
    class Settings:
        prefix: str = ""
        pause: Annotated[int, DURATION_MS] = 0
        limits: Mapping[str, int] = field(default_factory=dict)
        words: tuple[str, ...] = ()

    def __init__(self, settings: Settings) -> None:
        Diary.last = self
        self.settings = settings
        self.said: list[object] = []

    @hookimpl
    def before_command(self, call: Call) -> None:
        if b"forbidden" in call.args or "forbidden" in call.args:
            raise Refused("not today", code="DENIED", http_status=429)
        self.said.append(("before", call.command, call.keys, call.is_write))

    @hookimpl
    def after_command(self, call: Call) -> None:
        assert call.duration_us >= 0
        self.said.append(("after", call.command, call.error))

    @hookimpl
    def on_evict(self, key: str, namespace: str) -> None:
        self.said.append(("evict", key, namespace))

    @hookimpl
    def on_expire(self, value: object, key: str) -> None:
        self.said.append(("expire", key, value))

    @hookimpl
    def on_tag_invalidate(self, tag: str) -> None:
        self.said.append(("tag", tag))

    @hookimpl
    def on_startup(self, cache: Cache) -> None:
        cache.set("started", "yes")

    @hookimpl
    async def on_shutdown(self) -> None:
        self.said.append("shutdown")

    @hookimpl
    def commands(self) -> list[object]:
        return [
            declare("DIARY.LEN", self.length, summary="Count what was said.", fast=True),
            declare(
                "DIARY.COPY source:key destination:key", self.copy, summary="Copy.", grows=True
            ),
        ]

    @hookimpl
    def http_routes(self) -> list[Route]:
        return [
            Route("/diary", self.show, "Shows the diary.", parameters=("of",)),
            Route("/diary/raw", self.raw, "Shows it as text.", method="POST", is_open=True),
        ]

    def length(self, cache: Cache) -> int:
        return len(self.said)

    def copy(self, cache: Cache, source: str, destination: str) -> bool:
        return bool(cache.copy(source, destination))

    def show(self, request: Request) -> object:
        return {"of": request.query.get("of"), "prefix": self.settings.prefix}

    async def raw(self, request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(b"raw " + request.body, status=201)


class Broken:
    """All of its hooks raise."""

    @hookimpl
    def before_command(self) -> None:
        raise ValueError("before")

    @hookimpl
    def after_command(self, call: Call) -> None:
        raise ValueError("after")

    @hookimpl
    def on_evict(self) -> None:
        raise ValueError("evict")

    @hookimpl
    def on_shutdown(self) -> None:
        raise ValueError("shutdown")


class Hanging:
    """Never ends by itself."""

    let_go = threading.Event()

    @hookimpl
    def on_shutdown(self) -> None:
        self.let_go.wait()


class Thief:
    """Declares a command that is there."""

    @hookimpl
    def commands(self) -> list[object]:
        return [declare("GET key:key", lambda cache, key: None, summary="Steal.")]


class Misdeclared:
    """Declares a command whose notation does not fit its function."""

    @hookimpl
    def commands(self) -> list[object]:
        return [declare("SHOP key:key", lambda cache: None, summary="Shop.")]


class Misspelled:
    @hookimpl
    def before_comand(self) -> None:
        pass


class Undecorated:
    def on_evict(self, key: str) -> None:
        pass


class NearlyUndecorated:
    def on_evicted(self, key: str) -> None:
        pass


class Summaryless:
    """Forgets what every command has to say."""

    @hookimpl
    def commands(self) -> list[object]:
        return [declare("SHOP key", lambda cache, key: None)]  # type: ignore[call-arg]


class Greedy:
    @hookimpl
    def before_command(self, request: object) -> None:
        pass


class Sparing:
    """Has names that are near to those of hooks, and means none of them."""

    command = "SHOP"
    commands = ("SHOP", "SELL")

    @hookimpl(specname="on_evict")
    def archive(self, key: str, most: int = 3) -> None:
        pass

    @staticmethod
    @hookimpl
    def on_expire(key: str) -> None:
        pass

    def _on_evicted(self) -> None:
        pass

    def evict(self) -> None:
        pass


class Squatter:
    """Wants a path that is there."""

    @hookimpl
    def http_routes(self) -> list[Route]:
        return [Route("/health", lambda request: None, "Mine.")]


class Late:
    """Cannot start."""

    @hookimpl
    def on_startup(self) -> None:
        raise OSError("no such table")


class Needy:
    @dataclass(frozen=True)
    class Settings:
        url: str
        tries: int = 3

        def __post_init__(self) -> None:
            if self.tries < 1:
                raise ValueError("tries are at least 1")
