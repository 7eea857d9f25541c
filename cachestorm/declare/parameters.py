"""Parameters: what a method takes after its target, compiled or not.

Asked by the binder, once a command.

1. A compiled method has a signature only where all its defaults are literals. Where one
   is not (UNSET), the signature is read from the source, which is installed beside the
   compiled module. Rejected: a second list of parameters in the declaration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cachestorm.errors import DeclarationError

if TYPE_CHECKING:
    import ast

NO_SLOT: Final = -1


class Parameters:
    """The parameters of a method after its target.

    Attributes:
        names: in order.
        positional: how many of them can be given by position.
        var_slot: the index of the var-positional one; NO_SLOT if there is none.
        nones: the names of those whose default is None.

    Raises:
        DeclarationError: when neither a signature nor a source is to be found.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        import inspect

        self.names: list[str] = []
        self.positional = 0
        self.var_slot = NO_SLOT
        self.nones: list[str] = []
        try:
            signature = inspect.signature(function)
        except ValueError:
            self._read_source(function)
            return
        for parameter in list(signature.parameters.values())[1:]:
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                self.var_slot = len(self.names)
            elif parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
                self.positional += 1
            if parameter.default is None:
                self.nones.append(parameter.name)
            self.names.append(parameter.name)

    def slot(self, name: str) -> int:
        """The index of a parameter by the name a notation gives it, or NO_SLOT."""
        arg = name.replace("-", "_")
        for candidate in (arg, arg + "_"):
            if candidate in self.names:
                return self.names.index(candidate)
        # a token is one word: DRYRUN is `dry_run`
        for index, given in enumerate(self.names):
            if given.replace("_", "") == arg:
                return index
        return NO_SLOT

    def _read_source(self, function: Callable[..., object]) -> None:
        self._read_arguments(_definition(function).args)

    def _read_arguments(self, arguments: ast.arguments) -> None:
        import ast

        leading = [node.arg for node in [*arguments.posonlyargs, *arguments.args]]
        self.names.extend(leading[1:])
        self.positional = len(self.names)
        for node, default in zip(reversed(leading), reversed(arguments.defaults)):
            if isinstance(default, ast.Constant) and default.value is None:
                self.nones.append(node)
        if arguments.vararg is not None:
            self.var_slot = len(self.names)
            self.names.append(arguments.vararg.arg)
        self.names.extend([node.arg for node in arguments.kwonlyargs])


def return_type(function: Callable[..., object]) -> object:
    """The type that a function says it returns: `int`, `list[str] | None`.

    Read from the source, compiled or not: compiled functions keep no annotations.

    Raises:
        DeclarationError: when there is no source.
    """
    import ast
    import sys

    owner = getattr(function, "__objclass__", function)
    module = sys.modules[str(getattr(owner, "__module__", ""))]
    returns = _definition(function).returns
    if returns is None:
        return object
    # a value of any type, whether a checker is to look at it or not
    return eval(ast.unparse(returns), {**vars(module), "Any": object})


def defaults_of(function: Callable[..., object]) -> dict[str, object]:
    """The defaults of a function's parameters, by name.

    Read from the source: a compiled function tells only some.

    Raises:
        DeclarationError: when there is no source.
    """
    import ast
    import sys

    owner = getattr(function, "__objclass__", function)
    module = sys.modules[str(getattr(owner, "__module__", ""))]
    arguments = _definition(function).args
    leading = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [*arguments.defaults]
    named = [*leading[len(leading) - len(defaults) :], *arguments.kwonlyargs]
    defaults.extend(arguments.kw_defaults)
    return {
        node.arg: eval(ast.unparse(default), vars(module))
        for node, default in zip(named, defaults)
        if default is not None
    }


def _definition(function: Callable[..., object]) -> ast.FunctionDef:
    import ast

    path = str(getattr(function, "__qualname__", "")).split(".")
    owner = getattr(function, "__objclass__", function)
    body = _syntax_of(str(getattr(owner, "__module__", "")))
    for depth, name in enumerate(path):
        # backwards: what overloads it comes before it
        for node in reversed(body):
            if isinstance(node, ast.ClassDef) and node.name == name:
                body = node.body
                break
            is_last = depth == len(path) - 1
            if isinstance(node, ast.FunctionDef) and node.name == name and is_last:
                return node
    raise DeclarationError(f"{'.'.join(path)} has neither a signature nor a source")


_parsed: Final[dict[str, list[ast.stmt]]] = {}


def _syntax_of(module_name: str) -> list[ast.stmt]:
    """The statements of a module's source; empty if it has none. Parsed once."""
    import ast
    import os
    import sys

    body = _parsed.get(module_name)
    if body is None:
        path = str(getattr(sys.modules.get(module_name), "__file__", ""))
        folder, file_name = os.path.split(path)
        path = os.path.join(folder, file_name.partition(".")[0] + ".py")
        try:
            with open(path, encoding="utf-8") as source:
                body = ast.parse(source.read()).body
        except OSError:
            body = []
        _parsed[module_name] = body
    return body
