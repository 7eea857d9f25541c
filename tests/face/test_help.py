"""Help is the same in both builds: what `help` and `inspect` tell is what the source says.

The source is read as text, and so the tests say the same of compiled code as of what
Python itself makes of the source.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pydoc
import re
from functools import cache
from pathlib import Path

import pytest

import cachestorm
from cachestorm.cache import Cache
from cachestorm.transaction import Transaction

ROOT = Path(__file__).resolve().parent.parent.parent
# what is exported, and what its methods hand out
CLASSES = [
    *(
        thing
        for name in cachestorm.__all__
        if inspect.isclass(thing := getattr(cachestorm, name))
    ),
    Transaction,
]


@cache
def syntax_of(module_name: str) -> ast.Module:
    path = ROOT / (module_name.replace(".", "/") + ".py")
    return ast.parse(path.read_text("utf-8"))


def class_syntax(owner: type) -> ast.ClassDef:
    for node in syntax_of(owner.__module__).body:
        if isinstance(node, ast.ClassDef) and node.name == owner.__name__:
            return node
    raise LookupError(owner)


def function_syntax(owner: type, name: str) -> ast.FunctionDef | None:
    """The definition of a method or property in a class; None for anything else.

    What `@overload` declares comes before it.
    """
    for node in class_syntax(owner).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            if any(ast.unparse(each) == "overload" for each in node.decorator_list):
                continue
            return node
    return None


def owner_of(cls: type, name: str) -> type:
    return next(base for base in cls.__mro__ if name in vars(base))


def public_functions(*, with_properties: bool) -> list[tuple[type, str]]:
    """The public methods of the classes, and, if asked for, their properties."""
    found = []
    for cls in CLASSES:
        for name in dir(cls):
            if name.startswith("_"):
                continue
            owner = owner_of(cls, name)
            if not owner.__module__.startswith("cachestorm"):
                continue
            node = function_syntax(owner, name)
            if node is None:
                continue
            is_property = any(ast.unparse(each) == "property" for each in node.decorator_list)
            if with_properties or not is_property:
                found.append((cls, name))
    return found


def expected_parameters(owner: type, name: str) -> list[tuple[str, str, str]]:
    """Name, kind and repr of the default, of each parameter after the first."""
    node = function_syntax(owner, name)
    assert node is not None
    takes = node.args
    namespace = vars(importlib.import_module(owner.__module__))

    def row(parameter: ast.arg, kind: str, default: ast.expr | None) -> tuple[str, str, str]:
        if default is None:
            return parameter.arg, kind, ""
        return parameter.arg, kind, repr(eval(ast.unparse(default), dict(namespace)))

    positional = [*takes.posonlyargs, *takes.args]
    bare: list[ast.expr | None] = [None] * (len(positional) - len(takes.defaults))
    kinds = ["positional-only"] * len(takes.posonlyargs)
    kinds += ["positional or keyword"] * len(takes.args)
    rows = [*map(row, positional, kinds, [*bare, *takes.defaults])]
    if takes.vararg is not None:
        rows.append(row(takes.vararg, "variadic positional", None))
    for parameter, default in zip(takes.kwonlyargs, takes.kw_defaults, strict=True):
        rows.append(row(parameter, "keyword-only", default))
    if takes.kwarg is not None:
        rows.append(row(takes.kwarg, "variadic keyword", None))
    return rows[1:]


def parameters(signature: inspect.Signature) -> list[tuple[str, str, str]]:
    return [
        (
            each.name,
            each.kind.description,
            "" if each.default is inspect.Parameter.empty else repr(each.default),
        )
        for each in signature.parameters.values()
    ]


@pytest.mark.parametrize(("cls", "name"), public_functions(with_properties=True))
def test_a_method_is_documented_as_in_the_source(cls: type, name: str) -> None:
    node = function_syntax(owner_of(cls, name), name)
    assert node is not None
    actual = getattr(cls, name).__doc__
    assert inspect.cleandoc(actual or "") == (ast.get_docstring(node) or "")


@pytest.mark.parametrize(("cls", "name"), public_functions(with_properties=False))
def test_a_method_has_the_signature_of_the_source(cls: type, name: str) -> None:
    method = getattr(cls, name)
    # what belongs to the class has it already, and not as a parameter
    actual = parameters(inspect.signature(method))[0 if is_bound(method) else 1 :]
    assert actual == expected_parameters(owner_of(cls, name), name)


def is_bound(method: object) -> bool:
    """Whether a method is one of its class, pure or compiled."""
    return isinstance(getattr(method, "__self__", None), type)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_class_is_documented_as_in_the_source(cls: type) -> None:
    assert inspect.cleandoc(cls.__doc__ or "") == (ast.get_docstring(class_syntax(cls)) or "")


@pytest.mark.parametrize("cls", CLASSES)
def test_a_class_is_made_as_its_init_is_called(cls: type) -> None:
    owner = owner_of(cls, "__init__")
    if not owner.__module__.startswith("cachestorm"):
        pytest.skip("made as an enum is, or an exception")
    assert parameters(inspect.signature(cls)) == expected_parameters(owner, "__init__")


def test_every_public_name_of_the_cache_is_documented() -> None:
    names = [name for name in dir(Cache) if not name.startswith("_")]
    assert [name for name in names if not inspect.getdoc(getattr(Cache, name))] == []


def test_a_default_that_was_not_given_is_the_marker_itself() -> None:
    assert inspect.signature(Cache.set).parameters["ttl"].default is cachestorm.UNSET


def test_a_bound_method_does_not_show_its_cache() -> None:
    assert [*inspect.signature(Cache().get).parameters] == ["key", "default"]


def test_help_shows_signature_and_docstring() -> None:
    # from 3.13 on a long signature has a line for each parameter
    text = " ".join(pydoc.plain(pydoc.render_doc(Cache.set)).split())
    assert re.search(r"key\b.*, value\b.*, ttl\b.*= ?UNSET, \*, nx", text)
    assert "Sets a key: value, time to live and tags in one step." in text


@pytest.mark.parametrize("name", ["cachestorm.cache", "cachestorm.commands.strings"])
def test_a_module_is_documented_as_in_the_source(name: str) -> None:
    module = importlib.import_module(name)
    assert inspect.cleandoc(module.__doc__ or "") == ast.get_docstring(syntax_of(name))
