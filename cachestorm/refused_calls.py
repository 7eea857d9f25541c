"""Calls that compiled code refuses: made once more, by the source.

Called from the C that the build writes (`compiling/argument_errors.py`), when the arguments of
a call are not of the types that a compiled function is made for, too many or too few. The
function's source is run instead, with the same `self`, and what comes of it is what comes of it
in the build that is not compiled: the same error in the same words, or the same result.

1. It costs nothing where the arguments fit: only the refusal comes here.
2. What is declared as a `bool` is made one first, as compiled functions that the source calls
   want it.
3. The source lies beside the compiled module. Where it does not, the error of compiled code
   stays; and so it does for a constructor that takes what it is given: its source cannot write
   what is final in compiled code.
"""

from __future__ import annotations
import __future__

import ast
import copy
import sys
from pathlib import Path
from types import FunctionType
from typing import Any, Final

_functions: Final[dict[str, FunctionType | None]] = {}
_modules: Final[dict[str, ast.Module]] = {}


def again(name: str, arguments: tuple[Any, ...], keywords: dict[str, Any] | None) -> object:
    """What the source of a function makes of a call.

    Args:
        name: the module and the path in it, as `cachestorm.cache:Cache.get`.
        arguments: `self` among them.

    Returns:
        What the function returns; NotImplemented if the source has no better answer.
    """
    if name not in _functions:
        _functions[name] = _function(name)
    function = _functions[name]
    if function is None:
        return NotImplemented
    try:
        return function(*arguments, **(keywords or {}))
    except AttributeError as error:
        if name.endswith(".__init__") and "is not writable" in str(error):
            return NotImplemented
        raise


def _function(name: str) -> FunctionType | None:
    module_name, _, path = name.partition(":")
    module = sys.modules[module_name]
    try:
        tree = _syntax_of(module_name)
    except OSError:
        return None
    owner_name, _, function_name = path.rpartition(".")
    body = tree.body
    if owner_name:
        owner = next(n for n in body if isinstance(n, ast.ClassDef) and n.name == owner_name)
        body = owner.body
    # the last of that name: what overloads it comes before it
    node = next(
        n for n in reversed(body) if isinstance(n, ast.FunctionDef) and n.name == function_name
    )
    node = copy.copy(node)
    node.decorator_list = []
    node.body = [*_made_bool(node.args), *node.body]
    only: ast.stmt = node
    if owner_name:
        # a class of the same name, for the names of its private attributes and of the function
        only = ast.ClassDef(
            name=owner_name, bases=[], keywords=[], body=[node], decorator_list=[]
        )
        ast.copy_location(only, node)
    code = compile(
        ast.fix_missing_locations(ast.Module([only], [])),
        str(_source(module_name)),
        "exec",
        flags=__future__.annotations.compiler_flag,
        dont_inherit=True,
    )
    made: dict[str, Any] = {}
    exec(code, vars(module), made)
    if not owner_name:
        return _checked(made[function_name])
    function = vars(made[owner_name])[function_name]
    if "__class__" in function.__code__.co_freevars:
        # what `super()` looks into
        place = function.__code__.co_freevars.index("__class__")
        function.__closure__[place].cell_contents = vars(module)[owner_name]
    return _checked(function)


def _made_bool(parameters: ast.arguments) -> list[ast.stmt]:
    """What makes arguments bools, of parameters that are declared so."""
    return [
        ast.parse(f"{parameter.arg} = not not {parameter.arg}").body[0]
        for parameter in [*parameters.args, *parameters.kwonlyargs]
        if isinstance(parameter.annotation, ast.Name) and parameter.annotation.id == "bool"
    ]


def _checked(function: object) -> FunctionType:
    assert isinstance(function, FunctionType)
    return function


def _syntax_of(module_name: str) -> ast.Module:
    if module_name not in _modules:
        _modules[module_name] = ast.parse(_source(module_name).read_text("utf-8"))
    return _modules[module_name]


def _source(module_name: str) -> Path:
    top = module_name.partition(".")[0]
    root = Path(str(sys.modules[top].__file__)).parent.parent
    return root / (module_name.replace(".", "/") + ".py")
