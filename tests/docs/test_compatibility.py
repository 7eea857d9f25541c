"""The page of compatibility names every command of Redis 7.2, and says of each what is so."""

from __future__ import annotations

import pytest
from command_pages import COMPATIBILITY_PAGE
from compatibility import ABSENT, NEWER, WHOLE, as_table, names_here
from real_servers import HOST, RealServer

redis = pytest.importorskip("redis")


@pytest.fixture(scope="module")
def sinces(valkey: RealServer) -> dict[str, str]:
    """Of each command of Valkey since when it is there, in the versions of both."""
    connection = redis.Connection(HOST, valkey.port, protocol=3, decode_responses=True)
    connection.send_command("COMMAND", "DOCS")
    docs = connection.read_response()
    connection.disconnect()
    found = {}
    for entries in (docs, *[entry.get("subcommands", {}) for entry in docs.values()]):
        found.update({name: entry["since"] for name, entry in entries.items()})
    return {name.upper().replace("|", " "): since for name, since in found.items()}


@pytest.fixture(scope="module")
def real_names(sinces: dict[str, str]) -> set[str]:
    """The names of all commands that Redis 7.2 has; containers are none."""
    containers = {name.partition(" ")[0] for name in sinces if " " in name} - {"COMMAND"}
    old = {name for name, since in sinces.items() if not is_newer(since)}
    return {name for name in old - containers if name.split()[0] not in WHOLE} | set(WHOLE)


def is_newer(since: str) -> bool:
    """Whether a version is later than 7.2."""
    return tuple(int(part) for part in since.split(".")[:2]) > (7, 2)


def test_the_page_is_what_the_source_says() -> None:
    text = COMPATIBILITY_PAGE.read_text("utf-8")
    assert text.endswith(as_table(NEWER) + "\n"), "make docs writes it"


def test_every_command_of_redis_is_here_or_absent_for_a_reason(real_names: set[str]) -> None:
    here = set(names_here())
    assert sorted(real_names - here) == sorted(ABSENT)
    assert here - real_names == NEWER & here


def test_what_is_called_newer_is_so(sinces: dict[str, str]) -> None:
    known = NEWER & set(sinces)
    assert {name for name in known if not is_newer(sinces[name])} == set()
