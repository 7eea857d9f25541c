"""Live handles: one key of a cache as the Python container that it is."""

from cachestorm.handles.counter import Counter
from cachestorm.handles.handle import Handle
from cachestorm.handles.hash import HashHandle
from cachestorm.handles.list import ListHandle
from cachestorm.handles.set import SetHandle
from cachestorm.handles.sorted_set import SortedSetHandle
from cachestorm.handles.tag import Tag

__all__ = [
    "Counter",
    "Handle",
    "HashHandle",
    "ListHandle",
    "SetHandle",
    "SortedSetHandle",
    "Tag",
]
