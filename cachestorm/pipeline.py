"""The pipeline: calls that are queued, and run in one step.

Made by `Cache.pipeline` and `Cache.aio.pipeline`. Its methods are made from those of `Cache`,
so that none can be forgotten; each queues its call and gives back the pipeline.

1. A call with wrong arguments is refused when it is queued. One that fails when it runs fails
   alone: the others run all the same, as in EXEC.
2. A generator among the arguments is exhausted when the call is queued, outside of the lock.
   The calls run under it, one after the other.
3. Keys are watched from entering the `with` block (or from `watch`) until `execute`, `reset`
   or the end of the block. Watching costs writers nothing.
4. Not compiled: the methods are made when the first pipeline of a class of caches is.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cachestorm.commands.watch_list import WatchList
from cachestorm.errors import ArgumentError, WatchError
from cachestorm.operations.names import keys_of

if TYPE_CHECKING:
    from types import TracebackType

    from cachestorm.cache import Cache

    Queue = TypeVar("Queue", bound="QueuedCalls")

_ELSEWHERE: Final = ("cachestorm.cache", "cachestorm.face", "cachestorm.listeners")
# iterators over what there will be, and what ends the cache
_NOT_QUEUED: Final = frozenset({"close", "items", "scan_iter", "values"})


class QueuedCalls:
    """What a pipeline and an awaited one have in common.

    Args:
        cache: where the calls run.
        watch: keys to watch from entering the block.
    """

    def __init__(self, cache: Cache, watch: Iterable[str] = ()) -> None:
        self._cache: Final = cache
        self._to_watch: Final = keys_of(watch)
        self._watched: WatchList | None = None
        self._is_open = False
        self._calls: list[tuple[str, Callable[..., Any], list[Any], dict[str, Any]]] = []

    def watch(self, *keys: str) -> None:
        """Has `execute` run only if these keys have not been touched by then.

        Raises:
            ArgumentError: outside of the `with` block, whose end is to end the watching.
            InvalidKeyError: for a key that has no bytes.
        """
        if not self._is_open:
            raise ArgumentError("a pipeline watches keys inside its 'with' block only")
        if self._watched is None:
            self._watched = WatchList()
        self._watched.add(self._cache, keys)

    def reset(self) -> None:
        """Drops the queue and ends all watches."""
        self._calls = []
        self._unwatch()

    def _unwatch(self) -> bool:
        """Ends all watches. Returns whether a key was touched."""
        watched, self._watched = self._watched, None
        return watched is not None and watched.end()

    def _open(self) -> None:
        self._is_open = True
        if self._to_watch:
            self.watch(*self._to_watch)

    def _close(self) -> None:
        self._is_open = False
        self.reset()

    def _run(self, raise_on_error: bool) -> list[Any]:
        if self._to_watch and not self._is_open:
            raise ArgumentError("a pipeline that watches keys is executed in its 'with' block")
        calls, self._calls = self._calls, []
        results: list[Any] = []
        failed: Exception | None = None
        with self._cache.transaction():
            if self._unwatch():
                raise WatchError()
            for name, method, args, options in calls:
                try:
                    results.append(method(self._cache, *args, **options))
                except Exception as error:
                    if failed is None:
                        failed = error
                        error.add_note(f"in call {len(results) + 1} of the pipeline: {name}()")
                    results.append(error)
        if failed is not None and raise_on_error:
            raise failed
        return results

    def __len__(self) -> int:
        """How many calls are queued."""
        return len(self._calls)

    def __bool__(self) -> bool:
        # an empty pipeline is still a pipeline
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._cache.name!r}: {len(self)} calls>"


class Pipeline(QueuedCalls):
    """Calls that are queued, and run in one step. See `Cache.pipeline`."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Runs what is queued in one step, and ends all watches.

        Args:
            raise_on_error: raise the first error, when all calls have run; else errors are
                among the results.

        Returns:
            What the methods return, in the order of the calls.

        Raises:
            WatchError: if a watched key was touched; nothing was run.
            ArgumentError: outside of the `with` block, if keys are to be watched.
            Exception: the first of what the calls raised, with a note that says which one.
        """
        return self._run(raise_on_error)

    def __enter__(self) -> Pipeline:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Pipeline]: ...


class AsyncPipeline(QueuedCalls):
    """The same for tasks: `async with`, and `execute` is awaited."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """See `Pipeline.execute`."""
        return self._run(raise_on_error)

    async def __aenter__(self) -> AsyncPipeline:
        self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., AsyncPipeline]: ...


def pipeline(cache: Cache, watch: Iterable[str]) -> Pipeline:
    """What `Cache.pipeline` gives."""
    return _kind_for(type(cache), Pipeline)(cache, watch)


def async_pipeline(cache: Cache, watch: Iterable[str]) -> AsyncPipeline:
    """What `Cache.aio.pipeline` gives."""
    return _kind_for(type(cache), AsyncPipeline)(cache, watch)


_kinds: Final[dict[tuple[type, type], Any]] = {}


def _kind_for(kind: type[Cache], base: type[Queue]) -> type[Queue]:
    """A class of pipelines with a method for each of a class of caches that can be queued."""
    made: type[Queue] | None = _kinds.get((kind, base))
    if made is None:
        names = queued_names(kind)
        methods: dict[str, Any] = {n: _queueing(n, getattr(kind, n), base) for n in names}
        made = type(base.__name__, (base,), {**methods, "__module__": __name__})
        _kinds[kind, base] = made
    return made


def queued_names(kind: type[Cache]) -> list[str]:
    """The methods of a class of caches that can be queued.

    They are its commands and those of a mapping, and what a subclass adds. What a cache has of
    its own (namespaces, listeners) and what runs code of the caller has no place in a queue.
    """
    names = []
    for name in dir(kind):
        owner = next(base for base in kind.__mro__ if name in vars(base))
        is_method = callable(inspect.getattr_static(kind, name)) and not name.startswith("_")
        if is_method and owner.__module__ not in _ELSEWHERE and name not in _NOT_QUEUED:
            names.append(name)
    return names


def _queueing(name: str, method: Callable[..., Any], base: type) -> Callable[..., Any]:
    signature = inspect.signature(method)

    def queue(self: QueuedCalls, *args: Any, **options: Any) -> QueuedCalls:
        signature.bind(self, *args, **options)
        given = [_at_hand(arg) for arg in args]
        named = {option: _at_hand(arg) for option, arg in options.items()}
        self._calls.append((name, method, given, named))
        return self

    functools.update_wrapper(queue, method, updated=())
    queue.__qualname__ = f"{base.__name__}.{name}"
    queue.__module__ = __name__
    return queue


def _at_hand(arg: Any) -> Any:
    """An argument without code of the caller that would run under the lock."""
    return list(arg) if isinstance(arg, Iterator) else arg
