"""Help for compiled code: docstrings and signatures, put into the C that mypyc wrote.

Called by setup.py after mypyc and before the C compiler.

1. mypyc drops docstrings, and a signature with a default that is not a literal; to one with an
   `i64` default it adds a `/` that is not so. The tables of methods, properties, classes and
   modules have a place for both, and only data changes: no instruction does.
2. What a table's entry is about says its C name, which mypyc's own NameGenerator tells.
3. A default that is not a literal is written as a sum that `inspect` can work out:
   see `cachestorm/named_defaults.py`.
4. An enum or another class that mypyc makes as Python does has a filler for a docstring. It
   is replaced where the class is made, once, at import.
5. What does not look as mypy 2.4.1 writes it is refused, never skipped: a public function or
   class that got no help is a ValueError.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

STRING = r'"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*'
METHOD = re.compile(
    r'\{"\w+",\s*\(PyCFunction\)CPyPy_(?P<name>\w+),\s*METH_[A-Z_| ]+,\s*'
    rf"PyDoc_STR\((?P<doc>NULL|{STRING})\)"
)
PROPERTY = re.compile(
    r'\{"\w+",\s*\(getter\)(?P<name>\w+),\s*(?:\(setter\)\w+|NULL),\s*(?P<doc>NULL), NULL\}'
)
CLASS = re.compile(
    r"PyTypeObject CPyType_(?P<name>\w+)_template_ = \{[^;]*?"
    rf"\.tp_doc = PyDoc_STR\((?P<doc>NULL|{STRING})\),"
)
MODULE = re.compile(
    r'PyModuleDef \w+ = \{\s*PyModuleDef_HEAD_INIT,\s*"(?P<name>[\w.]+)",\s*'
    r"(?P<doc>NULL), /\* docstring \*/"
)
FILLER = re.compile(r"= (?P<doc>CPyStatics\[[^;]*\]); /\* 'mypyc filler docstring' \*/")
TOP_LEVEL = re.compile(
    r"^[^\S\n]*char CPyDef_(?P<name>\w+?)_____top_level__\(void\) \{", re.MULTILINE
)
START = re.compile(
    r"\bint CPyExec_(?P<name>\w+?)(?:__impl)?\(PyObject \*module\)\s*\{"
    r"(?:(?!CPyExec_|CPyImport_Exec).)*?PyObject\* modname = NULL;\n",
    re.DOTALL,
)

IMPORT_DEFAULTS = """\
    PyObject *CPyHelp_defaults = PyImport_ImportModule("cachestorm.named_defaults");
    if (CPyHelp_defaults == NULL)
        goto fail;
    Py_DECREF(CPyHelp_defaults);
"""

TEXT_OF_CLASS = """\
static PyObject *{function}(void)
{{
    static PyObject *text = NULL;
    if (text == NULL)
        text = PyUnicode_FromString({text});
    return text;
}}

"""


class Source:
    """The functions, properties and classes of one module, by the names that C has for them."""

    def __init__(self, module: str, path: Path) -> None:
        self.module = module
        self.tree = ast.parse(path.read_text("utf-8"))
        self.names = {name for node in self.tree.body for name in bound_names(node)}
        self.names_defaults = False
        self.classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]

    def functions(self) -> Iterator[tuple[ast.ClassDef | None, FunctionNode]]:
        """The functions of the module, and the methods of its classes with their class."""
        for node in self.tree.body:
            if isinstance(node, FunctionNode):
                yield None, node
        for owner in self.classes:
            for node in owner.body:
                if isinstance(node, FunctionNode):
                    yield owner, node

    def signature(self, node: FunctionNode, mark: str | None) -> str | None:
        """The parameters as C has them; None where a default cannot be written as text.

        Args:
            node: the function.
            mark: what stands before the first parameter, `$` for one that is bound. None
                leaves the first parameter out.
        """
        takes = node.args
        positional = [*takes.posonlyargs, *takes.args]
        bare: list[ast.expr | None] = [None] * (len(positional) - len(takes.defaults))
        words: list[str] = []
        try:
            for parameter, default in zip(positional, [*bare, *takes.defaults], strict=True):
                words.append(self._parameter(parameter, default))
                if len(words) == len(takes.posonlyargs):
                    words.append("/")
            if takes.vararg is not None:
                words.append(f"*{takes.vararg.arg}")
            elif takes.kwonlyargs:
                words.append("*")
            for parameter, default in zip(takes.kwonlyargs, takes.kw_defaults, strict=True):
                words.append(self._parameter(parameter, default))
        except ValueError:
            return None
        if takes.kwarg is not None:
            words.append(f"**{takes.kwarg.arg}")
        if mark is None:
            del words[0]
        elif positional:
            words[0] = mark + words[0]
        return ", ".join(words)

    def _parameter(self, parameter: ast.arg, default: ast.expr | None) -> str:
        return parameter.arg if default is None else f"{parameter.arg}={self._text(default)}"

    def _text(self, default: ast.expr) -> str:
        """A default as text that `inspect` reads; a ValueError if there is none."""
        try:
            ast.literal_eval(default)
            return ast.unparse(default)
        except ValueError:
            pass
        if isinstance(default, ast.Name) and default.id in self.names:
            self.names_defaults = True
            return f"cachestorm.named_defaults.NAMED + '{self.module}.{default.id}'"
        if not any(isinstance(node, ast.Name | ast.Call) for node in ast.walk(default)):
            return repr(eval(ast.unparse(default), {"__builtins__": {}}))
        raise ValueError(ast.unparse(default))


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement of a module binds, but for those of blocks within."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (name.asname or name.name for name in statement.names)
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id
    elif isinstance(statement, ast.Assign):
        yield from (target.id for target in statement.targets if isinstance(target, ast.Name))


def decorators(node: FunctionNode) -> set[str]:
    """The last words of a function's decorators: `property`, `setter`, `command`."""
    found = set()
    for expression in node.decorator_list:
        called = expression.func if isinstance(expression, ast.Call) else expression
        found.add(called.attr if isinstance(called, ast.Attribute) else ast.unparse(called))
    return found


def c_string(text: str) -> str:
    """A text as adjacent literals of C, one a line, in UTF-8."""
    lines = text.splitlines(keepends=True) or [""]
    return "\n".join(f'"{"".join(map(escaped, line.encode()))}"' for line in lines)


def escaped(byte: int) -> str:
    """A byte inside a string literal of C."""
    if byte == 0x0A:
        return "\\n"
    if 0x20 <= byte < 0x7F and chr(byte) not in '"\\?':
        return chr(byte)
    return f"\\{byte:03o}"


class HelpTexts:
    """What there is to say of the compiled modules, by the names that C has for them.

    Args:
        sources: the path of each compiled module's source, by the module's name.
    """

    def __init__(self, sources: dict[str, Path]) -> None:
        from mypyc.namegen import NameGenerator, exported_name

        names = NameGenerator([list(sources)])
        self.sources = {module: Source(module, path) for module, path in sources.items()}
        self.modules: dict[str, str] = {}
        self.classes: dict[str, str] = {}
        self.functions: dict[str, str] = {}
        self.properties: dict[str, str] = {}
        # which class a method or property is of; the classes of a module, in order
        self.owners: dict[str, str] = {}
        self.made_in: dict[str, list[str]] = {}
        # modules with a default by name, by the name of what C starts them with
        self.naming: set[str] = set()
        for module, source in self.sources.items():
            prefix = names.private_name(module)
            self.modules[module] = ast.get_docstring(source.tree) or ""
            self.made_in[prefix] = []
            for node in source.classes:
                name = names.private_name(module, node.name)
                self.made_in[prefix].append(name)
                self.classes[name] = self._class_text(source, node)
            for owner, function in source.functions():
                table, path, text = self._function_text(source, owner, function)
                if path:
                    name = names.private_name(module, path)
                    table[name] = text
                    if owner is not None:
                        self.owners[name] = names.private_name(module, owner.name)
            if source.names_defaults:
                self.naming.add(exported_name(module))

    def put_into(self, units: list[Path]) -> None:
        """Rewrites the units of C in place.

        Raises:
            ValueError: what mypyc wrote has another shape than that of mypy 2.4.1.
        """
        texts = {unit: unit.read_text("utf-8") for unit in units}
        found: set[str] = set()
        for table, pattern in (
            (self.modules, MODULE),
            (self.classes, CLASS),
            (self.functions, METHOD),
            (self.properties, PROPERTY),
        ):
            for unit, text in texts.items():
                texts[unit] = put_docs(table, pattern, text, found)
        # enums and the like: mypyc makes them, and their methods, as Python does
        pythonic = self.classes.keys() - found
        wanted = {
            name
            for name in (*self.modules, *self.functions, *self.properties)
            if self.owners.get(name) not in pythonic
        }
        missing = sorted(wanted - found)
        if missing:
            raise ValueError(f"mypyc wrote no table with {', '.join(missing)}")
        starts = 0
        for unit, text in texts.items():
            text, count = self._import_defaults(text)
            starts += count
            unit.write_text(self._fill(text, pythonic), "utf-8")
        if starts != len(self.naming):
            raise ValueError(f"{len(self.naming)} modules import defaults, {starts} can")

    def _import_defaults(self, text: str) -> tuple[str, int]:
        count = 0

        def add(start: re.Match[str]) -> str:
            nonlocal count
            if start["name"] not in self.naming:
                return start[0]
            count += 1
            return start[0] + IMPORT_DEFAULTS

        return START.sub(add, text), count

    def _fill(self, text: str, pythonic: set[str]) -> str:
        """Replaces the fillers for docstrings in a unit, in the order of the classes."""
        starts = [*TOP_LEVEL.finditer(text)]
        if not starts:
            return text
        pieces = [text[: starts[0].start()]]
        for start, end in zip(
            starts, [*(s.start() for s in starts[1:]), len(text)], strict=True
        ):
            body = text[start.start() : end]
            waiting = [name for name in self.made_in[start["name"]] if name in pythonic]
            fillers = FILLER.findall(body)
            if len(fillers) != len(waiting):
                raise ValueError(f"{start['name']}: {len(fillers)} fillers, not {len(waiting)}")
            for name in waiting:
                function = f"CPyHelp_{name}"
                docs = c_string(self.classes[name].rpartition("\n--\n\n")[2])
                pieces.append(TEXT_OF_CLASS.format(function=function, text=docs))
                body = FILLER.sub(f"= {function}();", body, count=1)
            pieces.append(body)
        return "".join(pieces)

    def _function_text(
        self, source: Source, owner: ast.ClassDef | None, node: FunctionNode
    ) -> tuple[dict[str, str], str, str]:
        """Where a function's help belongs, the function's path, if it has any, and the help."""
        kinds = decorators(node)
        docstring = ast.get_docstring(node) or ""
        if owner is None:
            takes, path = "", node.name
        elif "property" in kinds:
            return self.properties, f"{owner.name}_get_{node.name}", docstring
        elif "overload" in kinds or "setter" in kinds:
            return self.functions, "", ""
        else:
            takes = "" if "staticmethod" in kinds else "$"
            path = f"{owner.name}.{node.name}"
        signature = source.signature(node, takes)
        head = "" if signature is None else f"{node.name}({signature})\n--\n\n"
        return self.functions, path, head + docstring

    def _class_text(self, source: Source, node: ast.ClassDef) -> str:
        signature = self._constructor(source, node)
        head = "" if signature is None else f"{node.name}({signature})\n--\n\n"
        return head + (ast.get_docstring(node) or "")

    def _constructor(self, source: Source, owner: ast.ClassDef) -> str | None:
        """A class's signature: its `__init__`'s, or that of the first base that has one."""
        for node in owner.body:
            if isinstance(node, FunctionNode) and node.name == "__init__":
                return source.signature(node, None)
        for base in owner.bases:
            place = self._class_named(source, ast.unparse(base).partition("[")[0])
            if place is None:
                return None
            signature = self._constructor(*place)
            if signature != "":
                return signature
        return ""

    def _class_named(self, source: Source, name: str) -> tuple[Source, ast.ClassDef] | None:
        """The compiled class that a module calls so, of its own or imported."""
        for node in source.classes:
            if node.name == name:
                return source, node
        for statement in source.tree.body:
            if isinstance(statement, ast.ImportFrom) and statement.module in self.sources:
                for alias in statement.names:
                    if (alias.asname or alias.name) == name:
                        return self._class_named(self.sources[statement.module], alias.name)
        return None


def put_docs(
    table: dict[str, str], pattern: re.Pattern[str], text: str, found: set[str]
) -> str:
    """Puts docstrings where the pattern finds their places, and their names into `found`."""

    def put(place: re.Match[str]) -> str:
        docs = table.get(place["name"])
        if docs is None:
            return place[0]
        found.add(place["name"])
        if not docs:
            return place[0]
        start, end = (position - place.start() for position in place.span("doc"))
        return place[0][:start] + c_string(docs) + place[0][end:]

    return pattern.sub(put, text)
