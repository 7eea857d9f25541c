"""The tools that look at a server: what they print for programs, and how they end."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack

import pytest
from in_this_process import CommandLine, Served

from cachestorm import Cache
from cachestorm_cli.bench import end_of_reply
from cachestorm_cli.doctor import GOOD, PROBLEM, WARNING, Patient, diagnose
from cachestorm_cli.server_facts import ServerFacts, fields_of
from cachestorm_cli.top import lines_of, rates_between
from cachestorm_server.hosting import serve


def test_ping_tells_by_its_exit_code_whether_a_server_answers(
    served: Served, command_line: CommandLine
) -> None:
    for url in (served.url, served.http_url):
        answered = command_line("ping", "--count", "2", "-i", "0.01", url=url)
        assert answered.code == 0
        assert answered.out.count(" answers in ") == 2
    assert command_line("ping", url="redis://127.0.0.1:1").code == 1


def test_stats_tells_what_the_cache_holds(served: Served, command_line: CommandLine) -> None:
    served.cache.set("k", "v", tags=["t"])
    served.cache.get("k")
    facts = json.loads(command_line("stats", "--json", url=served.url).out)
    assert (facts["keys"], facts["tags"], facts["hits"], facts["misses"]) == (1, 1, 1, 0)
    assert facts["product"].startswith("CacheStorm ")
    lines = dict(line.split("\t") for line in command_line("stats").out.splitlines())
    assert (lines["keys"], lines["hit_ratio"]) == ("1", "1")


def test_stats_reads_real_servers(real_server, command_line: CommandLine) -> None:
    shown = command_line("stats", "--json", url=f"redis://127.0.0.1:{real_server.port}")
    facts = json.loads(shown.out)
    assert facts["product"].lower().startswith(real_server.name)
    assert facts["uptime_s"] >= 0


def test_a_tool_that_needs_resp_says_so(served: Served, command_line: CommandLine) -> None:
    for tool in ("stats", "top", "monitor", "bench", "doctor"):
        refused = command_line(tool, url=served.http_url)
        assert refused.code == 2
        assert "needs RESP" in refused.err


def test_hot_keys_are_ranked(served: Served, command_line: CommandLine) -> None:
    for key, hits in (("cold", 10), ("hot", 300)):
        served.cache.set(key, 1)
        for _ in range(hits):
            served.cache.get(key)
    rows = json.loads(command_line("hotkeys", "--json", url=served.url).out)
    assert rows[0]["key"] == "hot"


def test_big_keys_are_ranked_once_each(served: Served, command_line: CommandLine) -> None:
    for number in range(50):
        served.cache.set(f"k:{number}", "x" * 10)
    served.cache.set("big", "x" * 10_000)
    served.cache.rpush("list", *range(100))
    for url in (served.url, served.http_url):
        rows = json.loads(command_line("bigkeys", "3", "--json", url=url).out)
        assert [row["key"] for row in rows[:2]] == ["big", "list"]
        assert [row["type"] for row in rows[:2]] == ["string", "list"]
        assert len({row["key"] for row in rows}) == 3
    only = command_line("bigkeys", "--match", "l*", "--csv").out.splitlines()
    assert (only[0], only[1].split(",")[:2]) == ("key,type,bytes", ["list", "list"])


def test_tags_are_shown_as_a_tree(served: Served, command_line: CommandLine) -> None:
    cache = served.cache
    cache.set("page", 1, tags=["home", "author:3"])
    cache.taglink("authors", "author:3")
    cache.taglink("people", "author:3")
    cache.taglink("author:3", "draft")
    for url in (served.url, served.http_url):
        shown = command_line("tagtree", url=url).out.splitlines()
        assert shown == [
            "authors\t0",
            "  author:3\t1",
            "    draft\t0",
            "home\t1",
            "people\t0",
            "  author:3\t1 (above)",
        ]
    assert command_line("tagtree", "author:3", "--depth", "1").out == "author:3\t1\n"
    assert command_line("tagtree", "nobody").code == 1


def test_a_tree_of_any_depth_is_shown(served: Served, command_line: CommandLine) -> None:
    for number in range(2000):
        served.cache.taglink(f"t{number}", f"t{number + 1}")
    assert len(command_line("tagtree", url=served.url).out.splitlines()) == 2001


def test_latency_measures_and_takes_the_subcommands_of_the_server(
    served: Served, command_line: CommandLine
) -> None:
    facts = json.loads(
        command_line("latency", "--count", "5", "-i", "0.01", "--json", url=served.url).out
    )
    assert facts["answers"] == 5
    assert facts["min_us"] <= facts["p50_us"] <= facts["max_us"]
    assert command_line("latency", "latest").code == 0
    assert "LATENCY" in command_line("latency", "help").out
    assert command_line("latency", "nonsense").code == 2


def test_monitor_shows_what_others_send(served: Served, command_line: CommandLine) -> None:
    import redis

    client = redis.Redis.from_url(served.url)
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.wait(0.01):
            client.set("watched", "v")

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        call = ("monitor", "--match", "*watched*", "--count", "2")
        shown = command_line(*call, url=served.url)
    finally:
        stop.set()
        asking.join()
        client.close()
    assert shown.code == 0
    assert [line.rpartition("] ")[2] for line in shown.out.splitlines()] == [
        '"SET" "watched" "v"'
    ] * 2


def test_top_without_a_terminal_prints_lines(served: Served, command_line: CommandLine) -> None:
    shown = command_line("top", "--count", "2", "-i", "0.01", url=served.url)
    assert shown.code == 0
    assert len(shown.out.splitlines()) == 3


def test_top_without_a_terminal_ends_when_the_server_goes_away(
    command_line: CommandLine,
) -> None:
    with ExitStack() as serving:
        protocols = serving.enter_context(serve(Cache(), port=0))
        url = f"redis://127.0.0.1:{protocols.resp.port}"
        leaving = threading.Timer(0.3, serving.close)
        leaving.start()
        outcome = command_line("top", "-i", "0.05", url=url)
        leaving.join()
    assert outcome.code == 1
    assert outcome.err.startswith(f"cachestorm: {url.removeprefix('redis://')}: ")


def _facts(at_s: float, **fields: object) -> ServerFacts:
    return ServerFacts({name: str(value) for name, value in fields.items()}, at_s)


def test_rates_are_of_what_lies_between_two_looks() -> None:
    before = _facts(
        10.0,
        total_commands_processed=100,
        keyspace_hits=10,
        keyspace_misses=10,
        cmdstat_get="calls=10,usec=100",
    )
    now = _facts(
        12.0,
        total_commands_processed=300,
        keyspace_hits=25,
        keyspace_misses=15,
        cmdstat_get="calls=30,usec=500",
        cmdstat_set="calls=4,usec=8",
    )
    rates = rates_between(before, now)
    assert (rates.operations, rates.hit_ratio) == (100.0, 0.75)
    rows = [(one.name, calls, mean) for one, calls, mean in rates.commands]
    assert rows == [("get", 10.0, 20.0), ("set", 2.0, 2.0)]
    # a server that was restarted counts from the beginning
    assert rates_between(now, before).operations == 0


@pytest.mark.parametrize("width", [1, 20, 80])
def test_the_screen_fits_its_width_and_leaves_no_control_characters(width: int) -> None:
    facts = _facts(1.0, used_memory=10**9, maxmemory=2 * 10**9, redis_version="7.4.0")
    rates = rates_between(facts, _facts(2.0, cmdstat_get="calls=1,usec=1"))
    lines = lines_of(facts, rates, [("a\x1b[31m" * 20, 5)], width, "127.0.0.1:6380")
    assert max(map(len, lines)) <= width
    assert all(line.isprintable() for line in lines)


PATIENTS = [
    ({"used_memory": 5}, {}, WARNING, "no memory limit"),
    (
        {"used_memory": 99, "maxmemory": 100, "maxmemory_policy": "noeviction"},
        {},
        PROBLEM,
        "writes are refused",
    ),
    ({"used_memory": 5, "maxmemory": 100}, {}, GOOD, "5% of 100 B"),
    ({"rejected_connections": 1}, {}, PROBLEM, "1 client was turned away"),
    ({"rejected_connections": 3}, {}, PROBLEM, "3 clients were turned away"),
    ({"connected_clients": 90, "maxclients": 100}, {}, WARNING, "90 of at most 100"),
    ({"rdb_last_bgsave_status": "err"}, {}, PROBLEM, "snapshot could not be written"),
    ({"aof_last_write_status": "err"}, {}, PROBLEM, "would not survive a restart"),
    ({"keyspace_hits": 100, "keyspace_misses": 1900}, {}, WARNING, "nothing was evicted"),
    (
        {"keyspace_hits": 100, "keyspace_misses": 1900, "evicted_keys": 7},
        {},
        WARNING,
        "7 keys were evicted",
    ),
    ({"keyspace_hits": 1900, "keyspace_misses": 100}, {}, GOOD, "95.0 % of 2,000"),
    (
        {"total_commands_processed": 2000, "total_error_replies": 500},
        {},
        WARNING,
        "25% of all commands",
    ),
    ({"cachestorm_version": "1", "compiled": 0}, {}, WARNING, "plain Python"),
    (
        {"used_memory_rss": 10**9, "mem_fragmentation_ratio": "3.0"},
        {},
        WARNING,
        "3.0 times what the keys take",
    ),
    ({}, {"bind": "0.0.0.0", "protected-mode": "no"}, PROBLEM, "everybody who reaches"),
    ({}, {"bind": "0.0.0.0", "protected-mode": "yes"}, WARNING, "without a password"),
]

NODES = [
    ({"cluster_state": "fail", "cluster_slots_assigned": "0"}, "has slots", "create"),
    (
        {
            "cluster_state": "fail",
            "cluster_slots_assigned": "16384",
            "cluster_slots_ok": "10923",
        },
        "10923 of 16384 slots",
        "check",
    ),
]


@pytest.mark.parametrize(("fields", "settings", "level", "text"), PATIENTS)
def test_the_doctor_finds_what_is_wrong(fields, settings, level: str, text: str) -> None:
    found = diagnose(Patient(_facts(1.0, **fields), settings))
    matching = [finding for finding in found if text in finding.what]
    assert [finding.level for finding in matching] == [level], found
    assert all(finding.remedy for finding in found if finding.level != GOOD)


@pytest.mark.parametrize(("cluster", "text", "remedy"), NODES)
def test_the_doctor_finds_slots_that_nobody_serves(cluster, text: str, remedy: str) -> None:
    (found,) = (
        one
        for one in diagnose(Patient(_facts(1.0, maxmemory=1), cluster=cluster))
        if "slots" in one.what
    )
    assert (found.level, text in found.what, remedy in found.remedy) == (PROBLEM, True, True)
    healthy = diagnose(Patient(_facts(1.0, maxmemory=1), cluster={"cluster_state": "ok"}))
    assert [one for one in healthy if "slots" in one.what] == []


def test_the_doctor_tells_a_refusal_from_silence(
    served: Served, command_line: CommandLine
) -> None:
    outcome = command_line("doctor", "--password", "wrong", url=served.url)
    assert outcome.code == 1
    assert outcome.out.startswith("PROBLEM: the server refuses to be asked: ERR AUTH")
    assert "cachestorm serve" not in outcome.out


def test_the_doctor_finds_no_open_door_where_there_is_none() -> None:
    for settings in (
        {"bind": "127.0.0.1 -::1", "protected-mode": "no"},
        {"bind": "0.0.0.0", "requirepass": "set"},
        {},
    ):
        found = diagnose(Patient(_facts(1.0, maxmemory=1), settings))
        assert [one for one in found if "password" in one.what + one.remedy] == []


def test_the_doctor_looks_at_a_live_server(served: Served, command_line: CommandLine) -> None:
    found = json.loads(command_line("doctor", "--json", url=served.url).out)
    assert {row["level"] for row in found} <= {PROBLEM, WARNING, GOOD}
    assert "there is no memory limit" in " ".join(row["what"] for row in found)


def test_the_doctor_says_what_to_do_where_nobody_answers(command_line: CommandLine) -> None:
    outcome = command_line("doctor", url="redis://127.0.0.1:1")
    assert outcome.code == 1
    assert outcome.out.startswith("PROBLEM: the server does not answer")
    assert "cachestorm serve" in outcome.out


def test_the_doctor_lists_all_that_is_wrong_with_a_configuration(
    command_line: CommandLine, tmp_path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("server: {port: 99999, prot: 1}\nmemory: {max_memory: lots}\n")
    outcome = command_line("doctor", "--config", str(path), "--no-server")
    assert outcome.code == 1
    assert outcome.out.count("PROBLEM: ") == 3


def test_the_doctor_warns_of_a_configuration_that_serve_takes(
    command_line: CommandLine, tmp_path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("server: {bind: 0.0.0.0, protected_mode: false}\n")
    outcome = command_line("doctor", "--config", str(path), "--no-server")
    assert outcome.code == 1
    assert "PROBLEM: server.bind: 0.0.0.0 without a password" in outcome.out


def test_the_doctor_warns_of_a_data_directory_that_is_not_used(
    command_line: CommandLine, tmp_path
) -> None:
    path = tmp_path / "c.yaml"
    for enabled, is_warned in ((False, True), (True, False)):
        path.write_text(f"persistence: {{data_dir: {tmp_path}, enabled: {enabled}}}\n")
        outcome = command_line("doctor", "--config", str(path), "--no-server")
        assert ("nothing is kept" in outcome.out) is is_warned


def test_bench_compares_servers_and_leaves_nothing_behind(
    served: Served, valkey, command_line: CommandLine
) -> None:
    served.cache.set("mine", 1)
    beside = f"redis://127.0.0.1:{valkey.port}"
    load = ("--requests", "200", "--keys", "20", "--clients", "3", "--pipeline", "7")
    shown = command_line(
        "bench", "get", "settag", *load, "--beside", beside, "--json", url=served.url
    )
    rows = json.loads(shown.out)
    assert [(row["workload"], row["server"][-len(str(valkey.port)) :]) for row in rows][1] == (
        "get",
        str(valkey.port),
    )
    assert all(row["requests_per_second"] > 0 for row in rows[:3])
    assert rows[3]["requests_per_second"] is None  # no Redis has SETTAG
    assert list(served.cache.keys()) == ["mine"]


def test_an_unknown_workload_is_refused(served: Served, command_line: CommandLine) -> None:
    refused = command_line("bench", "nonsense", url=served.url)
    assert refused.code == 1
    assert "no workload is called nonsense; there are ping, set" in refused.err


@pytest.mark.parametrize(
    "reply",
    [b"+OK\r\n", b"$-1\r\n", b"$0\r\n\r\n", b"*2\r\n*1\r\n:1\r\n$3\r\na\r\n\r\n", b"*-1\r\n"],
)
def test_a_reply_ends_where_it_ends(reply: bytes) -> None:
    assert end_of_reply(reply + b"+more", 0) == len(reply)
    assert [end_of_reply(reply[:at], 0) for at in range(len(reply))] == [-1] * len(reply)


def test_fields_are_read_from_the_text_of_info() -> None:
    assert fields_of("# A\r\na:1\r\nb:x:y\r\n\r\nodd\r\n") == {"a": "1", "b": "x:y"}


def test_a_server_that_is_none_of_ours_is_a_clear_error(command_line: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        outcome = command_line("ping", url=f"redis://127.0.0.1:{port}")
        thread.join()
    assert outcome.code == 1
    assert "that is not RESP" in outcome.err
