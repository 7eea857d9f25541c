"""The decorator: makes the function that looks a result up, and its controls.

Called by `Face.memoize`. The function is made from source, as `dataclasses` makes its methods:
with the very parameters of the function that it replaces, so that Python itself binds the
arguments of a call, and `f(1)` and `f(x=1)` are one before anything else runs.

1. A hit calls nothing but the index and `get`. All else is `Memo`, and runs at a miss.
2. Equality and hashes of arguments run outside of any lock.
"""

from __future__ import annotations

import functools
import inspect
import keyword
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cachestorm.loading.context import LoadContext, at_work, running
from cachestorm.loading.drivers import aload, load
from cachestorm.loading.engine import is_far, loading_of
from cachestorm.loading.options import Options, options_by_name
from cachestorm.markers import MISSING, UNSET
from cachestorm.memoizing.keys import Index, culprit, shortened
from cachestorm.memoizing.memoized import CacheInfo, TemplateError
from cachestorm.memoizing.templates import Template, tags_from

if TYPE_CHECKING:
    from cachestorm.cache import Cache

Function = Callable[..., Any]
# arguments by name; as they are passed on
Bound = tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]

_OWNERS: Final = ("self", "cls", "mcs")

_HIT: Final = """
{async_}def {name}({parameters}):
    nonlocal _cs_hits
    try:
        _cs_value = _cs_get({find}, _cs_MISSING)
    except _cs_KeyError:
        pass
    except _cs_TypeError as _cs_error:
        raise _cs_explain(_cs_error, {by_name}) from None
    else:
        if _cs_value is not _cs_MISSING and (not _cs_at_work or _cs_running() is None):
            _cs_hits += 1
            return _cs_value
    return {await_}_cs_slow({bound})
"""
_SLOW: Final = """
{async_}def {name}({parameters}):
    return {await_}_cs_slow({bound})
"""
_MADE: Final = """
def _cs_make({cells}):
    _cs_hits = 0
    {function}
    def _cs_bind({parameters}):
        return {bound}
    def _cs_place({parameters}):
        return {place}
    def _cs_brief({parameters}):
        return {brief}
    def _cs_count(reset=False):
        nonlocal _cs_hits
        if reset:
            _cs_hits = 0
        return _cs_hits
    return {name}, _cs_bind, _cs_place, _cs_brief, _cs_count
"""


def memoize(
    cache: Cache,
    function: Any,
    key: str | Callable[..., str] | None,
    ttl: object,
    tags: Any,
    typed: bool,
    ignore: Iterable[str],
    options: dict[str, Any],
) -> Any:
    """See `Face.memoize`."""
    made = functools.partial(
        memoize,
        cache,
        key=key,
        ttl=ttl,
        tags=tags,
        typed=typed,
        ignore=ignore,
        options=options,
    )
    if function is None:
        return made
    if isinstance(function, property):
        if function.fset is not None or function.fdel is not None:
            raise TypeError("a memoized property is one that is only read")
        return property(made(function.fget), doc=function.__doc__)
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(made(function.__func__))
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"what is memoized is a function, not {function!r}")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(
            f"{function.__qualname__} is a generator, which is spent by the first who "
            "reads it: memoize a function that returns a list"
        )
    return Memo(cache, function, key, ttl, tags, typed, ignore, options).function


class Memo:
    """A memoized function: what its misses and its controls do."""

    def __init__(
        self,
        cache: Cache,
        function: Function,
        key: str | Callable[..., str] | None,
        ttl: object,
        tags: Any,
        typed: bool,
        ignore: Iterable[str],
        options: dict[str, Any],
    ) -> None:
        self._cache: Final = cache
        self._wrapped: Final = function
        signature = inspect.signature(function)
        names = list(signature.parameters)
        title = getattr(function, "__qualname__", repr(function))
        self._key: Final = key
        self._template: Template | None = None
        if isinstance(key, str):
            self._template = Template(key, names, title)
        elif key is not None and not callable(key):
            raise TypeError(f"a key is a template or a function, not {key!r}")
        self._tags_from = None
        if isinstance(tags, str):
            raise TypeError(f"tags is an iterable: write [{tags!r}], not {tags!r}")
        if not callable(tags):
            templates = [Template(tag, names, title) for tag in tags]
            if any(template.names for template in templates):
                self._tags_from = tags_from(templates)
                tags = ()
        self._options: Final[Options] = options_by_name(ttl, tags, options)
        loading_of(cache).accept(self._options)
        if isinstance(ignore, str):
            raise TypeError(f"ignore is an iterable: write [{ignore!r}], not {ignore!r}")
        ignored = set(ignore)
        if ignored - set(names):
            unknown = ", ".join(sorted(ignored - set(names)))
            raise TemplateError(f"ignore names {unknown}, which {title} does not take")
        self._index: Final = Index(cache, self._unique_name(function, title), typed)
        self._slow_calls = 0
        self._misses = 0
        self._is_async: Final = inspect.iscoroutinefunction(function)
        instance = names[0] if _is_method(title, names) else None
        # the parameter by whose identity results are kept apart, and not its equality
        self._owner = instance if key is None else None
        template = self._template
        # a template that looks into the instance may find something else each time
        self._is_indexed: Final = key is None or (
            template is not None and template.is_plain and instance not in template.names
        )
        self._names: Final = [
            name for name in names if name not in ignored and name != self._owner
        ]
        self._make(signature, typed)

    def _unique_name(self, function: Function, title: str) -> str:
        name = f"{getattr(function, '__module__', '')}.{title}"
        taken = loading_of(self._cache).names
        taken[name] = taken.get(name, 0) + 1
        # closures of one function share a name and not their results
        return name if taken[name] == 1 else f"{name}@{taken[name]}"

    # -- the function that is made

    def _make(self, signature: inspect.Signature, typed: bool) -> None:
        cells: dict[str, Any] = {
            "_cs_get": self._cache.get,
            # the function, or a parameter, may bear the name of a builtin
            "_cs_id": id,
            "_cs_map": map,
            "_cs_sorted": sorted,
            "_cs_tuple": tuple,
            "_cs_type": type,
            "_cs_KeyError": KeyError,
            "_cs_TypeError": TypeError,
            "_cs_MISSING": MISSING,
            "_cs_at_work": at_work,
            "_cs_running": running.get,
            "_cs_explain": self._explain,
            "_cs_slow": self._acall if self._is_async else self._call,
            "_cs_places": self._index.places.keys,
            "_cs_instances": self._index.of_instances,
            "_cs_briefs": self._index.places.briefs,
            "_cs_briefs_of": self._index.briefs_of_instances,
            "_cs_key_of": self._computed,
        }
        source = Source(signature, cells)
        template = self._template
        names = self._names
        if template is not None and self._is_indexed:
            names = list(template.names)
        place = source.place(names, typed)
        if not self._is_indexed:
            find = f"_cs_key_of({source.bound})"
        elif self._owner is None:
            find = f"_cs_places[{place}]"
        else:
            find = f"_cs_instances[_cs_id({self._owner})][{place}]"
        brief = "_cs_MISSING"
        left_out = source.left_out(names)
        if left_out and self._is_indexed:
            rest = source.place([name for name in names if name not in left_out], typed)
            are_left_out = " and ".join(f"{name} is {left_out[name]}" for name in left_out)
            brief = f"{rest} if {are_left_out} else _cs_MISSING"
            whose = f"_of[_cs_id({self._owner})]" if self._owner is not None else ""
            find = f"_cs_briefs{whose}[{rest}] if {are_left_out} else {find}"
        parts = {
            "name": source.function_name(self._wrapped),
            "parameters": source.parameters,
            "by_name": source.by_name,
            "bound": source.bound,
            "find": find,
            "place": place,
            "brief": brief,
            "async_": "async " if self._is_async else "",
            "await_": "await " if self._is_async else "",
            "cells": ", ".join(cells),
        }
        # a task must not block on a cache that is elsewhere
        awaits = self._is_async and is_far(self._cache)
        is_slow = awaits or self._options.judges_hits
        text = (_SLOW if is_slow else _HIT).format(**parts)
        made = _MADE.format(function=text.strip().replace("\n", "\n    "), **parts)
        scope: dict[str, Any] = {}
        exec(compile(made, f"<memoized {self._index.name}>", "exec"), scope)
        made_of = scope["_cs_make"](**cells)
        function, self._bind, self._place, self._brief, self._count = made_of
        functools.update_wrapper(function, self._wrapped)
        function.uncached = self._wrapped
        controls = ("peek", "put", "invalidate", "cache_info", "cache_clear")
        for name in ("key", *controls, *[f"a{control}" for control in controls]):
            setattr(function, name, getattr(self, name))
        function.refresh = self.arefresh if self._is_async else self.refresh
        self.function = function

    def _explain(self, error: TypeError, arguments: Mapping[str, Any]) -> TypeError:
        """What is raised when the index, or what makes a key, refuses the arguments."""
        if not self._is_indexed:
            return error
        names = self._template.names if self._template is not None else self._names
        text = culprit(names, [arguments[name] for name in names])
        if text is None:
            return error
        return TypeError(f"{self._index.name}: {text}; give a key, or ignore it")

    # -- from arguments to a key

    def _key_of(self, bound: Bound) -> str:
        """The key of a call; its place is kept."""
        if not self._is_indexed:
            key = self._computed(*bound)
            return self._index.keep(self._index.places, key, key)
        arguments, args, kwargs = bound
        places = self._index.places
        if self._owner is not None:
            places = self._index.places_of(arguments[self._owner])
        try:
            place = self._place(*args, **kwargs)
            known = places.keys.get(place)
        except TypeError as error:
            raise self._explain(error, arguments) from None
        if known is None:
            if self._template is not None:
                key = shortened(self._template.fill(arguments))
            else:
                key = self._index.key_of([arguments[name] for name in self._names], places)
            known = self._index.keep(places, place, key)
        brief = self._brief(*args, **kwargs)
        if brief is not MISSING:
            places.briefs[brief] = known
        return known

    def _computed(
        self, arguments: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> str:
        """The key of a call that has to be worked out each time."""
        if self._template is not None:
            return shortened(self._template.fill(arguments))
        assert callable(self._key)
        return shortened(self._key(*args, **kwargs))

    def _prepared(self, bound: Bound) -> tuple[str, Options, Callable[[LoadContext], Any]]:
        """What a load needs: the key, the options, and a loader."""
        key = self._key_of(bound)
        options = self._options
        if self._tags_from is not None:
            options = replace(options, tags=tuple(dict.fromkeys(self._tags_from(bound[0]))))
        _, args, kwargs = bound
        wrapped = self._wrapped

        def run(context: LoadContext) -> Any:
            self._misses += 1
            return wrapped(*args, **kwargs)

        return key, options, run

    # -- calls that may miss

    def _call(
        self, arguments: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self._slow_calls += 1
        self._bury()
        key, options, loader = self._prepared((arguments, args, kwargs))
        return load(self._cache, key, loader, options)

    async def _acall(
        self, arguments: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self._slow_calls += 1
        await self._abury()
        key, options, loader = self._prepared((arguments, args, kwargs))
        return await aload(self._cache, key, loader, options)

    def _bury(self) -> None:
        """Deletes what was kept for instances that are gone."""
        for key in self._index.orphans():
            self._cache.delete(key)

    async def _abury(self) -> None:
        for key in self._index.orphans():
            await self._cache.aio.delete(key)

    # -- controls; those that are awaited do not block on a cache that is elsewhere

    def key(self, *args: Any, **kwargs: Any) -> str:
        return self._key_of(self._bind(*args, **kwargs))

    def peek(self, *args: Any, **kwargs: Any) -> Any:
        return self._cache.get(self.key(*args, **kwargs), MISSING)

    async def apeek(self, *args: Any, **kwargs: Any) -> Any:
        return await self._cache.aio.get(self.key(*args, **kwargs), MISSING)

    def put(self, result: Any, /, *args: Any, **kwargs: Any) -> None:
        self._bury()
        key, ttl, tags = self._of_result(result, self._bind(*args, **kwargs))
        self._cache.set(key, result, ttl, tags=tags)

    async def aput(self, result: Any, /, *args: Any, **kwargs: Any) -> None:
        await self._abury()
        key, ttl, tags = self._of_result(result, self._bind(*args, **kwargs))
        await self._cache.aio.set(key, result, ttl, tags=tags)

    def _of_result(self, result: Any, bound: Bound) -> tuple[str, Any, list[str]]:
        """What a result is kept with: its key, its time to live, and its tags."""
        key, options, _ = self._prepared(bound)
        tags = [*options.tags, *(options.tags_of(result) if options.tags_of else ())]
        is_negative = result is None and options.negative_ttl is not UNSET
        return key, options.negative_ttl if is_negative else options.ttl, tags

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        self._slow_calls += 1
        self._bury()
        key, options, loader = self._prepared(self._bind(*args, **kwargs))
        return load(self._cache, key, loader, options, fresh=True)

    async def arefresh(self, *args: Any, **kwargs: Any) -> Any:
        self._slow_calls += 1
        await self._abury()
        key, options, loader = self._prepared(self._bind(*args, **kwargs))
        return await aload(self._cache, key, loader, options, fresh=True)

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        return self._cache.delete(self.key(*args, **kwargs)) == 1

    async def ainvalidate(self, *args: Any, **kwargs: Any) -> bool:
        return await self._cache.aio.delete(self.key(*args, **kwargs)) == 1

    def cache_info(self) -> CacheInfo:
        self._bury()
        return self._info(self._cache.exists(*self._index.keys()))

    async def acache_info(self) -> CacheInfo:
        await self._abury()
        return self._info(await self._cache.aio.exists(*self._index.keys()))

    def _info(self, kept: int) -> CacheInfo:
        hits = self._count() + self._slow_calls - self._misses
        return CacheInfo(max(hits, 0), self._misses, None, kept)

    def cache_clear(self) -> None:
        self._bury()
        self._cache.delete(*self._index.keys())
        self._forget()

    async def acache_clear(self) -> None:
        await self._abury()
        await self._cache.aio.delete(*self._index.keys())
        self._forget()

    def _forget(self) -> None:
        self._index.clear()
        self._slow_calls = self._misses = 0
        self._count(True)


class Source:
    """The parts of a function's parameters as source.

    Attributes:
        parameters: its parameters; defaults are in cells.
        by_name: a dict of the arguments.
        bound: what a `Bound` consists of, as arguments.
    """

    def __init__(self, signature: inspect.Signature, cells: dict[str, Any]) -> None:
        self._kinds: Final = {
            name: parameter.kind for name, parameter in signature.parameters.items()
        }
        self._defaults: Final = {
            name: f"_cs_default_{name}"
            for name, parameter in signature.parameters.items()
            if parameter.default is not parameter.empty
        }
        shown: list[str] = []
        args: list[str] = []
        kwargs: list[str] = []
        has_star = False
        previous = None
        for name, parameter in signature.parameters.items():
            kind = parameter.kind
            if previous is parameter.POSITIONAL_ONLY and kind is not previous:
                shown.append("/")
            previous = kind
            text = name
            if name in self._defaults:
                cells[self._defaults[name]] = parameter.default
                text = f"{name}={self._defaults[name]}"
            if kind is parameter.VAR_POSITIONAL:
                has_star = True
                shown.append(f"*{name}")
                args.append(f"*{name}")
            elif kind is parameter.VAR_KEYWORD:
                shown.append(f"**{name}")
                kwargs.append(f"**{name}")
            elif kind is parameter.KEYWORD_ONLY:
                if not has_star:
                    has_star = True
                    shown.append("*")
                shown.append(text)
                kwargs.append(f"{name!r}: {name}")
            else:
                shown.append(text)
                args.append(name)
        if previous is inspect.Parameter.POSITIONAL_ONLY:
            shown.append("/")
        self.parameters: Final = ", ".join(shown)
        self.by_name: Final = "{" + ", ".join(f"{name!r}: {name}" for name in self._kinds) + "}"
        passed = "(" + "".join(f"{each}, " for each in args) + ")"
        self.bound: Final = f"{self.by_name}, {passed}, {{{', '.join(kwargs)}}}"

    def place(self, names: list[str], typed: bool) -> str:
        """The hashable that stands for the arguments of those names."""
        parts = [self._part(name) for name in names]
        if typed:
            parts += [self._types(name) for name in names]
        if len(parts) == 1:
            return parts[0]
        return "(" + "".join(f"{part}, " for part in parts) + ")"

    def left_out(self, names: list[str]) -> dict[str, str]:
        """Those of the names that have a default, with its cell."""
        return {name: self._defaults[name] for name in names if name in self._defaults}

    def _part(self, name: str) -> str:
        if self._kinds[name] is inspect.Parameter.VAR_KEYWORD:
            return f"_cs_tuple(_cs_sorted({name}.items()))"
        return name

    def _types(self, name: str) -> str:
        kind = self._kinds[name]
        if kind is inspect.Parameter.VAR_POSITIONAL:
            return f"_cs_tuple(_cs_map(_cs_type, {name}))"
        if kind is inspect.Parameter.VAR_KEYWORD:
            return f"_cs_tuple(_cs_type({name}[_cs_key]) for _cs_key in _cs_sorted({name}))"
        return f"_cs_type({name})"

    def function_name(self, function: Function) -> str:
        """A name for the function in its own source."""
        name = getattr(function, "__name__", "")
        fits = name.isidentifier() and not keyword.iskeyword(name) and name not in self._kinds
        return name if fits else "_cs_function"


def _is_method(title: str, names: list[str]) -> bool:
    """Whether a function is defined in a class, by its qualified name and first parameter."""
    outer, _, _ = title.rpartition(".")
    is_in_class = outer != "" and not outer.endswith("<locals>")
    return is_in_class and bool(names) and names[0] in _OWNERS
