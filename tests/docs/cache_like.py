"""The protocols of a cache, near and far: `cachestorm/cache_like.pyi`.

Written by `make docs`, by nobody else: the signatures are those of `Cache`, as its source has
them, of the methods that a cache has which `cachestorm.connect` gives.
`tests/remote/test_cache_like.py` asserts that the file is theirs.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
TARGET: Final = ROOT / "cachestorm" / "cache_like.pyi"

from cachestorm.cache import Cache  # noqa: E402
from cachestorm.remote.commands import REMOTE  # noqa: E402
from cachestorm.remote.connected import AsyncConnectedCache, ConnectedCache  # noqa: E402
from cachestorm.remote.made_methods import COMPOSED  # noqa: E402

# written below by hand, as near and far they have something in common and no more
OWN: Final = frozenset(
    {"aio", "capabilities", "close", "name", "namespace", "stats", "__enter__", "__exit__"}
)
# with a form of their own where they are awaited
ASYNC_OWN: Final = frozenset(
    {"aget_or_set", "aget_or_set_many", "get_or_set", "get_or_set_many", "lock", "memoize"}
    | {"modify", "scan_iter"}
)
SPECIAL: Final = [
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__contains__",
    "__len__",
    "__bool__",
    "__iter__",
]

# what is a type and a method
HIDDEN: Final = frozenset({"set", "type"})

HEAD: Final = '''\
# Written by `make docs` from the source of Cache (tests/docs/cache_like.py): do not edit.
"""A cache, wherever it is: what `Cache` and what `cachestorm.connect` gives have in common."""

import builtins
{imports}

T = TypeVar("T")
P = ParamSpec("P")

@runtime_checkable
class CacheLike(Protocol[V]):
    """A cache near or far, of values of one type: for signatures of functions that take one."""

    @property
    def name(self) -> str: ...
    @property
    def aio(self) -> AsyncCacheLike[V]: ...
    @property
    def capabilities(self) -> Capabilities: ...
    def namespace(self, name: str) -> CacheLike[V]: ...
    def stats(self) -> Stats: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
{sync}

@runtime_checkable
class AsyncCacheLike(Protocol[V]):
    """The same for tasks: what `aio` of such a cache is."""

    @property
    def name(self) -> str: ...
    async def capabilities(self) -> Capabilities: ...
    def namespace(self, name: str) -> AsyncCacheLike[V]: ...
    async def stats(self) -> Stats: ...
    async def close(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    async def get_or_set(
        self,
        key: str,
        loader: Callable[..., Any],
        ttl: object = ...,
        *,
        tags: Iterable[str] | Callable[[Any], Iterable[str]] = ...,
        **options: Any,
    ) -> Any: ...
    async def get_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Mapping[str, Any] | Awaitable[Mapping[str, Any]]],
        ttl: object = ...,
        *,
        tags: Iterable[str] | Callable[[Any], Iterable[str]] = ...,
        **options: Any,
    ) -> dict[str, Any]: ...
    async def modify(
        self,
        key: str,
        function: Callable[[Any], Any],
        *,
        ttl: object = ...,
        tags: Iterable[str] | object = ...,
    ) -> Any: ...
    def scan_iter(
        self, match: str | None = None, count: int = ..., type: str | None = None
    ) -> AsyncIterator[str]: ...
    def lock(self, key: str, ttl: object = ..., *, reentrant: bool = ...) -> Lock: ...
{awaited}'''


def names() -> list[str]:
    """The methods that near and far have."""
    made = REMOTE | frozenset(COMPOSED)
    public = [name for name in dir(Cache) if not name.startswith("_")]
    return [
        name
        for name in [*public, *SPECIAL]
        if name not in OWN
        and callable(inspect.getattr_static(Cache, name))
        and (name in made or name in vars(ConnectedCache))
        and not is_refused(name)
    ]


def is_refused(name: str) -> bool:
    """Whether a method does nothing but refuse."""
    return getattr(inspect.getattr_static(ConnectedCache, name), "is_refusal", False)


@cache
def tree_of(module: str) -> ast.Module:
    """The source of a module."""
    source = Path(str(importlib.import_module(module).__file__)).with_suffix(".py")
    if not source.exists():
        # a compiled module lies beside its source
        source = ROOT / Path(*module.split(".")).with_suffix(".py")
    return ast.parse(source.read_text("utf-8"))


def definitions(name: str) -> tuple[str, list[ast.FunctionDef]]:
    """The module that defines a method, and its overloads, or itself if there are none."""
    for kind in Cache.__mro__:
        if not kind.__module__.startswith("cachestorm"):
            continue
        for node in tree_of(kind.__module__).body:
            if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
                found = [
                    each
                    for each in node.body
                    if isinstance(each, ast.FunctionDef) and each.name == name
                ]
                if found:
                    return kind.__module__, found[:-1] or found
    raise LookupError(name)


def imports_of(module: str) -> dict[str, tuple[str, str]]:
    """What a module imports: the name there, and from where by which name."""
    found = {}
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found[alias.asname or alias.name] = (node.module, alias.name)
    for node in tree_of(module).body:
        # an alias that stands there itself
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, (module, node.targets[0].id))
    return {name: place for name, place in found.items() if name not in ("P", "T")}


class Builtins(ast.NodeTransformer):
    """Names of types that a method hides, by their module."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in HIDDEN:
            return ast.Attribute(ast.Name("builtins"), node.id)
        return node


class Written:
    """The text of the methods, and what it has to import."""

    def __init__(self) -> None:
        self.imports: dict[str, set[str]] = {
            "collections.abc": {
                "AsyncIterator",
                "Awaitable",
                "Callable",
                "Iterable",
                "Mapping",
            },
            "types": {"TracebackType"},
            "typing": {
                *("Any", "ParamSpec", "Protocol", "Self", "TypeVar"),
                *("overload", "runtime_checkable"),
            },
            "cachestorm.capabilities": {"Capabilities"},
            "cachestorm.locks.lock": {"Lock"},
            "cachestorm.stats": {"Stats"},
            "cachestorm.typevars": {"V"},
        }

    def method(self, name: str, is_awaited: bool) -> str:
        """A method with its overloads."""
        module, found = definitions(name)
        known = imports_of(module)
        lines = []
        for node in found:
            assert node.returns is not None, name
            arguments = Builtins().visit(_without_values(node.args))
            result = Builtins().visit(node.returns)
            for each in (*ast.walk(arguments), *ast.walk(result)):
                self._note(each, known)
            if len(found) > 1:
                lines.append("    @overload")
            given, returns = ast.unparse(arguments), ast.unparse(result)
            word = "async def" if is_awaited else "def"
            lines.append(f"    {word} {name}({given}) -> {returns}: ...")
        return "\n".join(lines)

    def _note(self, node: ast.AST, known: dict[str, tuple[str, str]]) -> None:
        if isinstance(node, ast.Name) and node.id in known:
            module, name = known[node.id]
            if name == node.id:
                self.imports.setdefault(module, set()).add(name)

    def head(self) -> str:
        """The imports."""
        return "\n".join(
            f"from {module} import {', '.join(sorted(self.imports[module]))}"
            for module in sorted(self.imports)
        )


def _without_values(arguments: ast.arguments) -> ast.arguments:
    """The same with `...` for defaults that are no constants."""

    def shown(node: ast.expr | None) -> ast.expr | None:
        return node if node is None or isinstance(node, ast.Constant) else ast.Constant(...)

    arguments.defaults = [shown(each) for each in arguments.defaults]  # type: ignore[misc]
    arguments.kw_defaults = [shown(each) for each in arguments.kw_defaults]
    return arguments


def text() -> str:
    """The whole file, as ruff formats it."""
    import subprocess

    written = Written()
    found = names()
    sync = "\n".join(written.method(name, False) for name in found)
    awaited = "\n".join(
        written.method(name, True)
        for name in found
        if name not in ASYNC_OWN
        and name not in SPECIAL
        and name in vars(AsyncConnectedCache)
        and not getattr(vars(AsyncConnectedCache)[name], "is_refusal", False)
    )
    raw = HEAD.format(imports=written.head(), sync=sync, awaited=awaited) + "\n"
    for args in (["check", "--select", "I", "--fix", "--quiet"], ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *args, "--stdin-filename", str(TARGET), "-"],
            input=raw,
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=True,
        )
        raw = done.stdout
    return raw


if __name__ == "__main__":
    TARGET.write_text(text(), "utf-8")
