"""Transactions over HTTP: many commands in one step, if what was watched is untouched."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cachestorm import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import WatchError
from cachestorm_server.json_commands import JsonCommands
from cachestorm_server.json_transactions import (
    MOST_WATCHED_KEYS,
    WATCH_S,
    JsonTransactions,
    TooManyWatchedError,
    read_batch,
)

TOUCHED = {"error": {"code": "WATCH", "message": "a watched key was touched: nothing was run"}}


def get(key: str) -> dict[str, Any]:
    return {"command": ["GET", key]}


def put(key: str, value: object) -> dict[str, Any]:
    return {"command": "SET", "key": key, "value": value}


def test_the_commands_of_a_transaction_are_answered_in_order(endpoint) -> None:
    commands = [put("n", 1), {"command": ["INCR", "n"]}, get("none")]
    answer = endpoint.post({"commands": commands, "atomic": True})
    assert answer.status == 200
    assert answer.json == {"results": [{"result": "OK"}, {"result": 2}, {"result": None}]}


def test_commands_that_are_not_atomic_are_a_pipeline(endpoint) -> None:
    answer = endpoint.post({"commands": [put("k", "v"), {"command": "NOPE"}, get("k")]})
    results = answer.json["results"]
    assert (results[0], "error" in results[1], results[2]) == (
        {"result": "OK"},
        True,
        {"result": "v"},
    )


def test_a_command_that_fails_fails_alone(endpoint) -> None:
    endpoint.result("RPUSH", "list", "a")
    commands = [put("a", 1), {"command": ["INCR", "list"]}, put("b", 2)]
    answer = endpoint.post({"commands": commands, "atomic": True})
    assert [next(iter(each)) for each in answer.json["results"]] == [
        "result",
        "error",
        "result",
    ]
    assert endpoint.result("EXISTS", "a", "b") == 2


@pytest.mark.parametrize(
    "bad",
    [{"command": "NOPE"}, {"command": ["GET"]}, {"command": "GET"}, 3, {"command": ["MULTI"]}],
    ids=["unknown", "too few words", "argument missing", "no command", "of a connection"],
)
def test_nothing_is_run_if_a_command_cannot_be_queued(endpoint, bad: object) -> None:
    answer = endpoint.post({"commands": [put("k", 1), bad], "atomic": True})
    error = answer.json["error"]
    assert (answer.status, error["code"]) == (409, "EXECABORT")
    assert error["message"].startswith("Transaction discarded because of command 2: ")
    assert endpoint.result("EXISTS", "k") == 0


def test_what_was_read_can_be_written_while_it_is_untouched(endpoint) -> None:
    endpoint.result("SET", "stock", 10)
    read = endpoint.post({"commands": [get("stock")], "watch": ["stock"]}).json
    assert read["results"] == [{"result": "10"}]
    written = {"commands": [put("stock", 9)], "atomic": True, "watch": read["watch"]}
    assert endpoint.post(written).json == {"results": [{"result": "OK"}]}
    # a token is good for one transaction
    again = endpoint.post(written)
    assert (again.status, again.json["error"]) == (409, TOUCHED["error"])


@pytest.mark.parametrize(
    "touch",
    [
        lambda cache: cache.set("k", 1),
        lambda cache: cache.delete("k"),
        lambda cache: cache.invalidate("t"),
        lambda cache: (cache.delete("k"), cache.set("k", 1, tags=["t"])),
    ],
    ids=["write", "delete", "invalidate", "made anew"],
)
def test_nothing_is_run_when_a_watched_key_was_touched(endpoint, touch: Any) -> None:
    endpoint.cache.set("k", 1, tags=["t"])
    token = endpoint.post({"commands": [], "watch": ["other", "k"]}).json["watch"]
    touch(endpoint.cache)
    answer = endpoint.post({"commands": [put("done", 1)], "atomic": True, "watch": token})
    assert (answer.status, answer.json["error"]) == (409, TOUCHED["error"])
    assert endpoint.result("EXISTS", "done") == 0
    assert endpoint.cache._space.watches is None
    endpoint.cache._check()


def test_a_missing_key_that_came_and_went_was_touched(endpoint) -> None:
    token = endpoint.post({"commands": [], "watch": ["k"]}).json["watch"]
    endpoint.result("SET", "k", 1)
    endpoint.result("DEL", "k")
    answer = endpoint.post({"commands": [], "atomic": True, "watch": token})
    assert (answer.status, answer.json["error"]) == (409, TOUCHED["error"])


def test_keys_are_watched_in_the_namespace_of_the_document(endpoint) -> None:
    document = {"commands": [], "watch": ["k"], "namespace": "shop"}
    token = endpoint.post(document).json["watch"]
    endpoint.result("SET", "k", 1)
    commands = [put("k", 2)]
    transaction = {"commands": commands, "atomic": True, "watch": token, "namespace": "shop"}
    assert endpoint.post(transaction).status == 200
    assert endpoint.cache.namespace("shop").get("k") == 2


def test_a_transaction_that_is_refused_ends_its_watches(endpoint) -> None:
    token = endpoint.post({"commands": [], "watch": ["k"]}).json["watch"]
    bad = {"commands": [{"command": "NOPE"}], "atomic": True, "watch": token}
    assert endpoint.post(bad).json["error"]["code"] == "EXECABORT"
    assert endpoint.cache._space.watches is None


def test_nobody_sees_half_of_a_transaction(endpoint) -> None:
    endpoint.cache.mset({"a": 0, "b": 0})
    stop = threading.Event()
    torn: list[object] = []

    def look() -> None:
        while not stop.is_set():
            a, b = endpoint.cache.mget("a", "b")
            if a != b:
                torn.append((a, b))

    thread = threading.Thread(target=look)
    thread.start()
    commands = [{"command": ["INCR", "a"]}, {"command": ["INCR", "b"]}]
    for _ in range(50):
        endpoint.post({"commands": commands, "atomic": True})
    stop.set()
    thread.join()
    assert (torn, endpoint.cache.mget("a", "b")) == ([], [50, 50])


def test_a_long_command_and_one_that_waits_end_inside(endpoint) -> None:
    endpoint.cache.sadd("a", *[f"m{number}" for number in range(20_000)])
    commands = [{"command": ["SUNIONSTORE", "b", "a"]}, {"command": ["BLPOP", "none", 0]}]
    answer = endpoint.post({"commands": commands, "atomic": True})
    assert answer.json == {"results": [{"result": 20_000}, {"result": None}]}


@pytest.mark.parametrize(
    "document",
    [
        {"commands": {}},
        {"commands": [], "atomic": 1},
        {"commands": [], "watch": 3},
        {"commands": [], "watch": [3]},
        {"commands": [], "watch": "0123"},
        {"commands": [], "namespace": 3},
        {"commands": [], "nope": True},
    ],
)
def test_a_document_of_another_shape_is_refused(endpoint, document: Any) -> None:
    answer = endpoint.post(document)
    assert (answer.status, answer.json["error"]["code"]) == (400, "ERR")


def test_an_answer_too_large_to_show_says_that_it_was_run(endpoint) -> None:
    endpoint.cache.set("large", b"x" * (9 << 20))
    commands = [get("large"), get("large"), put("k", 1)]
    results = endpoint.post({"commands": commands, "atomic": True}).json["results"]
    assert results[2]["error"]["message"].startswith("not shown, but run")
    assert endpoint.result("GET", "k") == "1"


class Watching:
    """Transactions whose clock stands where the test puts it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cache = Cache()
        commands = JsonCommands(self.cache, REGISTRY)
        self.transactions = JsonTransactions(self.cache, commands, lambda: self.now)

    def watch(self, *keys: str) -> str:
        return self.transactions.watch(read_batch({"commands": [], "watch": list(keys)}, None))

    def run(self, token: str) -> list[Any]:
        document = {"commands": [], "atomic": True, "watch": token}
        return self.transactions.run(read_batch(document, None))


def test_a_watch_ends_after_a_minute() -> None:
    watching = Watching()
    first = watching.watch("a")
    watching.now = WATCH_S - 1
    second = watching.watch("b")
    watching.now = WATCH_S
    with pytest.raises(WatchError):
        watching.run(first)
    assert watching.run(second) == []
    assert watching.cache._space.watches is None


def test_no_more_than_so_many_keys_are_watched() -> None:
    watching = Watching()
    keys = [f"k{number}" for number in range(MOST_WATCHED_KEYS)]
    watching.watch(*keys)
    with pytest.raises(TooManyWatchedError):
        watching.watch("one more")
    watching.now = WATCH_S
    assert watching.watch("one more") != ""
    watching.transactions.end_all()
    assert watching.cache._space.watches is None
