"""What every engine of a warm tier owes: one suite for all of them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachestorm.errors import ConfigError, DurabilityError
from cachestorm.tiers.blob_store import ENGINES, ROCKSDB, SQLITE, BlobStore, open_store

Opener = Callable[[], BlobStore]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == ROCKSDB:
        pytest.importorskip("rocksdict")
    return str(request.param)


@pytest.fixture
def store(engine: str, tmp_path: Path) -> Iterator[BlobStore]:
    opened = open_store(engine, str(tmp_path))
    yield opened
    opened.close()


def test_a_store_gives_what_it_was_given(store: BlobStore) -> None:
    blobs = [(1, b""), (2, b"x"), (1 << 62, bytes(range(256)) * 1000)]
    store.write(blobs, [])
    assert [store.get(number) for number, _ in blobs] == [blob for _, blob in blobs]


def test_what_was_never_kept_is_none(store: BlobStore) -> None:
    assert store.get(7) is None


def test_what_is_deleted_is_gone_and_may_be_deleted_again(store: BlobStore) -> None:
    store.write([(1, b"a"), (2, b"b")], [])
    store.write([], [1, 3])
    store.write([], [1])
    assert (store.get(1), store.get(2)) == (None, b"b")


def test_one_write_keeps_some_and_deletes_others(store: BlobStore) -> None:
    store.write([(1, b"a")], [])
    store.write([(2, b"b")], [1])
    assert list(store.numbers()) == [2]


def test_numbers_come_in_order_and_whole(store: BlobStore) -> None:
    wanted = sorted(random.Random(3).sample(range(1 << 40), 3000))
    store.write([(number, b"%d" % number) for number in reversed(wanted)], [])
    assert list(store.numbers()) == wanted


def test_a_walk_that_is_given_up_leaves_the_store_usable(
    store: BlobStore, tmp_path: Path
) -> None:
    store.write([(number, b"x") for number in range(10)], [])
    walk = store.numbers()
    assert next(walk) == 0
    del walk
    store.write([(10, b"x")], [])
    assert store.get(10) == b"x"


def test_random_writes_agree_with_a_dict(store: BlobStore) -> None:
    rng = random.Random(11)
    model: dict[int, bytes] = {}
    number = 0
    for _ in range(60):
        blobs = []
        for _ in range(rng.randrange(20)):
            number += rng.randrange(1, 5)
            blobs.append((number, rng.randbytes(rng.choice((0, 10, 1000, 20_000)))))
        deleted = rng.sample(sorted(model), min(len(model), rng.randrange(12)))
        store.write(blobs, deleted)
        for gone in deleted:
            del model[gone]
        model.update(blobs)
    assert list(store.numbers()) == sorted(model)
    assert {each: store.get(each) for each in model} == model


def test_several_threads_read_while_one_writes(store: BlobStore) -> None:
    wrong: list[object] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            for number in range(0, 2000, 97):
                found = store.get(number)
                if found not in (None, b"%d" % number * 50):
                    wrong.append(found)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for first in range(0, 2000, 50):
        store.write([(each, b"%d" % each * 50) for each in range(first, first + 50)], [])
    is_over.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_store_knows_about_what_it_takes(store: BlobStore) -> None:
    store.write(
        [(number, random.Random(number).randbytes(100_000)) for number in range(10)], []
    )
    assert 1_000_000 <= store.size_bytes() < 8_000_000


def test_a_closed_store_refuses_in_our_words(engine: str, tmp_path: Path) -> None:
    store = open_store(engine, str(tmp_path))
    store.write([(1, b"a")], [])
    store.close()
    for attempt in (
        lambda: store.get(1),
        lambda: store.write([(2, b"b")], []),
        lambda: list(store.numbers()),
    ):
        with pytest.raises(DurabilityError):
            attempt()


def test_closing_twice_is_fine(engine: str, tmp_path: Path) -> None:
    store = open_store(engine, str(tmp_path))
    store.close()
    store.close()


def test_a_folder_that_cannot_be_used_is_refused_in_our_words(
    engine: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DurabilityError, match="cannot be used"):
        open_store(engine, str(tmp_path / "file"))


def test_an_engine_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of rocksdb, sqlite, not 'paper'"):
        open_store("paper", str(tmp_path))


def test_sqlite_needs_nothing_to_be_installed(tmp_path: Path) -> None:
    store = open_store(SQLITE, str(tmp_path))
    assert store.engine == SQLITE
    store.close()
