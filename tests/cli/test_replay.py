"""The replay of traces: what it counts, and what it prints."""

from __future__ import annotations

import builtins
import lzma
import re
import struct
from pathlib import Path

import pytest

from cachestorm import Cache
from cachestorm.__main__ import main
from cachestorm.errors import ArgumentError
from cachestorm.replay import read_trace, replay, zipf_trace

DATA = Path(__file__).parent.parent / "data"


@pytest.mark.parametrize(
    ("name", "requests", "distinct"),
    [("web07.trace.xz", 76_118, 20_484), ("web12.trace.xz", 95_607, 13_756)],
)
def test_the_real_traces_are_whole(name: str, requests: int, distinct: int) -> None:
    trace = read_trace(str(DATA / name))
    assert (requests, distinct) == (len(trace), len(set(trace)))


def test_a_trace_is_read_packed_or_bare(tmp_path: Path) -> None:
    numbers = list(range(70_000, 75_000))
    raw = struct.pack(f">{len(numbers)}I", *numbers)
    (tmp_path / "bare").write_bytes(raw)
    (tmp_path / "packed.xz").write_bytes(lzma.compress(raw))
    assert numbers == read_trace(str(tmp_path / "bare"))
    assert numbers == read_trace(str(tmp_path / "packed.xz"))


@pytest.mark.parametrize("content", [b"", b"x" * 20_001, b"short"])
def test_what_is_no_trace_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    (tmp_path / "t.xz").write_bytes(content)
    for name in ("t", "t.xz", "none"):
        with pytest.raises(ArgumentError, match=name):
            read_trace(str(tmp_path / name))


def test_with_room_for_all_a_key_misses_once_and_once_more_after_its_tag() -> None:
    trace = zipf_trace(20_000, 1000)
    steps: list[int] = []
    cache = Cache()
    outcome = replay(trace, cache, steps.append)
    assert 20_000 - len(set(trace)) - outcome.asked_again == outcome.hits
    assert 0 < outcome.asked_again <= outcome.deleted
    assert (outcome.evicted, steps[-1]) == (0, 20_000)
    assert sorted(steps) == steps
    cache._check()


def test_with_little_room_entries_are_evicted() -> None:
    cache = Cache("256kb")
    outcome = replay(zipf_trace(20_000, 1000), cache, lambda done: None)
    assert outcome.evicted > 0
    cache._check()


def test_without_eviction_pages_are_refused_and_counted() -> None:
    cache = Cache("256kb", policy="noeviction")
    outcome = replay(zipf_trace(20_000, 1000), cache, lambda done: None)
    assert outcome.refused > 0
    assert "for want of memory" in outcome.report()


def test_a_made_up_trace_is_the_same_every_time() -> None:
    assert zipf_trace(1000, 100) == zipf_trace(1000, 100)


def test_with_more_skew_the_first_key_is_asked_for_more_often() -> None:
    flat, steep = (zipf_trace(5000, 100, skew=skew).count(0) for skew in (0.5, 1.2))
    assert flat < steep / 2


@pytest.mark.parametrize("packed", [True, False])
def test_the_first_requests_of_a_trace_can_be_read_alone(tmp_path: Path, packed: bool) -> None:
    whole = read_trace(str(DATA / "web07.trace.xz"))
    path = DATA / "web07.trace.xz"
    if not packed:
        path = tmp_path / "web07.trace"
        path.write_bytes(lzma.decompress((DATA / "web07.trace.xz").read_bytes()))
    assert whole[:5000] == read_trace(str(path), 5000)
    assert whole == read_trace(str(path), 10_000_000)


REPORT = re.compile(
    r"CacheStorm .* \((pure|compiled)\): \S+.*, adaptive\n"
    r"requests +[\d,]+\n"
    r"hit ratio +\d+\.\d %\n"
    r"speed +[\d,]+ requests a second, one thread\n"
    r"evictions +[\d,]+\n"
    r"INVALIDATE section:0 +[\d,]+ keys in [\d.]+ ms; [\d,]+ of them were asked for again\n"
    r"hit ratio around it +.* before, .* after\n"
)


def test_the_report_has_ratio_speed_evictions_and_the_effect_of_a_tag(capsys) -> None:
    assert main([str(DATA / "web12.trace.xz"), "--max-memory", "2mb"]) == 0
    printed = capsys.readouterr()
    assert REPORT.fullmatch(printed.out)


def test_it_runs_where_nothing_else_is_installed(capsys, monkeypatch) -> None:
    real = builtins.__import__

    def without_rich(name, *rest):
        if name.partition(".")[0] == "rich":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_rich)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main([str(DATA / "web07.trace.xz"), "--entries", "1000"]) == 0
    printed = capsys.readouterr()
    assert REPORT.fullmatch(printed.out)
    assert f"[{'#' * 30}] 76,118 requests" in printed.err


def test_without_a_trace_at_hand_it_says_so_and_makes_one_up(
    capsys, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr("cachestorm.__main__.TREES", (tmp_path,))
    monkeypatch.setattr("cachestorm.__main__.ZIPF_REQUESTS", 10_000)
    assert main([]) == 0
    printed = capsys.readouterr()
    assert "web12.trace.xz" in printed.err
    assert REPORT.fullmatch(printed.out)


@pytest.mark.parametrize(
    "wrong", [["--policy", "x"], ["--max-memory", "x"], ["--entries", "0"]]
)
def test_a_wrong_option_is_refused_in_a_line(capsys, wrong: list[str]) -> None:
    assert main(["zipf", *wrong]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
