"""What every engine of a tier owes: one suite for all of them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from object_stores import ACCESS, BUCKET, SECRET, moto_server

from cachestorm.errors import ConfigError, DurabilityError
from cachestorm.tiers.blob_store import ENGINES, ROCKSDB, SQLITE, BlobStore, open_store

FILE, S3, CEPH = "file", "s3", "ceph"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    pytest.importorskip("moto.server")
    with moto_server() as found:
        yield found


@pytest.fixture(params=[*ENGINES, FILE, S3, pytest.param(CEPH, marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == ROCKSDB:
        pytest.importorskip("rocksdict")
    if request.param in (FILE, S3, CEPH):
        pytest.importorskip("obstore")
    return str(request.param)


@pytest.fixture
def opener(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[], BlobStore]:
    if engine in ENGINES:
        return lambda: open_store(engine, str(tmp_path))
    from obstore.store import LocalStore, S3Store

    from cachestorm.tiers.object_store import ObjectStore

    if engine == FILE:
        return lambda: ObjectStore(LocalStore(tmp_path), "the folder", "run-1")
    bucket = S3Store(
        BUCKET,
        prefix=tmp_path.name,
        endpoint=request.getfixturevalue("ceph_endpoint" if engine == CEPH else "endpoint"),
        region="us-east-1",
        access_key_id=ACCESS,
        secret_access_key=SECRET,
        client_options={"allow_http": True},
    )
    return lambda: ObjectStore(bucket, "the bucket", "run-1")


@pytest.fixture
def store(opener: Callable[[], BlobStore]) -> Iterator[BlobStore]:
    opened = opener()
    yield opened
    opened.close()


def put(store: BlobStore, blobs: Sequence[bytes], deleted: Sequence[int] = ()) -> list[int]:
    """Writes some blobs. Returns where they are."""
    places = list(store.places([len(blob) for blob in blobs]))
    store.write(list(zip(places, blobs, strict=True)), deleted)
    return places


def test_a_store_gives_what_it_was_given(store: BlobStore) -> None:
    blobs = [b"", b"x", bytes(range(256)) * 1000, b"", b"y" * 600_000, b"z"]
    assert [store.get(place) for place in put(store, blobs)] == blobs


def test_what_was_never_kept_is_none(store: BlobStore) -> None:
    assert (store.get(7), store.get(7 << 20)) == (None, None)


def test_what_is_deleted_is_gone_and_what_was_written_with_it_is_not(store: BlobStore) -> None:
    (first,) = put(store, [b"a"])
    (second,) = put(store, [b"b"], [first])
    assert (store.get(first), store.get(second)) == (None, b"b")


def test_a_place_is_given_once(store: BlobStore) -> None:
    seen = set()
    for _ in range(3):
        places = put(store, [b"a"] * 10)
        assert seen.isdisjoint(places)
        seen.update(places)
        store.write([], places)


def test_random_writes_agree_with_a_dict(store: BlobStore) -> None:
    rng = random.Random(11)
    model: dict[int, bytes] = {}
    for _ in range(30):
        blobs = [
            rng.randbytes(
                rng.choice((0, 10, 1000, 20_000, 300_000 if rng.random() < 0.1 else 5))
            )
            for _ in range(rng.randrange(20))
        ]
        deleted = rng.sample(sorted(model), min(len(model), rng.randrange(12)))
        places = put(store, blobs, deleted)
        for gone in deleted:
            del model[gone]
        model.update(zip(places, blobs, strict=True))
    assert {place: store.get(place) for place in model} == model


def test_several_threads_read_while_one_writes(store: BlobStore) -> None:
    wrong: list[object] = []
    places: list[int] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            for number, place in list(enumerate(places))[::97]:
                found = store.get(place)
                if found != b"%d" % number * 50:
                    wrong.append((number, found))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for first in range(0, 1000, 50):
        places += put(store, [b"%d" % each * 50 for each in range(first, first + 50)])
    is_over.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_store_knows_about_what_it_takes(store: BlobStore) -> None:
    put(store, [random.Random(number).randbytes(100_000) for number in range(10)])
    assert 1_000_000 <= store.size_bytes() < 8_000_000
    assert store.writes >= 1


def test_a_closed_store_refuses_in_our_words(opener: Callable[[], BlobStore]) -> None:
    store = opener()
    (place,) = put(store, [b"a"])
    store.close()
    for attempt in (lambda: store.get(place), lambda: store.write([(1 << 30, b"b")], [])):
        with pytest.raises(DurabilityError):
            attempt()


def test_closing_twice_is_fine(opener: Callable[[], BlobStore]) -> None:
    store = opener()
    store.close()
    store.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_folder_that_cannot_be_used_is_refused_in_our_words(
    engine: str, tmp_path: Path
) -> None:
    if engine == ROCKSDB:
        pytest.importorskip("rocksdict")
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


# -- objects


def test_small_values_share_an_object_and_large_ones_have_one_each(tmp_path: Path) -> None:
    pytest.importorskip("obstore")
    from obstore.store import LocalStore

    from cachestorm.tiers.object_store import ObjectStore

    store = ObjectStore(LocalStore(tmp_path), "the folder", "run-1")
    small = put(store, [b"%04d" % number * 100 for number in range(1000)])
    assert len([*(tmp_path / "run-1").iterdir()]) == store.writes == 1
    large = put(store, [b"x" * 300_000, b"small", b"y" * 300_000])
    assert len([*(tmp_path / "run-1").iterdir()]) == 4
    # an object goes with the last value in it
    store.write([], small[1:])
    assert len([*(tmp_path / "run-1").iterdir()]) == 4
    assert store.sparse() == set()
    store.write([], [*small[:1], *large])
    assert [*(tmp_path / "run-1").iterdir()] == [] and store.size_bytes() == 0
