"""What values weigh: exact for scalars, bounded and harmless for everything else."""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import pytest

from cachestorm.values.weights import Boxed, box, is_scalar, unbox, weigh

ordinary_headers = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="the objects of a free-threaded interpreter have wider headers",
)


@ordinary_headers
@pytest.mark.parametrize(
    "value", [b"", b"x" * 100, "", "key", "k" * 1000, 0, 7, -7, 2**30, 2**62, -(2**200), 0.5]
)
def test_a_scalar_weighs_what_the_interpreter_says_rounded_to_sixteen(value: object) -> None:
    expected = -(-sys.getsizeof(value) // 16) * 16
    assert weigh(value) == expected


@ordinary_headers
@pytest.mark.parametrize("letter", ["é", "ÿ", "Ж", "漢", "\ud800", "\udcff", "😀"])
@pytest.mark.parametrize("others", ["", "x" * 99, "é" * 50])
def test_a_str_weighs_as_many_times_its_length_as_its_widest_letter_needs(
    letter: str, others: str
) -> None:
    for text in (letter + others, others + letter, others + letter + others):
        assert -(-sys.getsizeof(text) // 16) * 16 == weigh(text)


def test_none_and_bools_are_shared_and_weigh_nothing() -> None:
    assert [weigh(None), weigh(True), weigh(False)] == [0, 0, 0]


def test_a_subclass_of_a_scalar_is_boxed() -> None:
    class Name(str):
        def __len__(self) -> int:
            raise RuntimeError

    assert not is_scalar(Name("x"))
    assert isinstance(box(Name("x")), Boxed)


def test_a_box_keeps_the_weight_it_came_in_with() -> None:
    value = [1, 2, 3]
    held = box(value)
    before = weigh(held)
    value.extend(range(1000))
    assert before == weigh(held)
    assert value is unbox(held)


def test_a_list_weighs_more_than_its_items() -> None:
    assert weigh([b"x" * 1000] * 1 + [b"y" * 1000]) > 2000


def test_a_long_list_is_estimated_from_a_sample() -> None:
    exact = 100_000 * weigh(b"x" * 100)
    assert exact <= weigh([bytes(100) for _ in range(100_000)]) < 1.2 * exact


def test_a_cycle_ends() -> None:
    value: list[object] = []
    value.append(value)
    assert weigh(value) > 0


def test_deep_nesting_ends() -> None:
    value: object = ()
    for _ in range(100_000):
        value = (value,)
    assert weigh(value) > 0


def test_an_object_weighs_with_its_attributes() -> None:
    class Page:
        def __init__(self) -> None:
            self.body = b"x" * 5000

    assert weigh(Page()) > 5000


class Named(NamedTuple):
    body: bytes


@dataclass(slots=True)
class Slotted:
    body: bytes


class Kept(list[bytes]):
    def __iter__(self) -> Iterator[bytes]:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


class Proxy:
    """As those of frameworks, which load what they stand for when somebody asks for it."""

    loaded = False

    @property
    def __class__(self) -> type:  # type: ignore[override]
        Proxy.loaded = True
        return list


@pytest.mark.parametrize(
    "holding",
    [
        Named,
        Slotted,
        lambda body: Kept([body]),
        lambda body: OrderedDict(body=body),
        lambda body: defaultdict(bytes, body=body),
        lambda body: deque([body]),
        lambda body: MappingProxyType({"body": body}),
        lambda body: ValueError(body),
        lambda body: functools.partial(len, body),
        lambda body: [Slotted(body)],
        memoryview,
    ],
)
def test_whatever_holds_a_long_value_weighs_as_much(holding: Callable[[bytes], object]) -> None:
    body = b"x" * 100_000
    assert weigh(body) < weigh(holding(body)) < weigh(body) + 3000


def test_what_an_object_does_not_own_is_not_charged_to_it() -> None:
    def caught() -> Exception:
        local = b"x" * 100_000
        try:
            raise ValueError(len(local))
        except ValueError as error:
            return error

    assert weigh(caught()) < 2000
    assert weigh(pytest) < 2000
    assert weigh(Slotted) < 3000
    assert weigh(Slotted(b"")) < 3000


def test_a_proxy_is_not_made_to_load() -> None:
    assert isinstance(box(Proxy()), Boxed)
    assert not Proxy.loaded


def test_an_object_that_cannot_tell_its_size_has_a_weight_all_the_same() -> None:
    class Liar:
        def __sizeof__(self) -> int:
            raise RuntimeError

    assert weigh(Liar()) > 0


def test_what_changes_while_it_is_weighed_is_weighed_all_the_same() -> None:
    held: dict[str, object] = {}

    class Sly:
        def __sizeof__(self) -> int:
            held[f"k{len(held)}"] = None
            return 64

    for number in range(5):
        held[f"k{number}"] = Sly()
    before = len(held)
    assert box(held).size_bytes > 0
    assert len(held) > before
