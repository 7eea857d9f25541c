"""The drivers: run the courses of the engine, in a thread that blocks or in a task that awaits.

Called by the Python face of a cache. Courses beside the caller run in daemon threads, or in
tasks of the loop that is running: an interpreter that ends does not wait for them.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import copy_context
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from cachestorm.loading.context import LoadContext, running
from cachestorm.loading.engine import loading_of
from cachestorm.loading.leading import Course, Loader, Run, Start, Wait
from cachestorm.loading.options import Options
from cachestorm.loading.waiters import ThreadWaiter, running_trio, task_waiter

if TYPE_CHECKING:
    import asyncio

    from cachestorm.cache import Cache

_log: Final = logging.getLogger("cachestorm.loading")

# so many threads refresh values at once; while all are at it, stale ones go on being served
MOST_REFRESHES: Final = 32
_refreshes: Final = threading.BoundedSemaphore(MOST_REFRESHES)
# a loop keeps only weak references to its tasks
_tasks: Final[set[asyncio.Task[None]]] = set()


def load(cache: Cache, key: str, loader: Loader, options: Options, fresh: bool = False) -> Any:
    """Loads a key for a thread, which blocks until then."""
    found = run(loading_of(cache).fetch(cache, key, loader, options, ThreadWaiter, True, fresh))
    return found if cache._forms is None else cache._forms.fresh(found)


async def aload(
    cache: Cache, key: str, loader: Loader, options: Options, fresh: bool = False
) -> Any:
    """Loads a key for a task, which awaits it."""
    found = await arun(
        loading_of(cache).fetch(cache, key, loader, options, task_waiter, False, fresh)
    )
    return found if cache._forms is None else cache._forms.fresh(found)


def load_many(
    cache: Cache, keys: Iterable[str], loader: Callable[[list[str]], Any], options: Options
) -> dict[str, Any]:
    """Loads many keys for a thread."""
    found: dict[str, Any] = run(
        loading_of(cache).fetch_many(cache, keys, loader, options, ThreadWaiter, True)
    )
    return _fresh(cache, found)


async def aload_many(
    cache: Cache,
    keys: Iterable[str],
    loader: Callable[[list[str]], Mapping[str, Any] | Awaitable[Mapping[str, Any]]],
    options: Options,
) -> dict[str, Any]:
    """Loads many keys for a task."""
    found: dict[str, Any] = await arun(
        loading_of(cache).fetch_many(cache, keys, loader, options, task_waiter, False)
    )
    return _fresh(cache, found)


def _fresh(cache: Cache, found: dict[str, Any]) -> dict[str, Any]:
    """The values of many keys as the cache gives them."""
    forms = cache._forms
    if forms is None:
        return found
    return {key: forms.fresh(value) for key, value in found.items()}


def run(course: Course) -> Any:
    """Runs a course in this thread, blocking."""
    try:
        step = next(course)
        while True:
            try:
                if type(step) is Run:
                    outcome = _called(step)
                elif type(step) is Wait:
                    outcome = step.waiter.wait(step.timeout_s)
                else:
                    assert type(step) is Start
                    outcome = _start_thread(step)
            except BaseException as error:
                step = course.throw(error)
            else:
                step = course.send(outcome)
    except StopIteration as end:
        return end.value
    finally:
        course.close()


async def arun(course: Course) -> Any:
    """Runs a course in this task, awaiting."""
    try:
        step = next(course)
        while True:
            try:
                if type(step) is Run:
                    outcome = step.call()
                    if inspect.isawaitable(outcome):
                        outcome = await outcome
                elif type(step) is Wait:
                    outcome = await step.waiter.wait(step.timeout_s)
                else:
                    assert type(step) is Start
                    outcome = _start_task(step)
            except BaseException as error:
                step = course.throw(error)
            else:
                step = course.send(outcome)
    except StopIteration as end:
        return end.value
    finally:
        course.close()


def _called(step: Run) -> Any:
    outcome = step.call()
    if inspect.iscoroutine(outcome):
        outcome.close()
        raise TypeError("the loader is a coroutine function: await aget_or_set instead")
    return outcome


# -- beside the caller


def _start_thread(step: Start) -> bool:
    if not step.is_awaited and not _refreshes.acquire(blocking=False):
        return False
    thread = threading.Thread(
        target=copy_context().run, args=(_run_beside, step), name="cachestorm-load", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:
        # no more threads, or the interpreter is about to end
        if not step.is_awaited:
            _refreshes.release()
        return False
    return True


def _run_beside(step: Start) -> None:
    try:
        if not step.is_awaited:
            running.set(None)
        run(step.course())
    except BaseException as error:
        _told(step, error)
    finally:
        if not step.is_awaited:
            _refreshes.release()


def _start_task(step: Start) -> bool:
    trio = running_trio()
    if trio is not None:
        trio.lowlevel.spawn_system_task(_arun_beside, step, context=copy_context())
        return True
    import asyncio

    task = asyncio.get_running_loop().create_task(_arun_beside(step), name="cachestorm-load")
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return True


async def _arun_beside(step: Start) -> None:
    try:
        if not step.is_awaited:
            running.set(None)
        await arun(step.course())
    except Exception as error:
        _told(step, error)


def _told(step: Start, error: BaseException) -> None:
    # those who wait are told by the flight; nobody waits for a refresh
    if not step.is_awaited and sys.meta_path is not None:
        _log.warning("loading %r anew failed", step.flight.key, exc_info=error)


# -- what a user gives as a loader


def adapted(loader: Callable[..., Any]) -> Loader:
    """A loader as the engine calls it: one without parameters is not given the context."""
    if not callable(loader):
        raise TypeError(f"a loader is called, which {loader!r} cannot be")
    if _wants_context(loader):
        return loader

    def call(context: LoadContext) -> Any:
        return loader()

    return call


def _wants_context(loader: Callable[..., Any]) -> bool:
    """Whether a loader has a parameter that must be given."""
    function = getattr(loader, "__func__", loader)
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        bound = 0 if function is loader else 1
        defaults = getattr(function, "__defaults__", None)
        return code.co_argcount - bound - len(defaults or ()) > 0
    try:
        parameters = inspect.signature(loader).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        each.default is each.empty
        and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        for each in parameters
    )
