"""The containers against plain Python: random actions, then every invariant."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cachestorm.codec import bytes_of, to_wire
from cachestorm.values.hash import Hash
from cachestorm.values.list import VACANT, ListValue
from cachestorm.values.ranking import SHORT_ROWS
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import SortedSet, member_of, spelling
from cachestorm.values.weights import box, unbox

names = st.sampled_from(["a", "b", "c", "d", "é", "\udcff", "\ue000", "", "long" * 30])
values = st.one_of(
    st.binary(max_size=40), st.text(max_size=5), st.integers(), st.lists(st.integers())
)
scores = st.floats(allow_nan=False)
times = st.integers(1, 50)


class HashAgainstADict(RuleBasedStateMachine):
    """Fields with deadlines; the clock moves in steps."""

    def __init__(self) -> None:
        super().__init__()
        self.hash = Hash()
        self.model: dict[str, object] = {}
        self.deadlines: dict[str, int] = {}
        self.now = 0

    @rule(field=names, value=values)
    def put(self, field: str, value: object) -> None:
        assert (field not in self.model) == self.hash.put(field, box(value))
        self.model[field] = value
        self.deadlines.pop(field, None)

    @rule(field=names, value=values)
    def change(self, field: str, value: object) -> None:
        assert (field not in self.model) == self.hash.change(field, box(value))
        self.model[field] = value

    @rule(field=names)
    def remove(self, field: str) -> None:
        assert (field in self.model) == self.hash.remove(field)
        self.model.pop(field, None)
        self.deadlines.pop(field, None)

    @rule(field=names, delay=times)
    def expire(self, field: str, delay: int) -> None:
        if field in self.model:
            self.hash.expire(field, self.now + delay)
            self.deadlines[field] = self.now + delay

    @rule(field=names)
    def persist(self, field: str) -> None:
        assert (self.deadlines.pop(field, None) is not None) == self.hash.persist(field)

    @rule(delay=times)
    def purge(self, delay: int) -> None:
        self.now += delay
        due = [field for field, at_ms in self.deadlines.items() if at_ms <= self.now]
        assert len(due) == self.hash.purge(self.now)
        for field in due:
            del self.model[field], self.deadlines[field]

    @rule()
    def copy(self) -> None:
        twin = self.hash.copy()
        twin._check()
        assert isinstance(twin, Hash)
        assert self.hash.items() == twin.items()

    @invariant()
    def agrees(self) -> None:
        self.hash._check()
        assert self.model == self.hash.items()
        assert sorted(map(repr, self.model.values())) == sorted(map(repr, self.hash.values()))
        for field in self.model:
            assert self.deadlines.get(field, 0) == self.hash.deadline_ms(field)


class ListAgainstAList(RuleBasedStateMachine):
    """Pushes, pops and cuts at either end and in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.list = ListValue()
        self.model: list[object] = []

    @rule(value=values, left=st.booleans())
    def push(self, value: object, left: bool) -> None:
        self.list.push(box(value), left)
        self.model.insert(0 if left else len(self.model), value)

    @precondition(lambda self: self.model)
    @rule(left=st.booleans())
    def take(self, left: bool) -> None:
        assert unbox(self.list.end(left)) == unbox(self.list.take(left))
        self.model.pop(0 if left else -1)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), value=values)
    def replace(self, data: st.DataObject, value: object) -> None:
        index = data.draw(st.integers(0, len(self.model) - 1))
        self.list.replace(index, box(value))
        self.model[index] = value

    @rule(data=st.data(), value=values)
    def insert(self, data: st.DataObject, value: object) -> None:
        index = data.draw(st.integers(0, len(self.model)))
        self.list.insert(index, box(value))
        self.model.insert(index, value)

    @rule(data=st.data())
    def keep(self, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(self.model)))
        stop = data.draw(st.integers(start, len(self.model)))
        self.list.keep(start, stop)
        self.model = self.model[start:stop]

    @rule(value=values, count=st.integers(-2, 2))
    def remove(self, value: object, count: int) -> None:
        wire = to_wire(value)
        places = [at for at, each in enumerate(self.model) if to_wire(each) == wire]
        if count > 0:
            places = places[:count]
        elif count < 0:
            places = places[count:]
        assert len(places) == self.list.remove(wire, count)
        self.model = [each for at, each in enumerate(self.model) if at not in places]

    @invariant()
    def agrees(self) -> None:
        self.list._check()
        length = len(self.model)
        assert self.model == self.list.slice(0, length)
        assert self.model[1:-1] == self.list.slice(min(1, length), max(length - 1, 0))
        assert self.model == [self.list.at(at) for at in range(length)]
        self.list.copy()._check()


class SetAgainstASet(RuleBasedStateMachine):
    """Members that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.set = SetValue()
        self.model: set[str] = set()

    @rule(member=names)
    def add(self, member: str) -> None:
        assert (member not in self.model) == self.set.add(member)
        self.model.add(member)

    @rule(member=names)
    def remove(self, member: str) -> None:
        assert (member in self.model) == self.set.remove(member)
        self.model.discard(member)

    @invariant()
    def agrees(self) -> None:
        self.set._check()
        self.set.copy()._check()
        assert self.model == set(self.set.members())
        assert self.model == {self.set.member_at(at) for at in range(len(self.set))}


class SortedSetAgainstADict(RuleBasedStateMachine):
    """Scores that change, and the order that follows from them."""

    def __init__(self) -> None:
        super().__init__()
        self.set = SortedSet()
        self.model: dict[str, float] = {}

    @rule(member=names, score=scores)
    def put(self, member: str, score: float) -> None:
        assert (member not in self.model) == self.set.put(member, score)
        self.model[member] = score

    @rule(member=names)
    def remove(self, member: str) -> None:
        assert (member in self.model) == self.set.remove(member)
        self.model.pop(member, None)

    @rule(score=scores)
    def find_by_score(self, score: float) -> None:
        below = sum(each < score for each in self.model.values())
        equal = sum(each == score for each in self.model.values())
        assert below == self.set.rank_of_score(score, False)
        assert below + equal == self.set.rank_of_score(score, True)

    @invariant()
    def agrees(self) -> None:
        self.set._check()
        self.set.copy()._check()
        ranked = sorted(self.model, key=lambda member: (self.model[member], bytes_of(member)))
        rows = self.set.slice(0, len(self.model))
        assert ranked == [member_of(row) for row in rows]
        assert list(range(len(ranked))) == [self.set.rank(member) for member in ranked]
        assert self.model == {member: self.set.score(member) for member in ranked}


for _machine in (HashAgainstADict, ListAgainstAList, SetAgainstASet, SortedSetAgainstADict):
    _machine.TestCase.settings = settings(
        max_examples=40, stateful_step_count=30, deadline=None
    )
TestHash = HashAgainstADict.TestCase
TestList = ListAgainstAList.TestCase
TestSet = SetAgainstASet.TestCase
TestSortedSet = SortedSetAgainstADict.TestCase


def test_a_list_that_is_a_queue_keeps_its_order() -> None:
    queue = ListValue()
    taken: list[object] = []
    for number in range(2000):
        queue.push(number, False)
        if number % 3 == 0:
            taken.append(queue.take(True))
    while len(queue):
        taken.append(queue.take(True))
    assert list(range(2000)) == taken
    queue._check()


@pytest.mark.parametrize("left", [True, False])
def test_a_stack_and_a_queue_of_a_list_stay_small_and_in_order(left: bool) -> None:
    elements = ListValue()
    model: list[object] = []
    for number in range(5000):
        elements.push(number, left)
        model.insert(0 if left else len(model), number)
        if number % 5:
            assert elements.take(number % 2 == 0) == model.pop(0 if number % 2 == 0 else -1)
            elements.push(number, not left)
            model.insert(len(model) if left else 0, number)
        if number % 500 == 0:
            elements._check()
    assert elements.slice(0, len(elements)) == model
    while len(elements):
        elements.take(left)
        if len(elements) % 500 == 0:
            elements._check()
    assert len(elements._slots) <= VACANT


def test_trimming_and_popping_a_long_list_do_not_make_it_anew() -> None:
    elements = ListValue()
    for number in range(10_000):
        elements.push(number, False)
    slots = elements._slots
    elements.take(True)
    elements.keep(1, 9_997)
    elements.replace(5_000, "x")
    elements.insert(5_000, "y")
    assert elements.remove(b"x", 0) == 1
    elements.push("z", True)
    assert elements._slots is slots
    assert elements.slice(0, 2) == ["z", 2]
    elements._check()


def test_a_sorted_set_stays_in_order_when_it_grows_long() -> None:
    ranking = SortedSet()
    count = SHORT_ROWS * 2
    for number in range(count):
        ranking.put(f"m{number}", float(number * 7919 % count))
    ranking._check()
    assert [float(rank) for rank in range(count)] == [row[0] for row in ranking.slice(0, count)]
    for number in range(0, count, 2):
        assert ranking.remove(f"m{number}")
    ranking._check()
    ranking.copy()._check()


@pytest.mark.parametrize("member", ["plain", "é", "\udcff\udc80", "\U0001f600", "\ue000"])
def test_a_spelling_leads_back_to_its_member(member: str) -> None:
    assert member == member_of((0.0, spelling(member)))


def test_spellings_are_in_the_order_of_the_bytes() -> None:
    members = ["a", "é", "\udc80", "\udcff", "\ue000", "\uffff", "\U0001f600"]
    assert sorted(members, key=bytes_of) == sorted(members, key=spelling)


def test_a_deadline_that_is_set_again_and_again_does_not_fill_the_heap() -> None:
    fields = Hash()
    fields.put("f", 1)
    for at_ms in range(1000, 2000):
        fields.expire("f", at_ms)
    assert fields._heap is not None
    assert len(fields._heap) < 100
    fields._check()


def test_a_purge_stops_at_its_limit() -> None:
    fields = Hash()
    for number in range(10):
        fields.put(str(number), number)
        fields.expire(str(number), 5)
    assert fields.purge(5, 3) == 3
    assert len(fields) == 7
    assert fields.purge(5) == 7
    fields._check()


def test_an_object_that_leaves_a_container_waits_to_be_let_go() -> None:
    fields = Hash()
    fields.put("f", box({"an": "object"}))
    fields.put("f", b"bytes")
    assert fields.leaving is not None
    assert [unbox(held) for held in fields.leaving] == [{"an": "object"}]


@pytest.mark.parametrize(
    ("members", "encoding"),
    [
        (["1", "-5"], "intset"),
        (["1", "x"], "listpack"),
        (["x" * 65], "hashtable"),
        ([str(number) + "x" for number in range(129)], "hashtable"),
        (["01"], "listpack"),
    ],
)
def test_a_set_names_the_encoding_that_redis_would_choose(
    members: list[str], encoding: str
) -> None:
    made = SetValue()
    for member in members:
        made.add(member)
    assert encoding == made.encoding()


@pytest.mark.parametrize("size", [0, 3, SHORT_ROWS, SHORT_ROWS + 1, 3000])
def test_a_sorted_set_that_is_filled_at_once_is_like_one_filled_by_and_by(size: int) -> None:
    rows = [(float(n * 7919 % 100), spelling(f"é{n}")) for n in range(size)]
    filled, grown = SortedSet(), SortedSet()
    assert filled.fill(rows.copy())
    for row in rows:
        grown.put(member_of(row), row[0])
    filled._check()
    assert filled.slice(0, size) == grown.slice(0, size)
    assert filled.size_bytes == grown.size_bytes
    filled.put("another", 0.5)
    filled.remove("another")
    filled._check()
    assert not SortedSet().fill([(1.0, "a"), (2.0, "a")])


@pytest.mark.parametrize("count", [5, 1000, 5000])
def test_a_slice_of_ranks_is_removed_as_one_by_one(count: int) -> None:
    chance = random.Random(count)
    for start, stop in (
        (0, count),
        (0, 3),
        (count - 3, count),
        (count // 3, count // 2),
        (2, 2),
    ):
        scores, model = SortedSet(), {}
        for number in chance.sample(range(count), count):
            model[f"m{number}"] = float(number % 7)
            scores.put(f"m{number}", float(number % 7))
        rows = sorted((score, member) for member, score in model.items())
        assert rows[start:stop] == scores.remove_slice(start, stop)
        scores._check()
        assert rows[:start] + rows[stop:] == scores.slice(0, len(scores))
        # and goes on
        scores.put("new", 3.0)
        assert scores.rank("new") == sum(
            row < (3.0, "new") for row in rows[:start] + rows[stop:]
        )
        scores._check()


@pytest.mark.parametrize("count", [0, 1, 700, 5000])
def test_a_twin_that_was_copied_by_and_by_is_a_copy(count: int) -> None:
    ranks, fields, members, elements = SortedSet(), Hash(), SetValue(), ListValue()
    for number in range(count):
        ranks.put(f"m{number}é", float(number * 7919 % 100))
        fields.put(f"f{number}", number)
        members.add(f"m{number}")
        elements.push(number, True)
        if number % 3 == 0:
            fields.expire(f"f{number}", 1000 + number)
    for container in (ranks, fields, members, elements):
        twin = container.twin()
        for start in range(0, count, 300):
            container.copy_some(twin, start, min(start + 300, count))
        twin._check()
        assert twin.size_bytes == container.copy().size_bytes
        assert len(twin) == count
    twin_of_ranks = ranks.twin()
    for start in range(0, count, 300):
        ranks.copy_some(twin_of_ranks, start, min(start + 300, count))
    assert isinstance(twin_of_ranks, SortedSet)
    assert ranks.slice(0, count) == twin_of_ranks.slice(0, count)
    assert ranks.rows() == twin_of_ranks.rows()
