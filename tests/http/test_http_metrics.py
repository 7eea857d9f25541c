"""The metrics: names, kinds, namespaces, and that what is deployed with them fits."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from cachestorm.stats import StoreStats
from cachestorm_server.metrics import OTHERS, Others, Row
from cachestorm_server.turns import Turn

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yaml"))
NEEDS_PROMTOOL = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed"
)


def samples(endpoint) -> dict[tuple, float]:
    """Each sample of a scrape by its name and labels."""
    text = endpoint.get("/metrics").body.decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_are_what_prometheus_reads(endpoint) -> None:
    endpoint.cache.namespace('quo"te').set("k", 1)
    endpoint.result("SET", "k", "v")
    endpoint.result("GET", "k")
    endpoint.result("GET", "none")
    answer = endpoint.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.body.decode().splitlines()
    sample = re.compile(r'(cachestorm|process)_\w+(\{(\w+="([^"\\]|\\.)*",?)+\})? [-+.e\d]+')
    assert [line for line in lines if line[0] != "#" and not sample.fullmatch(line)] == []
    assert 'cachestorm_keys{namespace="default"} 1.0' in lines
    assert 'cachestorm_keys{namespace="quo\\"te"} 1.0' in lines
    found = {line.split("{")[0].split(" ")[0] for line in lines if line[0] != "#"}
    assert {
        "cachestorm_hits_total",
        "cachestorm_misses_total",
        "cachestorm_evicted_keys_total",
        "cachestorm_expired_keys_total",
        "cachestorm_invalidated_keys_total",
        "cachestorm_refused_writes_total",
        "cachestorm_connected_clients",
        "cachestorm_memory_bytes",
    } <= found


def test_a_counter_is_named_total_and_nothing_else_is(endpoint) -> None:
    lines = endpoint.get("/metrics").body.decode().splitlines()
    typed = [line.split()[2:] for line in lines if line.startswith("# TYPE")]
    assert len({name for name, _ in typed}) == len(typed)
    for name, kind in typed:
        assert (kind == "counter") is name.endswith("_total")
    told = [line.split(" ", 3)[3] for line in lines if line.startswith("# HELP")]
    assert [text for text in told if not text.endswith(".") or len(text.split()) < 5] == []


@NEEDS_PROMTOOL
def test_promtool_has_nothing_to_say_about_the_metrics(endpoint) -> None:
    endpoint.cache.namespace("shop").set("k", 1, tags=["t"], ttl=60)
    scrape = endpoint.get("/metrics").body
    check = subprocess.run(
        ["promtool", "check", "metrics"], input=scrape, capture_output=True, timeout=120
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


def test_reads_and_removals_are_told_by_namespace(serve) -> None:
    endpoint = serve({"memory.max_entries": 3, "memory.eviction_policy": "allkeys-lru"})
    shop = endpoint.cache.namespace("shop")
    shop.set("a", 1, tags=["t"])
    shop.get("a")
    shop.get("none")
    shop.invalidate("t")
    for key in "bcdef":
        shop.set(key, 1)
    found = samples(endpoint)
    label = ("namespace", "shop")
    reads = "cachestorm_namespace_reads_total"
    assert found[reads, label, ("result", "hit")] == 1
    assert found[reads, label, ("result", "miss")] == 1
    removed = "cachestorm_namespace_removed_keys_total"
    assert found[removed, ("cause", "invalidated"), label] == 1
    assert found[removed, ("cause", "evicted"), label] == 2
    assert found["cachestorm_tag_invalidations_total",] == 1


def test_misses_are_told_by_cause(serve) -> None:
    endpoint = serve()
    cache = endpoint.cache
    cache.set("gone", 1, tags=["t"])
    cache.invalidate("t")
    cache.get("gone")
    for _ in range(16):
        cache.get("never")
    found = samples(endpoint)
    name = "cachestorm_miss_cause_ratio"
    assert found[name, ("cause", "invalidated")] == 0.5
    assert found[name, ("cause", "unknown")] == 0.5


def test_commands_have_histograms_and_failures(endpoint) -> None:
    with Redis(port=endpoint.application.resp.port) as client:
        for _ in range(20):
            client.lrange("none", 0, -1)
        client.set("k", "v")
        with pytest.raises(Exception, match="WRONGTYPE"):
            client.lpush("k", "x")
    found = samples(endpoint)
    name, label = "cachestorm_command_duration_seconds", ("command", "lrange")
    assert found[name + "_count", label] == 20
    limits = [
        (float(dict(key[1:])["le"]), value)
        for key, value in found.items()
        if key[0] == name + "_bucket" and label in key
    ]
    assert [value for _, value in sorted(limits)] == sorted(value for _, value in limits)
    assert max(limits) == (float("inf"), 20)
    assert found[name + "_sum", label] > 0
    failures = "cachestorm_command_failures_total"
    assert found[failures, ("command", "lpush"), ("when", "running")] == 1


def test_hot_keys_and_the_curve_are_told(serve) -> None:
    endpoint = serve({"memory.max_entries": 50, "plugins.metrics.hot_keys": 2})
    for number in range(400):
        endpoint.cache.set(f"key:{number}", "v")
        endpoint.cache.get(f"key:{number % 3}")
    for key in ("x", "y", "\udcff"):
        endpoint.cache.set(key, 1)
        for _ in range(200):
            endpoint.cache.get(key)
    found = samples(endpoint)
    hot = [key for key in found if key[0] == "cachestorm_hot_key_hits"]
    assert len(hot) == 2
    curve = {
        dict(key[1:])["capacity_factor"]: value
        for key, value in found.items()
        if key[0] == "cachestorm_estimated_miss_ratio"
    }
    assert list(curve) == ["0.5", "1", "2"]
    assert 0 <= curve["2"] <= curve["0.5"] <= 1


def test_only_the_largest_namespaces_have_series_of_their_own(serve) -> None:
    endpoint = serve({"plugins.metrics.namespaces": 2})
    for number in range(5):
        endpoint.cache.namespace(f"n{number}").set("k", "x" * 100 * number)
    found = samples(endpoint)
    names = {key[1][1]: value for key, value in found.items() if key[0] == "cachestorm_keys"}
    assert names == {"n4": 1, "n3": 1, OTHERS: 3}


def test_clients_are_served_between_the_metrics_of_a_scrape(endpoint, monkeypatch) -> None:
    monkeypatch.setattr("cachestorm_server.metrics.Turn", lambda: Turn(0.0))

    async def scrape() -> tuple[bytes, int]:
        turns = 0
        asked = asyncio.ensure_future(endpoint.application.http._metrics.exposition())
        while not asked.done():
            await asyncio.sleep(0)
            turns += 1
        return await asked, turns

    text, turns = asyncio.run(scrape())
    assert turns > text.count(b"# TYPE ")


class Look:
    """What is shown of namespaces, given their hits and the most recent scrapes."""

    def __init__(self) -> None:
        self._others = Others()

    def __call__(self, shown: dict[str, int], others: dict[str, int], past: int = 0) -> dict:
        rows = [Row(name, 1, 0, 0, 10, hits, 0, 0, 0, 0) for name, hits in shown.items()]
        every = {**shown, **others}
        facts = dict.fromkeys((field.name for field in fields(StoreStats)), 0)
        facts |= {
            "keys": len(every),
            "namespaces": len(every),
            "hits": sum(every.values()) + past,
            "used_memory": 10 * len(every),
        }
        found = self._others.joined(rows, StoreStats(**facts))
        return {each.name: (each.keys, each.hits) for each in found}


def test_the_counters_of_the_others_never_fall() -> None:
    look = Look()
    assert look({"a": 5}, {"b": 3, "c": 4}) == {"a": (1, 5), OTHERS: (2, 7)}
    # b is shown now: what it had counted stays with the others
    assert look({"b": 3}, {"a": 6, "c": 4}) == {"b": (1, 3), OTHERS: (2, 8)}
    assert look({"b": 9}, {"a": 6, "c": 5}) == {"b": (1, 9), OTHERS: (2, 9)}
    # c is deleted, and made anew; what it had counted is in the totals still
    assert look({"b": 9}, {"a": 6}, past=5) == {"b": (1, 9), OTHERS: (1, 9)}
    assert look({"b": 9}, {"a": 6, "c": 2}, past=5) == {"b": (1, 9), OTHERS: (2, 11)}


def test_where_all_are_shown_there_are_no_others() -> None:
    look = Look()
    assert look({"a": 5}, {}) == {"a": (1, 5)}
    assert look({"a": 6, "b": 70}, {}) == {"a": (1, 6), "b": (1, 70)}


def test_what_is_counted_while_it_is_read_is_not_counted_twice() -> None:
    look = Look()
    look({"a": 5}, {"b": 1})
    # the rows are read after the totals, which do not have the last hit of a yet
    assert look({"a": 7}, {"b": 1}, past=-1)[OTHERS] == (1, 1)
    assert look({"a": 7}, {"b": 2})[OTHERS] == (1, 2)


@pytest.fixture(scope="module")
def names(shared) -> set[str]:
    """Every name that a scrape of a server in use has."""
    with Redis(port=shared.application.resp.port) as client:
        client.set("k", "v")
        client.get("k")
    text = shared.get("/metrics").body.decode()
    found = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    return found | {name + "_bucket" for name in found}


def expressions() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "cachestorm.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_the_dashboard_of_grafana_is_laid_out_without_overlaps() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "cachestorm.json").read_text())
    assert {"title", "uid", "schemaVersion", "panels", "templating"} <= set(dashboard)
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        assert place["x"] + place["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_what_is_deployed_names_metrics_that_there_are(names) -> None:
    rules = "".join(path.read_text() for path in RULES)
    used = re.findall(r"expr: (.*(?:\n {10,}.*)*)", rules) + expressions()
    unknown = {
        name
        for text in used
        for name in re.findall(r"\bcachestorm_[a-z_]+", text)
        if name not in names
    }
    assert unknown == set()


@NEEDS_PROMTOOL
@pytest.mark.parametrize("path", RULES, ids=str)
def test_promtool_takes_the_rules(path) -> None:
    check = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=120
    )
    assert check.returncode == 0, check.stdout + check.stderr


@NEEDS_PROMTOOL
def test_promtool_takes_the_configuration() -> None:
    check = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", "prometheus.yaml"],
        cwd=DEPLOY / "prometheus",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert check.returncode == 0, check.stdout + check.stderr


@NEEDS_PROMTOOL
def test_promtool_takes_the_expressions_of_the_dashboard(tmp_path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "1m")}
        for number, text in enumerate(expressions())
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    check = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, timeout=120
    )
    assert check.returncode == 0, check.stdout + check.stderr
