"""A plugin of mypy, by which a generic class is compiled as one that is not generic.

Named in pyproject.toml under [tool.mypy], which mypyc reads, too.

1. mypyc takes `Generic` for a base in Python. Each instance gets a `__dict__`, and a place for
   weak references, which mypy 2.4.1 never clears: they outlive the instance and crash.
2. A class is analysed again and again until all that it needs is known, and each time
   `Generic[...]` among its bases is looked for. So it is forgotten after that, which is when
   the first calls are checked.
3. To a type checker nothing changes. `Cache[int]` works at run time by `__class_getitem__`.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.nodes import ClassDef
from mypy.options import Options
from mypy.plugin import ClassDefContext, FunctionContext, Plugin
from mypy.types import Type


class NativeGenerics(Plugin):
    """Takes `Generic[...]` from the bases that are evaluated at run time."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._classes: list[ClassDef] = []

    def get_customize_class_mro_hook(
        self, fullname: str
    ) -> Callable[[ClassDefContext], None] | None:
        """Called when the bases of a class are known, or some of them."""
        return self._remember if fullname.startswith("cachestorm") else None

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], Type] | None:
        """Called when a call is checked: the classes of its module are as they will be."""
        for node in self._classes:
            # `Protocol` is taken from the bases in the same way, and stays
            if not node.info.is_protocol:
                node.removed_base_type_exprs.clear()
        self._classes.clear()
        return None

    def _remember(self, context: ClassDefContext) -> None:
        self._classes.append(context.cls)


def plugin(version: str) -> type[Plugin]:
    """Called by mypy."""
    return NativeGenerics
