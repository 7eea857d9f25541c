"""Editing a configuration file: values are exchanged in its text, all else stays as it was.

Called by CONFIG REWRITE. Text in, text out; YAML says where a value begins and ends. A library
that keeps comments (ruamel.yaml) was tried: it moves them, and indents the file its own way.

1. Comments, order, quotes and blank lines of what is not changed stay, to the byte.
2. What is new goes to the end of its section; a section that is new to the end of the file.
3. The result is read again, and says what was wanted, or nothing is given back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import yaml

from cachestorm.errors import ConfigError
from cachestorm_server.config_file import read_yaml

_STEP: Final = "  "
Dotted = tuple[str, ...]


def edited(text: str, changes: Mapping[Dotted, object], spelled: Mapping[Dotted, str]) -> str:
    r"""The text of a file with other values.

    Args:
        changes: the values, as they are read.
        spelled: the same as YAML, on one line each.

    Raises:
        ConfigError: if the file is written in a way that cannot be edited.

    Examples:
        >>> edited("a:  # one\n  b: 1  # two\n", {("a", "b"): 2}, {("a", "b"): "2"})
        'a:  # one\n  b: 2  # two\n'
    """
    wanted = {**_values(text), **changes}
    for path, value in spelled.items():
        text = _with(text, path, value)
    found = _values(text)
    wrong = [".".join(path) for path in {**wanted, **found} if _differ(path, wanted, found)]
    if wrong:
        raise ConfigError(f"the file cannot be edited without a change of {', '.join(wrong)}")
    return text


def _values(text: str) -> dict[Dotted, object]:
    """What is read of a file; nothing of null and {}: sections without settings."""
    written, problems = read_yaml(text)
    if problems:
        raise ConfigError(f"the file cannot be edited: {problems[0].text}")
    return {each.path: each.value for each in written if each.value not in (None, {})}


def _differ(path: Dotted, one: Mapping[Dotted, object], other: Mapping[Dotted, object]) -> bool:
    return path not in one or path not in other or one[path] != other[path]


def _with(text: str, path: Dotted, value: str) -> str:
    """The text with one value."""
    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or not root.value:
        return _ended(text) + _nested(path, value, "")
    node, depth = root, 0
    while True:
        found = [child for key, child in node.value if key.value == path[depth]]
        if not found:
            return _added(text, node, path[depth:], value)
        child = found[0]
        depth += 1
        if depth == len(path):
            return _replaced(text, child, value)
        if not isinstance(child, yaml.MappingNode) or (
            not child.value and not child.flow_style
        ):
            key = next(key for key, one in node.value if one is child)
            return _begun(text, node, key, child, path[depth:], value)
        node = child


def _replaced(text: str, node: yaml.Node, value: str) -> str:
    begin, end = node.start_mark.index, node.end_mark.index
    if begin == end:
        # `key:` and nothing behind it
        return f"{text[:begin]} {value}{text[end:]}"
    ending = "\n" if text[begin:end].endswith("\n") else ""
    return f"{text[:begin]}{value}{ending}{text[end:]}"


def _added(text: str, node: yaml.MappingNode, path: Dotted, value: str) -> str:
    """With a new key at the end of a section."""
    if node.flow_style:
        at = node.end_mark.index - 1
        before = text[:at].rstrip() if node.value else text[:at]
        comma = "" if not node.value else " " if before.endswith(",") else ", "
        return f"{before}{comma}{_flow(path, value)}{text[at:]}"
    last = node.value[-1][1]
    key = node.value[0][0]
    # behind the comment of the last value, before the comments of what follows
    at = _line_end(text, max(last.end_mark.index - 1, node.value[-1][0].end_mark.index))
    indent = " " * key.start_mark.column
    return f"{_ended(text[:at])}{_nested(path, value, indent)}{text[at:]}"


def _begun(
    text: str,
    parent: yaml.MappingNode,
    key: yaml.Node,
    child: yaml.Node,
    path: Dotted,
    value: str,
) -> str:
    """With a key in a section that has none yet: null, or nothing but comments."""
    begin, end = child.start_mark.index, child.end_mark.index
    if parent.flow_style or begin != end:
        return f"{text[:begin]}{{{_flow(path, value)}}}{text[end:]}"
    at = _line_end(text, key.end_mark.index)
    indent = " " * key.start_mark.column + _STEP
    return f"{_ended(text[:at])}{_nested(path, value, indent)}{text[at:]}"


def _flow(path: Dotted, value: str) -> str:
    closing = "}" * (len(path) - 1)
    return "{".join(f"{name}: " for name in path) + value + closing


def _nested(path: Dotted, value: str, indent: str) -> str:
    lines = [f"{indent}{_STEP * depth}{name}:" for depth, name in enumerate(path)]
    return "\n".join(lines) + f" {value}\n"


def _line_end(text: str, at: int) -> int:
    """The beginning of the next line."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
