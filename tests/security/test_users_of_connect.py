"""The permissions that the page on security says a user of `connect` needs."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from cachestorm import Cache, connect
from cachestorm_server.hosting import serve
from tests.real_servers import HOST

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
RULES = "+@read +@write +@connection +@tags +@transaction +info"


@pytest.mark.parametrize("rules", [RULES, "+@all -@dangerous +info"])
@pytest.mark.parametrize("near", [False, True])
def test_they_are_enough(rules: str, near: bool) -> None:
    assert rules in " ".join(PAGE.read_text("utf-8").split())
    cache = Cache()
    with serve(cache, port=0, http_port=None) as protocols:
        port = protocols.resp.port
        with redis.Redis(port=port) as operator:
            words = f"on >secret ~page:* ~cachestorm:* tag:* {rules}".split()
            operator.execute_command("ACL", "SETUSER", "ann", *words)
        with connect(f"redis://ann:secret@{HOST}:{port}", near=near) as far:
            assert far.set("page:1", "one", tags=["news"])
            assert far.get("page:1") == "one"
            assert far.get_or_set("page:2", lambda: "two", stale=60, tags=["news"]) == "two"
            assert far.incr("page:n") == 1
            assert far.invalidate("news") >= 2
            assert far.get("page:1") is None
