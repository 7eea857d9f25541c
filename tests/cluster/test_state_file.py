"""The state of a node on disk: replaced as a whole, and added to line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachestorm_server.cluster.state_file import ClusterStateError, StateFile

EMPTY = {"links": [], "pending": []}


def kept(folder: Path) -> dict[str, object]:
    found = StateFile(str(folder)).load()
    assert found is not None
    return {name: found[name] for name in EMPTY}


def test_what_is_added_is_there_when_it_is_read(tmp_path: Path) -> None:
    file = StateFile(str(tmp_path))
    assert file.load() is None
    file.save(EMPTY)
    file.append([("links", "a"), ("pending", [1])])
    file.append([("links", "b")])
    assert kept(tmp_path) == {"links": ["a", "b"], "pending": [[1]]}
    assert file.lines == 3
    file.save({"links": ["a"], "pending": []})
    assert kept(tmp_path) == {"links": ["a"], "pending": []}


def test_what_was_added_to_a_former_state_is_not_read(tmp_path: Path) -> None:
    file = StateFile(str(tmp_path))
    file.save(EMPTY)
    file.append([("links", "a")])
    log = (tmp_path / "cluster.log").read_bytes()
    file.save(EMPTY)
    # the process was killed before the log was removed
    (tmp_path / "cluster.log").write_bytes(log)
    assert kept(tmp_path) == EMPTY


def test_half_a_line_at_the_end_is_not_read(tmp_path: Path) -> None:
    file = StateFile(str(tmp_path))
    file.save(EMPTY)
    file.append([("links", "a")])
    with (tmp_path / "cluster.log").open("ab") as log:
        log.write(b'["links","b')
    assert kept(tmp_path) == {"links": ["a"], "pending": []}


def test_a_log_that_is_none_is_refused(tmp_path: Path) -> None:
    file = StateFile(str(tmp_path))
    file.save(EMPTY)
    (tmp_path / "cluster.log").write_bytes(b"?\n")
    with pytest.raises(ClusterStateError, match=r"cluster\.log cannot be read"):
        file.load()


def test_what_cannot_be_added_is_said_and_nothing_of_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StateFile(str(tmp_path))
    file.save(EMPTY)
    file.append([("links", "a")])
    with monkeypatch.context() as patch:

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr("os.fsync", full)
        with pytest.raises(ClusterStateError, match="cannot be written"):
            file.append([("links", "b")])
    file.append([("links", "c")])
    assert kept(tmp_path) == {"links": ["a", "c"], "pending": []}
