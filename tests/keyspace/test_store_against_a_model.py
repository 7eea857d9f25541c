"""The store against a model of plain Python, by random actions; `_check()` after each.

The model keeps, for every key, its value, its deadline, its tags and whether it is stale.
It knows nothing of indexes, buckets, slices or lazy removal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cachestorm import MISSING, Cache, CacheStormError, ManualClock

KEYS = st.sampled_from(["a", "b", "c", "d", "e", "ключ", "\udcff"])
TAGS = st.sampled_from(["t0", "t1", "t2", "t3", "EX"])
TAG_SETS = st.lists(TAGS, max_size=4)
VALUES = st.one_of(
    st.binary(max_size=4), st.integers(-5, 5), st.text(max_size=3), st.none(), st.just([1])
)
TTLS = st.sampled_from([None, None, 1, 5, 2.5, 1100, 90_000, "3h"])
SECONDS = {None: None, "3h": 10_800}


@dataclass
class Record:
    value: object
    expires_at_ms: int | None = None
    tags: list[str] = field(default_factory=list)
    stale: bool = False


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.cache = Cache(clock=self.clock)
        self.records: dict[str, Record] = {}
        self.links: dict[str, set[str]] = {}

    # -- the model

    def now(self) -> int:
        return self.clock.now_ms()

    def deadline(self, ttl: object) -> int | None:
        seconds = SECONDS.get(ttl, ttl)
        return None if seconds is None else self.now() + int(seconds * 1000)

    def live(self, key: str) -> Record | None:
        record = self.records.get(key)
        if record is None or record.stale:
            return None
        if record.expires_at_ms is not None and record.expires_at_ms <= self.now():
            return None
        return record

    def live_keys(self) -> set[str]:
        return {key for key in self.records if self.live(key)}

    def family(self, tag: str) -> set[str]:
        seen: set[str] = set()
        waiting = {tag}
        while waiting:
            tag = waiting.pop()
            if tag not in seen:
                seen.add(tag)
                waiting |= self.links.get(tag, set())
        return seen

    # -- writes

    @rule(key=KEYS, value=VALUES, ttl=TTLS, tags=TAG_SETS)
    def set(self, key: str, value: object, ttl: object, tags: list[str]) -> None:
        assert self.cache.set(key, value, ttl, tags=tags) is True
        self.records[key] = Record(value, self.deadline(ttl), list(dict.fromkeys(tags)))

    @rule(key=KEYS, value=VALUES, nx=st.booleans(), keepttl=st.booleans(), get=st.booleans())
    def set_conditionally(
        self, key: str, value: object, nx: bool, keepttl: bool, get: bool
    ) -> None:
        former = self.live(key)
        reply = self.cache.set(key, value, nx=nx, xx=not nx, keepttl=keepttl, get=get)
        done = (former is None) == nx
        if get:
            assert reply == (None if former is None else former.value)
        else:
            assert reply is done
        if done:
            kept = former.expires_at_ms if keepttl and former else None
            self.records[key] = Record(value, kept)

    @rule(key=KEYS, value=VALUES, tags=st.lists(TAGS, min_size=1, max_size=3))
    def settag(self, key: str, value: object, tags: list[str]) -> None:
        assert self.cache.settag(key, value, *tags) is True
        self.records[key] = Record(value, None, list(dict.fromkeys(tags)))

    @rule(keys=st.lists(KEYS, min_size=1, max_size=3))
    def delete(self, keys: list[str]) -> None:
        expected = len({key for key in keys if self.live(key)})
        assert self.cache.delete(*keys) == expected
        for key in keys:
            self.records.pop(key, None)

    @rule(key=KEYS, amount=st.integers(-3, 3))
    def incr(self, key: str, amount: int) -> None:
        record = self.live(key)
        number: object = 0 if record is None else record.value
        if isinstance(number, (bytes, str)):
            text = number if isinstance(number, str) else number.decode("latin-1")
            canonical = text.lstrip("-").isascii() and text.lstrip("-").isdigit()
            number = int(text) if canonical and str(int(text)) == text else None
        if not isinstance(number, int):
            with pytest.raises(CacheStormError):
                self.cache.incr(key, amount)
            return
        assert self.cache.incr(key, amount) == number + amount
        if record is None:
            self.records[key] = Record(number + amount)
        else:
            record.value = number + amount

    @rule(key=KEYS, ttl=st.sampled_from([1, 5, 1100, 90_000]))
    def expire(self, key: str, ttl: int) -> None:
        record = self.live(key)
        assert self.cache.expire(key, ttl) is (record is not None)
        if record:
            record.expires_at_ms = self.deadline(ttl)

    @rule(key=KEYS)
    def persist(self, key: str) -> None:
        record = self.live(key)
        assert self.cache.persist(key) is bool(record and record.expires_at_ms)
        if record:
            record.expires_at_ms = None

    @rule(source=KEYS, destination=KEYS)
    def rename(self, source: str, destination: str) -> None:
        record = self.live(source)
        if record is None:
            with pytest.raises(CacheStormError, match="no such key"):
                self.cache.rename(source, destination)
            return
        assert self.cache.rename(source, destination) is True
        self.records[destination] = self.records.pop(source)

    @rule(source=KEYS, destination=KEYS, replace=st.booleans())
    def copy(self, source: str, destination: str, replace: bool) -> None:
        if source == destination:
            return
        record = self.live(source)
        done = record is not None and (replace or self.live(destination) is None)
        assert self.cache.copy(source, destination, replace=replace) is done
        if done and record is not None:
            self.records[destination] = Record(
                record.value, record.expires_at_ms, list(record.tags)
            )

    # -- tags

    @rule(key=KEYS, tags=st.lists(TAGS, min_size=1, max_size=3))
    def addtag(self, key: str, tags: list[str]) -> None:
        record = self.live(key)
        new = [] if record is None else [t for t in dict.fromkeys(tags) if t not in record.tags]
        assert self.cache.addtag(key, *tags) == len(new)
        if record is not None:
            record.tags += new

    @rule(key=KEYS, tags=st.lists(TAGS, min_size=1, max_size=3))
    def remtag(self, key: str, tags: list[str]) -> None:
        record = self.live(key)
        kept = [] if record is None else [t for t in record.tags if t not in tags]
        borne = 0 if record is None else len(record.tags)
        assert self.cache.remtag(key, *tags) == borne - len(kept)
        if record is not None:
            record.tags = kept

    @rule(tag=TAGS, cascade=st.booleans())
    def invalidate(self, tag: str, cascade: bool) -> None:
        tags = self.family(tag) if cascade else {tag}
        doomed = {k for k in self.live_keys() if tags & set(self.records[k].tags)}
        assert self.cache.invalidate(tag, cascade=cascade) == len(doomed)
        for key in [k for k, r in self.records.items() if tags & set(r.tags)]:
            del self.records[key]

    @rule(tag=TAGS, cascade=st.booleans())
    def soften(self, tag: str, cascade: bool) -> None:
        tags = self.family(tag) if cascade else {tag}
        self.cache.invalidate(tag, cascade=cascade, soft=True)
        for record in self.records.values():
            record.stale = record.stale or bool(tags & set(record.tags))

    @rule(parent=TAGS, child=TAGS)
    def taglink(self, parent: str, child: str) -> None:
        if parent in self.family(child):
            with pytest.raises(CacheStormError, match="tag link would create a cycle"):
                self.cache.taglink(parent, child)
        else:
            assert self.cache.taglink(parent, child) is True
            self.links.setdefault(parent, set()).add(child)

    @rule(parent=TAGS, child=TAGS)
    def tagunlink(self, parent: str, child: str) -> None:
        assert self.cache.tagunlink(parent, child) is True
        self.links.get(parent, set()).discard(child)

    # -- time and flushes

    @rule(seconds=st.sampled_from([0.5, 1, 4, 1000, 100_000]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def reap(self) -> None:
        while self.cache.reap():
            pass

    @rule()
    def flush(self) -> None:
        self.cache.flushdb()
        self.records.clear()
        self.links.clear()

    # -- what must hold

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        record = self.live(key)
        assert self.cache.get(key, MISSING) == (MISSING if record is None else record.value)
        assert (key in self.cache) is (record is not None)
        assert self.cache.tags(key) == ([] if record is None else record.tags)
        left = self.cache.ttl(key, MISSING)
        if record is None:
            assert left is MISSING
        elif record.expires_at_ms is None:
            assert left is None
        else:
            assert left == (record.expires_at_ms - self.now()) / 1000

    @rule(tag=TAGS)
    def read_tag(self, tag: str) -> None:
        bearers = [k for k in self.live_keys() if tag in self.records[k].tags]
        bearers.sort(key=lambda key: key.encode("utf-8", "surrogateescape"))
        assert self.cache.tagkeys(tag) == bearers
        assert self.cache.tagcount(tag) >= len(bearers)
        assert self.cache.tagchildren(tag) == sorted(self.links.get(tag, set()))

    @invariant()
    def names_are_exact(self) -> None:
        assert set(self.cache.keys()) == self.live_keys()
        assert len(self.cache) >= len(self.live_keys())

    @invariant()
    def invariants_hold(self) -> None:
        self.cache._check()


TestStore = Model.TestCase
TestStore.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
