"""Entries: one that is made in the memory of another knows nothing of it."""

from __future__ import annotations

from cachestorm.entry import OBJECT, STRING, Entry


def test_an_entry_begins_anew_whatever_its_memory_was_before() -> None:
    former = Entry("former", 7, OBJECT, 3)
    former.tags = "tag"
    former.expires_at_ms = 1
    former.access = 15
    former.taps = 3
    del former
    for version in range(1, 4):
        entry = Entry("new", 0, STRING, version)
        found = (entry.key, entry.tags, entry.expires_at_ms, entry.version, entry.index)
        assert found == ("new", None, 0, version, 0)
        assert (entry.access, entry.kind, entry.taps) == (0, STRING, 0)
        del entry
