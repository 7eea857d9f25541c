"""What a cache with a cold tier does: in a folder, in an S3, in one that does not answer."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from broken_stores import flush, tiers_of
from object_stores import ACCESS, SECRET, Proxy, moto_server, s3

from cachestorm import Cache
from cachestorm.errors import ArgumentError, ConfigError, DurabilityError

if TYPE_CHECKING:
    from cachestorm.tiers.cold import ColdLevel
    from cachestorm.tiers.lease import Lease

pytest.importorskip("obstore")

KB = b"0123456789abcdef" * 64


def value(number: int) -> bytes:
    """A kilobyte, of which zstd saves nothing."""
    return random.Random(number).randbytes(1024)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    pytest.importorskip("moto.server")
    with moto_server() as found:
        yield found


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def proxy(endpoint: str) -> Iterator[Proxy]:
    made = Proxy(endpoint)
    yield made
    made.close()


@pytest.fixture(params=["file", "s3", pytest.param("ceph", marks=pytest.mark.slow)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "file":
        return {"url": f"file://{tmp_path}/cold"}
    if request.param == "ceph":
        found = s3(request.getfixturevalue("ceph_endpoint"))
    else:
        found = s3(request.getfixturevalue("endpoint"))
    return {**found, "url": f"{found['url']}/{tmp_path.name}"}


def where_all(cache: Cache[Any], count: int) -> list[str | None]:
    return [cache.object_tier(f"k{number}") for number in range(count)]


# -- what goes where


def test_what_does_not_fit_in_memory_goes_to_the_objects(where: dict[str, Any]) -> None:
    with Cache(max_memory="512kb", cold=where) as cache:
        for number in range(600):
            cache.set(f"k{number}", value(number), ttl=3600, tags=["all", f"t{number % 2}"])
        flush(cache)
        places = where_all(cache, 600)
        assert set(places) == {"memory", "cold"} and places[0] == "cold"
        assert (len(cache), cache.stats().evicted) == (600, 0)
        assert [cache.get(f"k{number}") for number in range(0, 600, 7)] == [
            value(number) for number in range(0, 600, 7)
        ]
        told = cache.tier_stats()["cold"]
        assert told.values > 200 and told.losses == 0
        # a few requests for many values
        assert 0 < told.writes < 20 and told.written > 100 << 10
        assert cache.invalidate("t1") == 300 and len(cache) == 300
        cache._check()


def test_what_does_not_fit_on_the_ssd_goes_to_the_objects(
    where: dict[str, Any], tmp_path: Path
) -> None:
    warm = {"path": tmp_path / "warm", "max_size": "1mb", "engine": "sqlite"}

    def large(number: int) -> bytes:
        return random.Random(number).randbytes(4096)

    with Cache(max_memory="512kb", warm=warm, cold=where) as cache:
        for number in range(600):
            cache.set(f"k{number}", large(number))
            if number % 50 == 0:
                flush(cache)
        flush(cache)
        places = where_all(cache, 600)
        assert set(places) == {"memory", "warm", "cold"}
        # first what went to the SSD first
        assert (len(cache), places[0]) == (600, "cold")
        assert cache.tier_stats()["warm"].used <= 1 << 20
        for number in range(0, 600, 7):
            assert cache.get(f"k{number}") == large(number)
            if number % 49 == 0:
                flush(cache)
        assert {name: told.losses for name, told in cache.tier_stats().items()} == {
            "warm": 0,
            "cold": 0,
        }
        cache._check()


def test_a_value_that_was_read_on_the_ssd_stays_there_for_another_turn(tmp_path: Path) -> None:
    warm = {"path": tmp_path / "warm", "max_size": "64kb", "engine": "sqlite"}
    with Cache(warm=warm, cold=f"file://{tmp_path}/cold") as cache:
        for number in range(62):
            cache.set(f"k{number}", value(number))
            if number == 10:
                flush(cache)
                cache.get("k3")
            cache.demote(f"k{number}")
        flush(cache)
        assert [cache.object_tier(key) for key in ("k0", "k3", "k61")] == [
            "cold",
            "warm",
            "warm",
        ]


def test_the_first_hit_brings_a_value_back_from_the_objects(where: dict[str, Any]) -> None:
    with Cache(cold=where) as cache:
        cache.set("k", KB)
        assert cache.demote("k") and cache.object_tier("k") == "cold"
        flush(cache)
        assert cache.get("k") == KB and cache.object_tier("k") == "memory"
        told = cache.tier_stats()["cold"]
        assert (told.hits, told.promotions, told.reads, told.values) == (1, 1, 1, 0)
        cache._check()


def test_a_value_goes_to_the_tier_that_is_chosen(tmp_path: Path) -> None:
    with Cache(warm=tmp_path / "warm", cold=f"file://{tmp_path}/cold") as cache:
        for key in ("a", "b", "c"):
            cache.set(key, KB)
        assert cache.demote("a") and cache.demote("b", "cold") and cache.demote("c", "warm")
        flush(cache)
        assert [cache.object_tier(key) for key in "abc"] == ["warm", "cold", "warm"]
        assert cache.demote("a", "cold") and not cache.demote("b", "warm")
        flush(cache)
        assert [cache.object_tier(key) for key in "abc"] == ["cold", "cold", "warm"]
        assert [cache.get(key) for key in "abc"] == [KB] * 3
        with pytest.raises(ArgumentError, match="one of warm, cold, not 'lukewarm'"):
            cache.demote("a", "lukewarm")
    with Cache(cold=f"file://{tmp_path}/cold") as cache:
        cache.set("a", KB)
        assert not cache.demote("a", "warm") and not cache.demote("none", "cold")


def test_what_concerns_keys_asks_no_objects(tmp_path: Path) -> None:
    with Cache(cold=f"file://{tmp_path}") as cache:
        for number in range(10):
            cache.set(f"k{number}", value(number), tags=["all", f"t{number % 2}"])
            cache.demote(f"k{number}")
        flush(cache)
        assert cache.exists("k0") == 1 and cache.type("k1") == "string"
        assert (
            len(cache.keys()) == 10 and cache.expire("k0", 100) and 50 < cache.ttl("k0") <= 100
        )
        cache.database(1).set("x", 1)
        cache.swapdb(0, 1)
        cache.swapdb(0, 1)
        assert cache.delete("k3") == 1 and cache.invalidate("t1") == 4
        cache.set("k2", "short")
        assert cache.tier_stats()["cold"].reads == 0
        # what looks at values reads them
        assert cache.rename("k4", "k5") and cache.copy("k6", "k7")
        assert [cache.get(key) for key in ("k0", "k2", "k5", "k7", "k6", "k8")] == [
            value(0),
            "short",
            value(4),
            value(6),
            value(6),
            value(8),
        ]
        cache.demote("k8")
        cache.flushall()
        flush(cache)
        told = cache.tier_stats()["cold"]
        assert (told.values, told.used, told.disk, told.losses) == (0, 0, 0, 0)
        cache._check()


def test_a_limit_evicts_what_went_to_the_objects_first(tmp_path: Path) -> None:
    with Cache(cold={"url": f"file://{tmp_path}", "max_size": "64kb"}) as cache:
        for number in range(100):
            cache.set(f"k{number}", value(number))
            cache.demote(f"k{number}")
        flush(cache)
        cache.set("one more", KB)
        cache.demote("one more")
        flush(cache)
        assert cache.tier_stats()["cold"].used <= 64 << 10
        assert cache.object_tier("k0") is None and cache.get("k99") == value(99)
        cache._check()


def test_a_value_that_is_too_large_for_a_tier_is_evicted(tmp_path: Path) -> None:
    with Cache(cold={"url": f"file://{tmp_path}", "max_size": "10kb"}) as cache:
        cache.set("large", random.Random(1).randbytes(20_000))
        cache.demote("large")
        flush(cache)
        assert (len(cache), cache.tier_stats()["cold"].unfit) == (0, 1)
        cache._check()


def test_what_is_left_of_old_segments_is_written_anew(where: dict[str, Any]) -> None:
    def large(number: int) -> bytes:
        return random.Random(number).randbytes(10_000)

    with Cache(cold=where) as cache:
        for number in range(300):
            cache.set(f"k{number}", large(number))
            cache.demote(f"k{number}")
        flush(cache)
        full = cache.tier_stats()["cold"].disk
        for number in range(300):
            if number % 10:
                cache.delete(f"k{number}")
        flush(cache)
        told = cache.tier_stats()["cold"]
        assert full > 2900 << 10 and told.disk < 1600 << 10
        assert (told.values, told.demotions) == (30, 300)
        assert [cache.get(f"k{number}") for number in range(0, 300, 10)] == [
            large(number) for number in range(0, 300, 10)
        ]
        assert cache.tier_stats()["cold"].losses == 0
        cache._check()


# -- faults


# beyond all that a slow machine takes for a test
LONG_S = 3600.0


def cold_of(cache: Cache[Any]) -> ColdLevel:
    """The cold tier of a cache."""
    cold = tiers_of(cache).cold
    assert cold is not None
    return cold


def of_s3(proxy: Proxy, **settings: Any) -> Cache[Any]:
    """A cache with a few values in an S3 behind a proxy."""
    cache: Cache[Any] = Cache(cold=s3(proxy.endpoint), **settings)
    for number in range(10):
        cache.set(f"k{number}", value(number))
        cache.demote(f"k{number}")
    flush(cache)
    assert where_all(cache, 10) == ["cold"] * 10
    return cache


@pytest.mark.parametrize("mode", ["drop", "throttle"])
def test_no_answer_is_a_miss_and_the_value_is_there_again_later(
    mode: str, proxy: Proxy
) -> None:
    with of_s3(proxy) as cache:
        proxy.mode = mode
        assert [cache.get(f"k{number}") for number in range(5)] == [None] * 5
        told = cache.tier_stats()["cold"]
        assert (told.unanswered, told.losses, len(cache)) == (5, 0, 10)
        # after a few it is not asked for some time
        cold = cold_of(cache)
        assert cold.reads_again_at != 0.0
        cold.reads_again_at += LONG_S
        asked = proxy.requests
        assert cache.get("k5") is None and proxy.requests == asked
        proxy.mode = "pass"
        cold.reads_again_at = 0.0
        assert [cache.get(f"k{number}") for number in range(10)] == [*map(value, range(10))]
        cache._check()


def test_a_request_that_is_dropped_now_and_then_is_tried_again(proxy: Proxy) -> None:
    with of_s3(proxy) as cache:
        proxy.drops = 2
        assert cache.get("k1") == value(1)
        assert (proxy.drops, cache.tier_stats()["cold"].unanswered) == (0, 0)


def test_values_in_memory_do_not_wait_for_objects_that_hang(proxy: Proxy) -> None:
    with of_s3(proxy, max_memory="1mb") as cache:
        cache.set("here", KB)
        proxy.mode = "hang"
        asked = proxy.requests
        found: list[object] = []
        reader = threading.Thread(target=lambda: found.append(cache.get("k1")))
        reader.start()
        while proxy.requests == asked:
            time.sleep(0.001)
        assert cache.get("here") == KB
        assert cache.set("other", KB) and cache.hset("h", "f", 1) == 1
        # nor does who writes more than fits
        for number in range(3000):
            cache.set(f"more{number}", KB)
        assert found == []
        assert cache.get("more2999") == KB
        proxy.mode = "pass"
        reader.join()
        # it was tried again, or given up on a slow machine: nothing is lost
        assert found in ([value(1)], [None])
        assert cache.tier_stats()["cold"].losses == 0
        cache._check()


def test_objects_that_take_nothing_make_eviction_what_it_was(proxy: Proxy) -> None:
    with of_s3(proxy, max_memory="256kb") as cache:
        proxy.mode = "throttle"
        cache.set("first", KB)
        cache.demote("first")
        flush(cache)
        cold = cold_of(cache)
        assert cold.retry_at != 0.0
        cold.retry_at += LONG_S
        for number in range(1000):
            cache.set(f"n{number}", value(number))
        flush(cache)
        told = cache.tier_stats()["cold"]
        assert told.failures == 1 and cache.stats().evicted > 0
        assert cache.get("n999") == value(999) and told.losses == 0
        proxy.mode = "pass"
        cold.retry_at = 1e-9
        for number in range(1000, 1500):
            cache.set(f"n{number}", value(number))
        flush(cache)
        assert cache.tier_stats()["cold"].values > 100
        cache._check()


def test_a_cache_begins_without_objects_that_do_not_answer(proxy: Proxy) -> None:
    proxy.mode = "drop"
    with Cache(cold=s3(proxy.endpoint)) as cache:
        proxy.mode = "pass"
        cache.set("k", KB)
        assert cache.demote("k")
        flush(cache)
        assert cache.object_tier("k") == "cold" and cache.get("k") == KB


def test_a_flipped_bit_and_a_missing_object_are_misses_that_are_counted(tmp_path: Path) -> None:
    with Cache(cold=f"file://{tmp_path}") as cache:
        for number in range(2):
            cache.set(f"k{number}", value(number), tags=["t"])
            cache.demote(f"k{number}")
        flush(cache)
        (path,) = tmp_path.glob("run-*/0*")
        whole = path.read_bytes()
        path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        assert [cache.get("k0"), cache.get("k1")] == [None, value(1)]
        cache.demote("k1")
        flush(cache)
        (path,) = (each for each in tmp_path.glob("run-*/0*"))
        path.unlink()
        assert cache.append("k1", b"x") == 1
        told = cache.tier_stats()["cold"]
        assert (told.losses, told.unanswered, len(cache)) == (2, 0, 1)
        cache._check()


def end_saying(lease: Lease) -> None:
    """Has a run say no more that it goes on, which would make its folder again."""
    lease._is_over.set()
    assert lease._thread is not None
    lease._thread.join()


def test_a_disk_that_is_full_is_a_tier_that_refuses(tmp_path: Path) -> None:
    with Cache(cold=f"file://{tmp_path}/cold") as cache:
        cache.set("k", KB)
        cold = cold_of(cache)
        end_saying(cold.lease)
        # a folder that is a file takes nothing
        (run,) = (tmp_path / "cold").glob("run-*")
        run.rename(tmp_path / "gone")
        run.write_text("")
        cache.demote("k")
        flush(cache)
        told = cache.tier_stats()["cold"]
        assert (told.failures, len(cache)) == (1, 0)
        cold.retry_at += LONG_S
        assert cache.set("k", KB) and not cache.demote("k")
        run.unlink()
        cache._check()


FORKING = """
import os, sys
from cachestorm import Cache
from cachestorm.errors import DurabilityError
cache = Cache(max_memory="1mb", cold="file://" + sys.argv[1])
cache.set("far", b"x" * 500, tags=["t"])
cache.set("here", b"y" * 500)
cache.demote("far")
cache._store.tiering.flush()
child = os.fork()
found = [cache.get("here") == b"y" * 500, cache.get("far")]
try:
    found.append(cache.set("k", b"z" * 500))
except DurabilityError:
    found.append("refused")
found.append(cache.demote("here"))
cache._check()
if child == 0:
    # by the usual end of a process
    sys.exit(0 if found == [True, None, "refused", False] else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert found == [True, b"x" * 500, True, True], found
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_objects_to_its_parent(tmp_path: Path) -> None:
    done = subprocess.run(
        # Python 3.12 and newer warn of forks of processes that have threads, as this one does
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # the parent has ended without closing it
    assert objects_in(tmp_path) == []


# -- what others have left


def objects_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.glob("run-*/*"))


def test_what_a_killed_process_has_left_is_deleted_when_its_lease_is_over(
    where: dict[str, Any],
) -> None:
    left: Cache[Any] = Cache(cold=where)
    left.set("k", KB)
    left.demote("k")
    flush(left)
    # as if it were killed: it says no more that it goes on
    end_saying(cold_of(left).lease)
    with Cache(cold=where) as patient:
        cold_of(patient).lease.collect()
        assert left.get("k") == KB
        left.demote("k")
        flush(left)
    with Cache(cold={**where, "orphans_after": 1}) as cache:
        lease = cold_of(cache).lease
        deadline = time.monotonic() + 120
        while lease.orphans < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [*lease._objects(cold_of(left).lease._run)] == []
        # what it thought to have is a miss, and nothing else
        assert left.get("k") is None


def test_caches_share_a_prefix_and_nobody_takes_what_is_anothers(where: dict[str, Any]) -> None:
    with Cache(cold=where) as one, Cache(cold=where) as other:
        for cache, held in ((one, b"1" * 500), (other, b"2" * 500)):
            cache.set("k", held)
            cache.demote("k")
            flush(cache)
            cold = tiers_of(cache).cold
            assert cold is not None
            cold.lease.collect()
        assert (one.get("k"), other.get("k")) == (b"1" * 500, b"2" * 500)


def test_closing_leaves_no_objects_and_keeps_what_is_in_memory(tmp_path: Path) -> None:
    cache: Cache[Any] = Cache(max_memory="256kb", cold=f"file://{tmp_path}")
    for number in range(600):
        cache.set(f"k{number}", value(number))
    flush(cache)
    kept = where_all(cache, 600).count("memory")
    assert len(objects_in(tmp_path)) > 1
    cache.close()
    cache.close()
    assert (len(cache), objects_in(tmp_path)) == (kept, [])
    cache._check()


# -- settings


def test_all_that_is_wrong_with_the_settings_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        Cache(
            warm={"max_size": "much", "path": "x"},
            cold={"ulr": "s3://b", "max_size": "1xb", "timeout": "soon", "allow_http": 1},
        )
    assert str(refused.value) == (
        "cold takes url, max_size, endpoint, region, allow_http, timeout, credentials,"
        " orphans_after, not 'ulr'; "
        "the max_size of warm: 'much' is not a size: write bytes, or 64kb, 256mb, 2gb, 1tb; "
        "the url of cold begins with one of s3://, gs://, az://, file://, and names a bucket,"
        " not None; "
        "the max_size of cold: '1xb' is not a size: write bytes, or 64kb, 256mb, 2gb, 1tb; "
        "the allow_http of cold is True or False, not 1; "
        "the timeout of cold is a time such as 5 or '5s', not 'soon'"
    )
    with pytest.raises(TypeError, match="cold is a URL"):
        Cache(cold=7)  # type: ignore[arg-type]


def test_a_secret_in_a_url_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError) as refused:
        Cache(cold="s3://key:hidden@bucket/prefix")
    assert "hidden" not in str(refused.value) and "environment" in str(refused.value)


def test_a_bucket_that_is_not_there_is_refused(endpoint: str) -> None:
    with pytest.raises(DurabilityError, match="cannot be used as a cold tier"):
        Cache(cold={**s3(endpoint), "url": "s3://no-such-bucket/x"})


def test_credentials_come_from_a_file_and_are_shown_nowhere(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    file = tmp_path / "credentials"
    file.write_text(f"[default]\naws_access_key_id={ACCESS}\naws_secret_access_key={SECRET}\n")
    with Cache(cold=s3(endpoint, credentials=str(file))) as cache:
        cache.set("k", KB)
        cache.demote("k")
        flush(cache)
        assert cache.get("k") == KB
        cold = tiers_of(cache).cold
        assert cold is not None
        for shown in (cache, cache.tier_stats(), cold.objects.bucket, vars(cold)):
            assert SECRET not in repr(shown)
    file.write_text("[default]\nno secret")
    with pytest.raises(ConfigError) as refused:
        Cache(cold=s3(endpoint, credentials=str(file)))
    assert "no secret" not in str(refused.value)
