"""Commands over HTTP: by name and by position, alone and in pipelines, and refused."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from cachestorm.keyspace.shared_state import SLICE
from cachestorm_server.json_commands import (
    MOST_VALUES,
    BadJsonError,
    TooManyValuesError,
    count_values,
    read_document,
)
from cachestorm_server.web.wire import LARGEST_ANSWER


def error_of(answer: Any) -> tuple[int, str, str]:
    error = answer.json["error"]
    return answer.status, error["code"], error["message"]


def test_arguments_go_by_name(endpoint) -> None:
    answer = endpoint.post({"command": "SET", "key": "k", "value": "v", "ex": 60})
    assert (answer.status, answer.json) == (200, {"result": "OK"})
    assert 50 < endpoint.result("TTL", "k") <= 60


def test_arguments_go_by_position(endpoint) -> None:
    assert endpoint.result("SET", "k", "v", "EX", 60) == "OK"
    assert endpoint.post({"command": ["get", "k"]}).json == {"result": "v"}


def test_a_subcommand_goes_by_its_two_words(endpoint) -> None:
    endpoint.result("SET", "k", 5)
    answer = endpoint.post({"command": "object encoding", "key": "k"})
    assert answer.json == {"result": "int"}
    assert endpoint.result("OBJECT", "ENCODING", "k") == "int"


def test_a_missing_key_is_null(endpoint) -> None:
    assert endpoint.result("GET", "none") is None


def test_tags_go_through_http(endpoint) -> None:
    endpoint.post({"command": "SETTAG", "key": "user:1", "value": "Ada", "tags": ["users"]})
    endpoint.post({"command": "SET", "key": "user:2", "value": "Bo", "tags": ["users", "x"]})
    assert endpoint.result("TAGKEYS", "users") == ["user:1", "user:2"]
    assert endpoint.result("INVALIDATE", "users") == 2
    assert endpoint.result("TAGKEYS", "users") == []


def test_a_pipeline_is_answered_in_order_and_goes_on_after_an_error(endpoint) -> None:
    answer = endpoint.post(
        [
            {"command": ["SET", "k", "text"]},
            {"command": ["INCR", "k"]},
            {"command": "NOPE"},
            3,
            {"command": ["GET", "k"]},
        ]
    )
    assert answer.status == 200
    kinds = [next(iter(each)) for each in answer.json]
    assert kinds == ["result", "error", "error", "error", "result"]
    assert answer.json[-1] == {"result": "text"}


def test_a_write_is_answered_when_a_pause_is_over(serve) -> None:
    client = serve()
    began_s = time.monotonic()
    client.application.http._endpoint.pause.begin(0.15, holds_all=False)
    commands = [{"command": ["SET", "k", 1]}, {"command": ["GET", "k"]}]
    assert client.post({"commands": commands, "atomic": True}).status == 200
    assert time.monotonic() - began_s >= 0.15
    assert client.result("SET", "k", 2) == "OK"


def test_what_comes_for_a_client_that_has_gone_stays_for_others(endpoint) -> None:
    body = json.dumps({"command": ["BLPOP", "q", 0]}).encode()
    with socket.create_connection(("127.0.0.1", endpoint.port), 60) as connection:
        connection.sendall(
            b"POST /v1/commands HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        until(lambda: endpoint.cache._space.waiting is not None)
    until(lambda: endpoint.cache._space.waiting is None)
    assert endpoint.cache.rpush("q", "x") == 1
    assert endpoint.result("LPOP", "q") == "x"


def until(is_so: Callable[[], bool]) -> None:
    gives_up_at = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < gives_up_at
        time.sleep(0.001)


def test_an_empty_pipeline_has_no_answers(endpoint) -> None:
    assert endpoint.post([]).json == []


def test_a_namespace_is_chosen_by_member_or_by_header(endpoint) -> None:
    endpoint.post({"command": ["SET", "k", "here"]})
    endpoint.post({"command": ["SET", "k", "there"], "namespace": "elsewhere"})
    assert endpoint.result("GET", "k") == "here"
    by_header = endpoint.post({"command": ["GET", "k"]}, X_CacheStorm_Namespace="elsewhere")
    assert by_header.json == {"result": "there"}


def test_a_value_of_any_json_is_kept_as_the_object_it_is(endpoint) -> None:
    value = {"name": "Ada", "tags": [1, None, True]}
    endpoint.post({"command": "SET", "key": "k", "value": value})
    assert value == endpoint.cache.get("k")


def test_bytes_that_are_no_text_are_base64_both_ways(endpoint) -> None:
    binary = {"base64": "/wA="}
    endpoint.post({"command": "SET", "key": "k", "value": binary})
    assert endpoint.cache.get("k") == b"\xff\x00"
    assert binary == endpoint.result("GET", "k")
    endpoint.post({"command": ["SET", binary, "v"]})
    assert endpoint.result("GET", binary) == "v"


def test_a_refusal_carries_the_code_and_the_status_of_its_class(endpoint) -> None:
    endpoint.post({"command": ["SET", "k", {"an": "object"}]})
    status, code, message = error_of(endpoint.post({"command": ["APPEND", "k", "x"]}))
    assert (status, code) == (409, "WRONGTYPE")
    assert message == "Operation against a key holding the wrong kind of value"


@pytest.mark.parametrize(
    ("document", "status", "part"),
    [
        ({"command": ["NOPE", 1]}, 404, "unknown command 'NOPE'"),
        ({"command": ["OBJECT", "NOPE", "k"]}, 404, "unknown subcommand 'NOPE'"),
        ({"command": ["GET"]}, 400, "wrong number of arguments for 'get' command"),
        ({"command": ["SET", "k", "v", "EX", "x"]}, 400, "value is not an integer"),
        ({"command": ["SET", "k", "v", "EX", 0]}, 400, "invalid expire time"),
        ({"command": ["SET", "k", "v", "PINK"]}, 400, "syntax error"),
        ({"command": "SET", "key": "k"}, 400, "missing argument 'value'"),
        ({"command": "SET", "key": "k", "value": 1, "colour": 2}, 400, "argument 'colour'"),
        ({"command": "SET", "key": 5, "value": 1}, 400, "a key is a str"),
        ({"command": ["GET", "k"], "key": "k"}, 400, "by name"),
        ({"command": ["GET", "k"], "namespace": 7}, 400, '"namespace"'),
        ({"command": ["GET", "k"], "namespace": "a b"}, 404, "namespace"),
        ({"command": []}, 400, "begins with the name"),
        ({"command": [5]}, 400, "begins with the name"),
        ({"command": ""}, 404, "no command"),
        ({"key": "k"}, 400, 'member "command"'),
        ({"command": None}, 400, 'member "command"'),
        ("GET k", 400, "a command is an object"),
        ({"command": ["SET", "k", {"base64": "!"}]}, 400, "base64"),
        ({"command": "CLIENT ID"}, 400, "belongs to a connection"),
        ({"command": ["HELLO", 3]}, 400, "belongs to a connection"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(endpoint, document, status, part) -> None:
    actual, _, message = error_of(endpoint.post(document))
    assert status == actual
    assert part in message
    endpoint.cache._check()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"command": ["SET", "k", NaN]}',
        b'{"command": ["SET", "k", [1e400]]}',
        b'{"command": ["SET", "k", -1e400]}',
        b'{"command": ["SET", "k", "\\ud800"]}',
        b'{"command": ["SET", "k", "\xff"]}',
        b"[" * 100_000,
        b'{"command": ["SET", "k", ' + b"9" * 5000 + b"]}",
    ],
)
def test_what_is_no_json_is_refused_and_changes_nothing(endpoint, body) -> None:
    answer = endpoint.request("POST", "/v1/commands", body, Content_Type="application/json")
    assert answer.status == 400
    assert "body" in answer.json["error"]["message"]
    assert len(endpoint.cache) == 0


def test_a_body_beyond_the_limit_is_refused(serve) -> None:
    endpoint = serve({"http.max_body": "1kb"})
    status, _, message = error_of(endpoint.post({"command": ["SET", "k", "x" * 2000]}))
    assert (status, message) == (413, "the body is larger than 1024 bytes")
    assert endpoint.result("SET", "k", "x" * 500) == "OK"


def test_a_limit_of_nothing_is_none(serve) -> None:
    endpoint = serve({"http.max_body": "0"})
    assert endpoint.result("SET", "k", "x" * (17 << 20)) == "OK"


@pytest.mark.parametrize("times", [1, 5000])
def test_a_packed_body_counts_as_what_it_unpacks_to(serve, times) -> None:
    endpoint = serve({"http.max_body": "64kb"})
    body = gzip.compress(b'{"command": ["SET", "k", "v"]}' + b" " * 30 * times)
    headers = {"Content_Type": "application/json", "Content_Encoding": "gzip"}
    answer = endpoint.request("POST", "/v1/commands", body, **headers)
    assert (200 if times == 1 else 413) == answer.status


def test_a_body_that_is_not_packed_as_it_says_is_refused(endpoint) -> None:
    headers = {"Content_Type": "application/json", "Content_Encoding": "gzip"}
    assert endpoint.request("POST", "/v1/commands", b"plain", **headers).status == 400


def test_too_long_a_pipeline_is_refused(endpoint) -> None:
    status, _, message = error_of(endpoint.post([{"command": ["GET", "k"]}] * 10_001))
    assert status == 400
    assert "at most 10000" in message


@pytest.mark.parametrize("body", [b"[" + b"[]," * 5_000_000 + b"[]]", b"[" * 8_000_000])
def test_a_body_of_too_many_values_is_refused_before_it_is_read(endpoint, body) -> None:
    answer = endpoint.request("POST", "/v1/commands", body, Content_Type="application/json")
    status, _, message = error_of(answer)
    assert (status, "more than 262144 values" in message) == (413, True)


def test_others_are_served_while_the_values_of_a_body_are_counted() -> None:
    slices = 0
    with pytest.raises(TooManyValuesError):
        for _ in count_values(b"[]," * 1_000_000):
            slices += 1
    assert slices == MOST_VALUES // 8192


@pytest.mark.parametrize(
    "text", ["a,[{" * 1_000_000, '\\",' * 1_000_000, "\\" * 1_000_001, "\\\n,[" * 500_000]
)
def test_what_stands_in_a_string_is_no_value(endpoint, text) -> None:
    assert endpoint.result("SET", "k", text) == "OK"
    assert endpoint.result("STRLEN", "k") == len(text)


@pytest.mark.parametrize("body", ['"' + '\\",' * 2_000_000, '"\\"' * 2_000_000 + "\\"])
def test_a_string_without_an_end_is_passed_over_once(body) -> None:
    assert list(count_values(body.encode())) == []
    with pytest.raises(BadJsonError):
        read_document(body.encode())


def test_a_full_cache_answers_507(serve) -> None:
    endpoint = serve({"memory.max_memory": "64kb", "memory.eviction_policy": "noeviction"})
    status, code, _ = error_of(endpoint.post({"command": ["SET", "k", "x" * 100_000]}))
    assert (status, code) == (507, "OOM")


def test_an_object_that_json_cannot_carry_is_refused_and_stays(endpoint) -> None:
    endpoint.cache.set("k", object())
    status, _, message = error_of(endpoint.post({"command": ["GET", "k"]}))
    assert status == 409
    assert "no form in JSON" in message
    assert endpoint.result("EXISTS", "k") == 1


def test_an_unexpected_failure_is_answered_and_the_endpoint_lives_on(endpoint, caplog) -> None:
    class Hostile(dict):
        def items(self):
            raise RuntimeError("boom")

    endpoint.cache.set("k", Hostile(a=1))
    with caplog.at_level(logging.CRITICAL, "cachestorm.http"):
        status, code, message = error_of(endpoint.post({"command": ["GET", "k"]}))
    assert (status, code, message) == (500, "ERR", "internal error")
    assert endpoint.result("SET", "k", "v") == "OK"


def test_a_command_that_takes_many_turns_is_answered_in_its_place(endpoint) -> None:
    for number in range(2 * SLICE):
        endpoint.cache.set(f"k{number}", b"v", tags=["t"])
    answer = endpoint.post({"command": ["INVALIDATE", "t"]})
    assert (answer.status, answer.json) == (200, {"result": 2 * SLICE})
    for number in range(2 * SLICE):
        endpoint.cache.set(f"k{number}", b"v", tags=["t"])
    pipeline = [{"command": ["KEYS", "k1234"]}, {"command": ["INVALIDATE", "t"]}]
    assert endpoint.post(pipeline).json == [{"result": ["k1234"]}, {"result": 2 * SLICE}]


def test_an_empty_list_of_an_option_is_as_good_as_none(endpoint) -> None:
    command = {"command": "SET", "key": "k", "value": "v", "tags": []}
    assert endpoint.post(command).json == {"result": "OK"}
    assert endpoint.cache.tags("k") == []
    assert endpoint.post({"command": "DEL", "keys": []}).status == 400


DRAWS = {"set": "SRANDMEMBER", "hash": "HRANDFIELD", "ranks": "ZRANDMEMBER"}


@pytest.mark.parametrize(("key", "command"), DRAWS.items(), ids=DRAWS.values())
def test_a_reply_beyond_the_bound_is_refused_and_others_are_served(
    endpoint, key: str, command: str
) -> None:
    cache = endpoint.cache
    cache.sadd("set", "m")
    cache.hset("hash", "f", "v")
    cache.zadd("ranks", {"m": 1})
    for count in (-(2**63) + 1, -(2**40)):
        status, code, message = error_of(endpoint.post({"command": [command, key, count]}))
        assert (status, code) == (400, "ERR")
        assert message.endswith("(max_reply): ask for less at once")
    assert len(endpoint.result(command, key, -3)) == 3


def test_what_comes_after_too_many_large_answers_is_not_run(endpoint) -> None:
    endpoint.cache.set("large", b"x" * 1_000_000)
    large = {"command": ["MGET", *["large"] * 20]}
    answer = endpoint.post([*[large] * 20, {"command": ["SET", "k", "v"]}])
    assert len(answer.body) < LARGEST_ANSWER + 21_000_000
    assert "not run: the answers before it are too large" in answer.json[-1]["error"]["message"]
    assert endpoint.cache.exists("k") == 0
