"""The doctor: what is wrong with the memory of a cache, and what to do about it.

Called by MEMORY DOCTOR. `examine` looks at a store, under the latch, and changes nothing;
`advise` makes up its mind by what was seen alone, and knows no store.

1. Advice gives the numbers behind it, and says what to do.
2. Looking is bounded: of many keys it looks at a random sample. Memory that the sample does not
   explain is in a few large keys that it did not meet.

Source: https://redis.io/docs/latest/commands/memory-doctor/ for the idea; what it looks at is
what can go wrong here.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import Store
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.sizes import human_bytes

SAMPLE: Final = 2048
# Below so much nothing is worth a word, unless a write was refused.
LITTLE: Final = 1 << 20
MUCH: Final = 64 << 20
FEW_KEYS: Final = 1000
# What a share must be to be called nearly all, most, and a great part of something.
NEARLY_ALL: Final = 0.9
MOST: Final = 0.5
GREAT: Final = 0.25
# Hit ratios: a gain that is worth memory, and a loss that is not worth it.
WORTH: Final = 0.02
WORTHLESS: Final = 0.005


class Checkup:
    """What was seen of a cache: bytes, counts of keys, and who has a great part of them.

    Attributes:
        refused: writes that found no room; `largest_refused_bytes` is the largest of those
            that could never fit, or 0.
        overdue: keys that are past their deadlines and still there.
        pending_bytes: what has left and is not freed yet.
        resident_bytes: of the process; 0 where that is not known.
        sampled, sampled_bytes: how many keys were looked at closely, and what they are
            charged at.
        largest_key, largest_tag: of these, and their bytes.
        spaces: name, bytes and quota of each namespace.
        ratios: by namespace, the hit ratio by factor of the present capacity.
    """

    def __init__(self) -> None:
        self.policy: str = ""
        self.keys: int = 0
        self.volatile: int = 0
        self.used_bytes: int = 0
        self.peak_bytes: int = 0
        self.max_bytes: int = 0
        self.max_entries: int = 0
        self.refused: int = 0
        self.largest_refused_bytes: int = 0
        self.overdue: int = 0
        self.pending_bytes: int = 0
        self.resident_bytes: int = 0
        self.sampled: int = 0
        self.sampled_bytes: int = 0
        self.largest_key: tuple[str, int] = ("", 0)
        self.largest_tag: tuple[str, int] = ("", 0)
        self.spaces: list[tuple[str, int, int]] = []
        self.ratios: list[tuple[str, dict[float, float]]] = []

    @property
    def fullness(self) -> float:
        """How much of the limits is taken, of that which is nearer; 0 without any."""
        share = 0.0
        if self.max_bytes:
            share = self.used_bytes / self.max_bytes
        if self.max_entries:
            share = max(share, self.keys / self.max_entries)
        return share


def examine(store: Store) -> Checkup:
    """Looks at a store. The caller holds the latch, and asks for the resident set himself."""
    seen = Checkup()
    seen.policy = store.policy_name
    seen.keys = int(store.entry_count)
    seen.used_bytes = int(store.used_bytes)
    seen.peak_bytes = int(store.peak_bytes)
    seen.max_bytes = int(store.max_bytes)
    seen.max_entries = int(store.max_entries)
    seen.refused = int(store.refused)
    seen.largest_refused_bytes = int(store.largest_refused_bytes)
    seen.pending_bytes = int(store.lazy_free.size_bytes)
    tags: dict[str, int] = {}
    for space in store.listed():
        seen.volatile += int(space.expiry.count)
        seen.overdue += int(space.expiry.overdue(store.now_ms()))
        seen.spaces.append((space.name, int(space.used_bytes), int(space.max_bytes)))
        ratios = space.policy.hit_ratios()
        if ratios:
            seen.ratios.append((space.name, ratios))
        _sample(store, space, seen, tags)
    for name, size in tags.items():
        if size > seen.largest_tag[1]:
            seen.largest_tag = (name, size)
    return seen


def _sample(store: Store, space: Keyspace, seen: Checkup, tags: dict[str, int]) -> None:
    size: i64 = len(space.dense)
    if size == 0:
        return
    is_whole = seen.keys <= SAMPLE
    draws: i64 = size
    if not is_whole:
        draws = size * SAMPLE // seen.keys
    for turn in range(draws):
        place: i64 = turn
        if not is_whole:
            place = store.random_index(size)
        entry = space.dense[place]
        if not space.is_live(entry):
            continue
        charge = int(space.charge_of(entry))
        seen.sampled += 1
        seen.sampled_bytes += charge
        if charge > seen.largest_key[1]:
            seen.largest_key = (entry.key, charge)
        for name in tag_names_of(entry):
            tags[name] = tags.get(name, 0) + charge


def advise(seen: Checkup) -> list[str]:
    """What could be better, a paragraph each; none where all is well."""
    advice: list[str] = []
    _on_refusals(seen, advice)
    _on_limits(seen, advice)
    _on_what_has_left(seen, advice)
    _on_the_process(seen, advice)
    _on_great_parts(seen, advice)
    _on_hit_ratios(seen, advice)
    return advice


def report(seen: Checkup) -> str:
    """The text of MEMORY DOCTOR."""
    if seen.keys == 0 and seen.refused == 0 and seen.pending_bytes < LITTLE:
        return "There is nothing in this cache yet, so nothing can be wrong with it.\n"
    limits = []
    if seen.max_bytes:
        limits.append(human_bytes(seen.max_bytes))
    if seen.max_entries:
        limits.append(f"{seen.max_entries:,} keys")
    bound = f"of at most {' and '.join(limits)}" if limits else "without a limit"
    used = human_bytes(seen.used_bytes)
    keys = "1 key takes" if seen.keys == 1 else f"{seen.keys:,} keys take"
    found = f"{keys} {used}, {bound}, by the policy {seen.policy}."
    advice = advise(seen)
    if not advice:
        return f"{found} All is well with them: there is nothing to advise.\n"
    return "\n\n".join([found, *[f"* {each}" for each in advice]]) + "\n"


def _on_refusals(seen: Checkup, advice: list[str]) -> None:
    if seen.largest_refused_bytes:
        size = human_bytes(seen.largest_refused_bytes)
        advice.append(
            f"A write of {size} was refused, since it could never fit: raise the limit of "
            "memory, or the quota of its namespace, or spread such a value over several keys."
        )
    if not seen.refused:
        return
    how_many = f"{seen.refused:,} writes were refused for want of room"
    if seen.policy == "noeviction":
        advice.append(
            f"{how_many}, as the policy noeviction wants it: raise the limit, choose a policy "
            "that evicts, such as adaptive, or give keys a time to live."
        )
    elif seen.policy.startswith("volatile-"):
        advice.append(
            f"{how_many}: {seen.policy} evicts only keys with a time to live, which "
            f"{seen.volatile:,} of {seen.keys:,} have. Give it to more of them, or choose the "
            "policy adaptive or allkeys-lru."
        )


def _on_limits(seen: Checkup, advice: list[str]) -> None:
    fullness = seen.fullness
    if fullness == 0.0:
        if seen.keys >= FEW_KEYS and seen.volatile < seen.keys * MOST:
            advice.append(
                f"There is no limit, and {seen.keys - seen.volatile:,} of {seen.keys:,} keys "
                "never end: the cache grows until the machine has no memory left. Give it "
                "max_memory."
            )
        return
    if fullness < NEARLY_ALL or seen.refused:
        return
    if seen.policy == "noeviction":
        advice.append(
            f"{fullness:.0%} of the limit are taken, and the policy is noeviction: soon writes "
            "will be refused. Raise the limit, or choose a policy that evicts, such as "
            "adaptive."
        )
    elif seen.policy.startswith("volatile-") and seen.volatile * 10 < seen.keys:
        advice.append(
            f"{fullness:.0%} of the limit are taken, and {seen.policy} may evict "
            f"{seen.volatile:,} of {seen.keys:,} keys only: soon writes will be refused. Give "
            "more keys a time to live, or choose the policy adaptive or allkeys-lru."
        )


def _on_what_has_left(seen: Checkup, advice: list[str]) -> None:
    if seen.overdue >= FEW_KEYS and seen.overdue * 20 >= seen.keys:
        advice.append(
            f"{seen.overdue:,} keys are past their time and still take memory, as nobody "
            "writes: in a program start cache.reaper(), or call cache.reap() until it gives "
            "0; a server lets go of them by itself within a few seconds."
        )
    if seen.pending_bytes >= MUCH and seen.pending_bytes * 10 >= seen.used_bytes:
        advice.append(
            f"{human_bytes(seen.pending_bytes)} have left the cache and wait to be freed, "
            "a step with each call: cache.reap() does it sooner, and so does cache.reaper()."
        )


def _on_the_process(seen: Checkup, advice: list[str]) -> None:
    used, resident = seen.used_bytes, seen.resident_bytes
    if resident == 0 or max(used, seen.peak_bytes) < MUCH:
        return
    if seen.peak_bytes > used * 1.5 and resident > used * 1.5:
        advice.append(
            f"The process holds {human_bytes(resident)}, as the cache took "
            f"{human_bytes(seen.peak_bytes)} once and takes {human_bytes(used)} now: Python "
            "gives back to the system only what lies together. It will be used again; a "
            "restart gives it back."
        )
    elif resident > used * 2:
        advice.append(
            f"The process holds {human_bytes(resident)}, {resident / used:.1f} times what the "
            "cache accounts for. In a program that is what else it keeps; in a server of its "
            "own it is fragmentation, and a restart ends it."
        )
    elif used > resident * 1.25:
        advice.append(
            f"The cache accounts for {human_bytes(used)}, and the process holds only "
            f"{human_bytes(resident)}: either values that several keys share are counted for "
            "each of them, so that a higher limit would be safe, or a part was swapped out."
        )


def _on_great_parts(seen: Checkup, advice: list[str]) -> None:
    used = seen.used_bytes
    if used < LITTLE or seen.sampled == 0:
        return
    for name, size, quota in seen.spaces:
        if len(seen.spaces) > 1 and seen.max_bytes and not quota and size > used * NEARLY_ALL:
            advice.append(
                f"The namespace {name} has {size / used:.0%} of the memory, and no quota: if "
                "the others are to keep their share, give it one (max_memory of the "
                "namespace)."
            )
    key, size = seen.largest_key
    if size > used * GREAT:
        advice.append(
            f"The key {key!r} alone takes {human_bytes(size)}, {size / used:.0%} of all: were "
            "it spread over several keys, it could be evicted in parts, and read in parts."
        )
    elif seen.sampled_bytes / seen.sampled * seen.keys < used * MOST:
        typical = human_bytes(seen.sampled_bytes // seen.sampled)
        advice.append(
            f"A few keys hold most of the memory: {seen.sampled:,} keys drawn at random take "
            f"{typical} on the average, which comes to less than half of what is used. Look "
            "for large ones with MEMORY USAGE."
        )
    tag, size = seen.largest_tag
    if size > seen.sampled_bytes * MOST and seen.keys >= FEW_KEYS:
        advice.append(
            f"The tag {tag!r} is borne by keys that take {size / seen.sampled_bytes:.0%} of "
            "the memory: to invalidate it is to begin anew. If that is not what it is for, "
            "use finer tags, and link them to it (TAGLINK)."
        )


def _on_hit_ratios(seen: Checkup, advice: list[str]) -> None:
    for name, ratios in seen.ratios:
        half, now, twice = ratios.get(0.5), ratios.get(1.0), ratios.get(2.0)
        if half is None or now is None or twice is None:
            continue
        if twice - now >= WORTH:
            advice.append(
                f"With twice the memory the hit ratio of {name} would grow by "
                f"{(twice - now) * 100:.1f} points, from {now:.1%} to {twice:.1%}: raise the "
                "limit if you can."
            )
        elif now - half <= WORTHLESS:
            advice.append(
                f"With half the memory the hit ratio of {name} would still be {half:.1%} of "
                f"{now:.1%}: you could lower the limit."
            )
