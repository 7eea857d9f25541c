"""The configuration file: YAML text in, values with their paths and lines out.

Called by the configuration; knows no setting. Sections are walked, not constructed: so a
refusal can name the line, and a key that is written twice is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cachestorm.errors import ConfigError

# no setting lies deeper; an alias that contains itself would
DEEPEST: Final = 8


@dataclass(frozen=True, slots=True)
class Written:
    """One value of the file.

    Attributes:
        path: the keys that lead to it: `("server", "port")`.
        value: as YAML reads it.
        line: counted from 1.
    """

    path: tuple[str, ...]
    value: object
    line: int


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line of the file, whatever the settings."""

    text: str
    line: int


def read_yaml(text: str) -> tuple[list[Written], list[Problem]]:
    r"""All values of a YAML document, and what is wrong with its form.

    Raises:
        ConfigError: when PyYAML is not installed.

    Examples:
        >>> values, problems = read_yaml("server:\n  port: 7000\n")
        >>> values
        [Written(path=('server', 'port'), value=7000, line=2)]
    """
    try:
        import yaml
    except ImportError as error:
        raise ConfigError(
            "a configuration file needs PyYAML: pip install 'cachestorm[server]'"
        ) from error

    values: list[Written] = []
    problems: list[Problem] = []

    def walk(node: yaml.Node, path: tuple[str, ...]) -> None:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            values.append(Written(path, loader.construct_object(node, deep=True), line))
            return
        if len(path) == DEEPEST:
            problems.append(Problem(f"{'.'.join(path)}: lies too deep", line))
            return
        if not node.value and path:
            # an empty section says something too: that a plugin is wanted
            values.append(Written(path, {}, line))
        seen = set()
        for key, child in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                problems.append(Problem(f"{'.'.join(path)}: a key is a word", line))
                continue
            inner = (*path, key.value)
            if inner in seen:
                problems.append(Problem(f"{'.'.join(inner)}: is written twice", line))
            seen.add(inner)
            walk(child, inner)

    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if isinstance(root, yaml.MappingNode):
                walk(root, ())
            elif root is not None:
                problems.append(Problem("a file is made of sections: 'server:' and others", 1))
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        reason = error.problem or "no YAML"
        problems.append(Problem(f"no YAML: {reason}", mark.line + 1 if mark else 1))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problems.append(Problem(f"no YAML: {str(error).splitlines()[0]}", 1))
    return values, problems
