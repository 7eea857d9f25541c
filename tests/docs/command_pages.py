"""The pages of the commands, `docs/commands`: written by `make docs`, by nobody else.

A page a group, a section a command. What they say stands elsewhere, once: the declaration
and the method in the source, the examples in `docs/examples`, the differences in
`tests/commands/differences.py`. `test_command_pages.py` asserts that the pages are theirs.

Signatures and docstrings are read from the source, as compiled methods have none.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import sys
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "commands")]

import compatibility  # noqa: E402
from command_examples import VARIES, Answer, Example, examples, run_client, run_python  # noqa: E402
from differences import DIFFERENCES, as_table  # noqa: E402

from cachestorm.declare import kinds as kinds_module  # noqa: E402
from cachestorm.declare.declaration import Declaration  # noqa: E402
from cachestorm.declare.facts import categories_of, flags_of  # noqa: E402
from cachestorm.declare.kinds import KINDS, Integer, Kind, Ttl  # noqa: E402
from cachestorm.declare.notation import TOKEN, Argument, name_of  # noqa: E402
from cachestorm.declare.registry import REGISTRY  # noqa: E402
from cachestorm_cli.printing import for_people  # noqa: E402

FOLDER: Final = ROOT / "docs" / "commands"
DIFFERENCES_PAGE: Final = ROOT / "docs" / "differences.md"
COMPATIBILITY_PAGE: Final = ROOT / "docs" / "compatibility.md"
NAVIGATION: Final = ROOT / "mkdocs.yml"
SOURCES: Final = (
    "cachestorm/commands",
    "cachestorm_server",
    "cachestorm_server/acl",
    "cachestorm_server/cluster",
    "cachestorm_server/replication",
    "cachestorm_server/scripting",
)
LONGEST_CELL: Final = 160
WIDTH: Final = 88
WIDEST_CODE: Final = 64
MISSING: Final = "*No example yet.*"
WRITTEN: Final = "<!-- written by `make docs`: change what it is drawn from -->"
TITLES: Final = {
    "generic": "Keys of any kind",
    "string": "Strings and objects",
    "hash": "Hashes",
    "list": "Lists",
    "set": "Sets",
    "sorted-set": "Sorted sets",
    "bitmap": "Bitmaps",
    "hyperloglog": "HyperLogLogs",
    "geo": "Places on the earth",
    "tags": "Tags",
    "namespaces": "Namespaces",
    "transactions": "Transactions",
    "scripting": "Scripts",
    "pubsub": "Publish and subscribe",
    "connection": "The connection",
    "server": "The server",
    "cluster": "The cluster",
}


@dataclass(frozen=True)
class Method:
    """What the source says of a command: how it is called, and its docstring."""

    name: str
    signature: str
    docstring: str


@cache
def methods() -> dict[str, Method]:
    """The method of each command by the command's name."""
    found: dict[str, Method] = {}
    for folder in SOURCES:
        for path in sorted((ROOT / folder).glob("*.py")):
            module = importlib.import_module(f"{folder.replace('/', '.')}.{path.stem}")
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.FunctionDef):
                    names = _declared_on(node)
                    found |= {name: _method(node, module) for name in names}
    return found


def _declared_on(node: ast.FunctionDef) -> list[str]:
    names = []
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "command":
            (spec,) = decorator.args
            # of a sum of parts the first one has the name
            while isinstance(spec, ast.BinOp):
                spec = spec.left
            names.append(" ".join(name_of(str(ast.literal_eval(spec)))).strip())
    return names


def _method(node: ast.FunctionDef, module: ModuleType) -> Method:
    parameters = _parameters(node.args, module)
    returns = "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
    signature = f"cache.{node.name}({', '.join(parameters)}){returns}"
    if len(signature) > WIDTH:
        lines = "".join(f"    {parameter},\n" for parameter in parameters)
        signature = f"cache.{node.name}(\n{lines}){returns}"
    return Method(node.name, signature, inspect.cleandoc(ast.get_docstring(node) or ""))


def _parameters(arguments: ast.arguments, module: ModuleType) -> list[str]:
    """The parameters after the first, as a signature spells them."""
    required = len(arguments.args) - len(arguments.defaults)
    defaults = [None] * required + [*arguments.defaults]
    found = [_parameter(*pair, module) for pair in zip(arguments.args, defaults, strict=True)]
    if arguments.vararg is not None:
        found.append("*" + _parameter(arguments.vararg, None, module))
    elif arguments.kwonlyargs:
        found.append("*")
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return found[1:] + [_parameter(*pair, module) for pair in pairs]


def _parameter(node: ast.arg, default: ast.expr | None, module: ModuleType) -> str:
    text = node.arg
    if node.annotation is not None:
        text += f": {ast.unparse(node.annotation)}"
    if default is None:
        return text
    # a name of the module says less than what it stands for
    value = getattr(module, default.id) if isinstance(default, ast.Name) else None
    return f"{text} = {ast.unparse(default) if value is None else repr(value)}"


# -- a section


def section(declaration: Declaration, method: Method, example: Example | None) -> str:
    """What a page says of one command."""
    parts = [
        f"## {declaration.name}",
        declaration.summary,
        _fenced("text", _wrapped(_syntax(declaration))),
        _facts(declaration),
        _arguments(declaration),
    ]
    if declaration.method:
        parts.append(_fenced("python", method.signature))
    parts.append(_prose(method.docstring))
    parts.append(MISSING if example is None else _example(declaration, example))
    parts.append(_differences(declaration))
    return "\n\n".join(part for part in parts if part)


def _syntax(declaration: Declaration) -> str:
    """The notation without its kinds, as Redis' documentation shows it."""
    # the name of a choice is for Python only
    without_names = re.sub(r"\b[a-z][a-z-]*:(?=<)", "", declaration.spec)
    return re.sub(r"\b([a-z][a-z0-9-]*):[a-z_-]+", r"\1", without_names)


def _wrapped(text: str) -> str:
    return "\n".join(
        textwrap.wrap(
            text,
            WIDTH,
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _facts(declaration: Declaration) -> str:
    rows = [
        ("Complexity", declaration.complexity),
        ("Since", declaration.since),
        ("Deprecated", _deprecated(declaration)),
        ("Flags", ", ".join(flags_of(declaration))),
        ("Categories", ", ".join(categories_of(declaration))),
    ]
    if declaration.connection:
        rows.append(("Protocols", "RESP only: it belongs to a connection"))
    elif not declaration.method:
        rows.append(("Protocols", "RESP, HTTP and `execute`: no method of `Cache`"))
    return _table(["", ""], [[name, text] for name, text in rows if text])


def _deprecated(declaration: Declaration) -> str:
    if not declaration.deprecated:
        return ""
    return f"in Redis, since {declaration.deprecated}, for {declaration.instead}"


def _arguments(declaration: Declaration) -> str:
    rows: list[list[str]] = []
    _collect(declaration.notation.arguments, False, "", rows)
    return _table(["Argument", "Kind", ""], rows) if rows else ""


def _collect(
    nodes: list[Argument], is_optional: bool, token: str, rows: list[list[str]]
) -> None:
    for node in nodes:
        optional = is_optional or node.optional
        marks = ["optional"] * optional + ["one or more"] * node.multiple
        argv = " ".join(arg for arg in (token, node.token) if arg)
        if node.kind is not None:
            link = f"[{node.kind.name}](index.md#kinds-of-arguments)"
            rows.append([f"`{f'{argv} {node.name}'.strip()}`", link, ", ".join(marks)])
        elif node.shape == TOKEN:
            rows.append([f"`{argv}`", "word", ", ".join(marks)])
        else:
            _collect(node.children, optional, argv, rows)


def _prose(docstring: str) -> str:
    """A docstring in Google's style as Markdown."""
    lines: list[str] = []
    for line in docstring.splitlines():
        head = line.rstrip(":")
        if line in ("Args:", "Returns:", "Raises:", "Attributes:"):
            lines += ["", f"*{head}:*", ""]
        elif line == "Examples:":
            break
        elif line.startswith("        "):
            lines[-1] += " " + line.strip()
        elif line.startswith("    "):
            name, colon, text = line.strip().partition(": ")
            is_named = colon and " " not in name.replace(", ", "")
            item = f"`{name}`: {text}" if is_named else line.strip()
            if lines and lines[-1].startswith("- ") and not is_named:
                lines[-1] += " " + item
            else:
                lines.append(f"- {item}")
        else:
            lines.append(line)
    return "\n".join(lines).strip().replace("\n\n\n", "\n\n")


def _example(declaration: Declaration, example: Example) -> str:
    parts = []
    if example.python:
        rows = [(line.text, value) for line, value in run_python(example)]
        width = max(len(text) for text, value in rows if value or len(rows) == 1)
        width = min(width, WIDEST_CODE)
        lines = [f"{text:<{width}}  # {value}" if value else text for text, value in rows]
        parts.append(_fenced("python", "\n".join(lines)))
    answers = run_client(example)
    lines = []
    for answer in answers:
        lines.append(f"> {answer.line.text}")
        if answer.line.mark == VARIES:
            lines.append("...")
        elif answer.resp2:
            lines.append(for_people(answer.reply))
    parts.append(_fenced("text", "\n".join(lines)))
    own = [answer for answer in answers if _is_of(declaration, answer)]
    if own:
        parts.append(_endpoints(own[-1]))
    return "\n\n".join(parts)


def _is_of(declaration: Declaration, answer: Answer) -> bool:
    argv: list[object] = list(answer.line.argv)
    is_shown = answer.line.mark != VARIES and answer.resp2
    return bool(is_shown) and REGISTRY.resolve(argv).declaration is declaration


def _endpoints(answer: Answer) -> str:
    """The same reply at every endpoint."""
    rows = []
    if answer.value is not None:
        rows += [["`execute` in Python", _code(answer.value)]]
    rows += [["RESP2", _code(_one_line(answer.resp2))]]
    rows += [["RESP3", _code(_one_line(answer.resp3))]]
    if answer.value is not None:
        rows += [["HTTP", _code(json.dumps(answer.json, ensure_ascii=False))]]
    return _table([f"Reply to {_code(answer.line.text)}", ""], rows)


def _one_line(raw: bytes) -> str:
    line = raw.removesuffix(b"\r\n").replace(b"\r\n", b" ")
    text = line.decode("utf-8", "backslashreplace")
    # a control character would make a page that no tool takes for text
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)


def _code(text: str) -> str:
    if len(text) > LONGEST_CELL:
        text = text[: LONGEST_CELL - 4] + " ..."
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}".replace("|", "\\|").replace("\n", " ")


def _differences(declaration: Declaration) -> str:
    if declaration.own:
        return "Redis has no such command."
    rows = [each.cells() for each in DIFFERENCES if declaration.container in each.commands]
    if not rows:
        return ""
    head = ["Beside", "They answer", "CacheStorm answers", "Why"]
    return "Where it [differs](../differences.md) on purpose:\n\n" + _table(head, rows)


# -- pages


def pages() -> dict[str, str]:
    """The text of each page by its file's name."""
    known = methods()
    shown = examples()
    groups: dict[str, list[Declaration]] = {}
    for declaration in REGISTRY:
        groups.setdefault(declaration.group, []).append(declaration)
    found = {"index.md": _index(groups)}
    for group, declarations in groups.items():
        ordered = sorted(declarations, key=lambda each: each.name)
        sections = [section(each, known[each.name], shown.get(each.name)) for each in ordered]
        head = f"{WRITTEN}\n\n# {title_of(group)}"
        found[f"{group}.md"] = "\n\n".join([head, *sections]) + "\n"
    return found


def title_of(group: str) -> str:
    """What a group is called in the index."""
    return TITLES.get(group, group.replace("-", " ").capitalize())


def ordered_groups(groups: dict[str, list[Declaration]]) -> list[str]:
    """The groups in the order of TITLES, those that are not there behind."""
    known = [group for group in TITLES if group in groups]
    return known + sorted(set(groups) - set(known))


def navigation() -> str:
    """What `mkdocs.yml` is to hold: what it holds, with the pages of the commands in it."""
    present = NAVIGATION.read_text("utf-8")
    groups: dict[str, list[Declaration]] = {}
    for declaration in REGISTRY:
        groups.setdefault(declaration.group, []).append(declaration)
    rows = ["      - All of them: commands/index.md"]
    rows += [
        f"      - {title_of(group)}: commands/{group}.md" for group in ordered_groups(groups)
    ]
    head, heading, rest = present.partition("  - Reference (commands):\n")
    behind = rest[rest.index("\n  - ") :]
    return head + heading + "\n".join(rows) + behind


def _index(groups: dict[str, list[Declaration]]) -> str:
    count = sum(len(declarations) for declarations in groups.values())
    parts = [
        f"{WRITTEN}\n\n# Commands",
        f"{count} commands. Each is a command of the server, and most are a method of `Cache`, "
        "declared once; the sections behind the links say how it is called and what it "
        "answers. Over HTTP, arguments go by position or by the names that the tables give.",
    ]
    for group in ordered_groups(groups):
        rows = [
            [f"[{each.name}]({group}.md#{_anchor(each.name)})", each.summary]
            for each in sorted(groups[group], key=lambda each: each.name)
        ]
        parts += [f"## {title_of(group)}", _table(["Command", ""], rows)]
    parts += ["## Kinds of arguments", _table(["Kind", "What it is"], _kinds())]
    return "\n\n".join(parts) + "\n"


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _kinds() -> list[list[str]]:
    tree = ast.parse(Path(_source_of(kinds_module.__file__)).read_text("utf-8"))
    argv = {
        node.name: (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    argv["Kind"] = "Any value; over the wire its bytes."
    return [[f"`{name}`", _kind(kind, argv)] for name, kind in sorted(KINDS.items())]


def _kind(kind: Kind, argv: dict[str, str]) -> str:
    text = argv[type(kind).__name__]
    if isinstance(kind, Ttl):
        text = f"{'A deadline, in' if kind.absolute else 'A time to live in'} {kind.name}."
    if isinstance(kind, Integer):
        text = text.replace(", within a range if the kind has one", "")
        if kind.least > -(2**31) and kind.most >= 2**63 - 1:
            text = text.rstrip(".") + f", at least {kind.least}."
        elif kind.most < 2**31:
            text = text.rstrip(".") + f", {kind.least} to {kind.most}."
    return text


def _source_of(path: str | None) -> str:
    """The source of a module, beside which it may be compiled."""
    assert path is not None
    folder, name = Path(path).parent, Path(path).name.partition(".")[0]
    return str(folder / f"{name}.py")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _fenced(kind: str, text: str) -> str:
    return f"```{kind}\n{text}\n```"


def write() -> None:
    """Writes all pages, and takes away those that are of no group any more.

    And the table in `docs/differences.md`, which is drawn from the same list, that in
    `docs/compatibility.md`, and what leads to the pages in `mkdocs.yml`.
    """
    FOLDER.mkdir(exist_ok=True)
    texts = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, "utf-8")
    NAVIGATION.write_text(navigation(), "utf-8")
    text = DIFFERENCES_PAGE.read_text("utf-8")
    head, _, rest = text.partition("| Command |")
    DIFFERENCES_PAGE.write_text(head + as_table() + rest[rest.rindex("|") + 1 :], "utf-8")
    head = COMPATIBILITY_PAGE.read_text("utf-8").partition(WRITTEN)[0]
    table = compatibility.as_table(compatibility.NEWER)
    COMPATIBILITY_PAGE.write_text(f"{head}{WRITTEN}\n\n{table}\n", "utf-8")


if __name__ == "__main__":
    write()
