"""The mapping handle: what a hash and a sorted set have in common as live mappings of names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar

from cachestorm.handles.handle import Handle

if TYPE_CHECKING:
    from typing import Self

V = TypeVar("V")


class MappingHandle(Handle, MutableMapping[str, V]):
    """A live mapping, which is read as a whole in one step."""

    __slots__ = ()

    @abstractmethod
    def copy(self) -> dict[str, V]:
        """All names and values, in one step."""

    def items(self) -> Any:
        """Pairs of name and value, of one moment."""
        return self.copy().items()

    def values(self) -> Any:
        """The values, of one moment."""
        return self.copy().values()

    def clear(self) -> None:
        """Takes everything away, and so the key."""
        self.delete()

    def _content(self) -> dict[str, V]:
        return self.copy()

    def __or__(self, other: Mapping[str, V]) -> dict[str, V]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.copy() | dict(other)

    def __ror__(self, other: Mapping[str, V]) -> dict[str, V]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(other) | self.copy()

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.copy() == dict(other.items())

    __hash__ = None  # type: ignore[assignment]
