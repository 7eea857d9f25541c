"""Slow, obvious models of the policies, to hold the references against.

Each is written from the rules in words, with lists that are searched and sorted anew at each
request; none shares a line with the reference that it checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache


def lru(trace: Sequence[int], capacity: int) -> list[bool]:
    """A request hits if fewer than `capacity` other keys came since the last for its key."""
    hits = []
    for place, key in enumerate(trace):
        before = trace[:place]
        if key not in before:
            hits.append(False)
            continue
        last = place - 1 - before[::-1].index(key)
        hits.append(len(set(trace[last + 1 : place])) < capacity)
    return hits


def lfu(trace: Sequence[int], capacity: int, ageing: int) -> list[bool]:
    """Evicts the smallest (count, since when it has that count)."""
    kept: dict[int, tuple[int, int]] = {}
    hits = []
    requests = 0
    for now, key in enumerate(trace):
        requests += 1
        if requests >= ageing * capacity:
            requests = 0
            ranked = sorted(kept, key=lambda each: kept[each])
            # all dates lie before now, and keep the order
            kept = {
                each: (max(1, kept[each][0] // 2), rank - len(trace))
                for rank, each in enumerate(ranked)
            }
        hits.append(key in kept)
        if key in kept:
            kept[key] = (kept[key][0] + 1, now)
            continue
        if len(kept) == capacity:
            del kept[min(kept, key=lambda each: kept[each])]
        kept[key] = (1, now)
    return hits


def sieve(trace: Sequence[int], capacity: int) -> list[bool]:
    """A list with the newest key first; the hand is the key it will look at next."""
    queue: list[int] = []
    visited: set[int] = set()
    hand: int | None = None
    hits = []
    for key in trace:
        hits.append(key in queue)
        if key in queue:
            visited.add(key)
            continue
        if len(queue) == capacity:
            place = len(queue) - 1 if hand is None else queue.index(hand)
            while queue[place] in visited:
                visited.remove(queue[place])
                place = (place - 1) % len(queue)
            hand = queue[place - 1] if place else None
            del queue[place]
        queue.insert(0, key)
    return hits


def s3_fifo(trace: Sequence[int], capacity: int, threshold: int) -> list[bool]:
    """Three lists with the newest key first."""
    small: list[int] = []
    main: list[int] = []
    ghost: list[int] = []
    freq: dict[int, int] = {}
    small_size = max(1, capacity // 10)
    hits = []
    for key in trace:
        hits.append(key in small or key in main)
        if hits[-1]:
            freq[key] = min(3, freq[key] + 1)
            continue
        while len(small) + len(main) >= capacity:
            if len(small) >= small_size:
                tail = small.pop()
                if freq[tail] >= threshold:
                    main.insert(0, tail)
                    freq[tail] = 0
                else:
                    ghost.insert(0, tail)
                    del ghost[capacity - small_size :]
            else:
                tail = main.pop()
                if freq[tail]:
                    freq[tail] -= 1
                    main.insert(0, tail)
        if key in ghost:
            ghost.remove(key)
            main.insert(0, key)
        else:
            small.insert(0, key)
        freq[key] = 0
    return hits


def arc(trace: Sequence[int], capacity: int) -> list[bool]:
    """Four lists with the newest key first, and the target for the first of them."""
    t1: list[int] = []
    t2: list[int] = []
    b1: list[int] = []
    b2: list[int] = []
    target = 0.0
    hits = []

    def make_room(asked_is_in_b2: bool) -> None:
        over = len(t1) > target or (asked_is_in_b2 and len(t1) == target)
        if t1 and over:
            b1.insert(0, t1.pop())
        else:
            b2.insert(0, t2.pop())

    for key in trace:
        hits.append(key in t1 or key in t2)
        if hits[-1]:
            (t1 if key in t1 else t2).remove(key)
            t2.insert(0, key)
        elif key in b1 or key in b2:
            if key in b1:
                target = min(capacity, target + max(1, len(b2) / len(b1)))
                make_room(False)
                b1.remove(key)
            else:
                target = max(0, target - max(1, len(b1) / len(b2)))
                make_room(True)
                b2.remove(key)
            t2.insert(0, key)
        else:
            if len(t1) == capacity:
                t1.pop()
            elif len(t1) + len(b1) == capacity:
                b1.pop()
                make_room(False)
            elif len(t1) + len(b1) + len(t2) + len(b2) >= capacity:
                if len(t1) + len(b1) + len(t2) + len(b2) == 2 * capacity:
                    b2.pop()
                make_room(False)
            t1.insert(0, key)
    return hits


def lirs(trace: Sequence[int], capacity: int, remembered: int) -> list[bool]:
    """A stack with the newest key last, whose first is LIR; states by key."""
    lir_size = max(1, capacity - max(1, capacity // 100))
    stack: list[int] = []
    queue: list[int] = []
    state: dict[int, str] = {}  # LIR, HIR, or gone
    left: list[int] = []  # keys that are gone, in the order in which they went
    hits = []

    def cut() -> None:
        while stack and state[stack[0]] != "LIR":
            bottom = stack.pop(0)
            if state[bottom] == "gone":
                del state[bottom]
                left.remove(bottom)

    def bottom_becomes_hir() -> None:
        state[stack[0]] = "HIR"
        queue.append(stack.pop(0))
        cut()

    def on_top(key: int) -> None:
        if key in stack:
            stack.remove(key)
        stack.append(key)

    for key in trace:
        hits.append(state.get(key) in ("LIR", "HIR"))
        if state.get(key) == "LIR":
            on_top(key)
            cut()
            continue
        if state.get(key) == "HIR":
            if key not in stack:
                on_top(key)
                queue.remove(key)
                queue.append(key)
                continue
            queue.remove(key)
        else:
            if list(state.values()).count("LIR") + len(queue) == capacity:
                if not queue:
                    bottom_becomes_hir()
                victim = queue.pop(0)
                if victim in stack:
                    state[victim] = "gone"
                    left.append(victim)
                else:
                    del state[victim]
                if len(left) > remembered * capacity:
                    oldest = left.pop(0)
                    stack.remove(oldest)
                    del state[oldest]
            if state.get(key) != "gone":
                on_top(key)
                if list(state.values()).count("LIR") < lir_size:
                    state[key] = "LIR"
                else:
                    state[key] = "HIR"
                    queue.append(key)
                continue
            left.remove(key)
        # a key that the stack knew: it came back sooner than the oldest LIR key
        on_top(key)
        state[key] = "LIR"
        if list(state.values()).count("LIR") > lir_size:
            bottom_becomes_hir()
    return hits


def w_tiny_lfu(trace: Sequence[int], capacity: int) -> list[bool]:
    """Lists with the newest key first."""
    window_size = max(1, capacity // 100)
    main_size = capacity - window_size
    protected_size = main_size * 4 // 5
    window: list[int] = []
    probation: list[int] = []
    protected: list[int] = []
    seen = dict.fromkeys(trace, 0)
    additions = 0
    hits = []
    for key in trace:
        seen[key] = min(15, seen[key] + 1)
        additions += 1
        if additions >= 10 * capacity:
            additions //= 2
            seen = {each: estimate // 2 for each, estimate in seen.items()}
        hits.append(key in window + probation + protected)
        if key in window:
            window.remove(key)
            window.insert(0, key)
        elif key in probation + protected:
            (probation if key in probation else protected).remove(key)
            protected.insert(0, key)
            if len(protected) > protected_size:
                probation.insert(0, protected.pop())
        else:
            window.insert(0, key)
            if len(window) > window_size:
                candidate = window.pop()
                if len(probation + protected) < main_size:
                    probation.insert(0, candidate)
                elif probation or protected:
                    tail = probation or protected
                    if seen[candidate] > seen[tail[-1]]:
                        tail.pop()
                        probation.insert(0, candidate)
    return hits


def most_hits(trace: Sequence[int], capacity: int) -> int:
    """The best of all ways to choose what is kept, by trying each."""

    @cache
    def rest(place: int, kept: frozenset[int]) -> int:
        if place == len(trace):
            return 0
        key = trace[place]
        held = kept | {key}
        choices = [held] if len(held) <= capacity else [held - {each} for each in held]
        return (key in kept) + max(rest(place + 1, choice) for choice in choices)

    return rest(0, frozenset())


MODELS: dict[str, Callable[[Sequence[int], int], list[bool]]] = {
    "LRU": lru,
    "LFU": lambda trace, capacity: lfu(trace, capacity, 10),
    "SIEVE": sieve,
    "S3-FIFO 1": lambda trace, capacity: s3_fifo(trace, capacity, 1),
    "S3-FIFO 2": lambda trace, capacity: s3_fifo(trace, capacity, 2),
    "ARC": arc,
    "LIRS": lambda trace, capacity: lirs(trace, capacity, 2),
    "W-TinyLFU": w_tiny_lfu,
}
