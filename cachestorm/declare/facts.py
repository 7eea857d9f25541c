"""Facts: what a notation implies about a command, in the shapes Redis tells them.

Asked by plans (arity) and by COMMAND INFO, COMMAND DOCS, ACL and cluster (all the rest).
Pure functions of a declaration; the results are wire values.

1. Key positions are (first, last, step) as far as positions are fixed. A key behind a token or
   a number makes the command `movablekeys`, and only the plan's `keys` finds it.
2. Flags of key specs are the kinds of the keys in the notation.
3. A pattern that names keys is a key spec as well, which says only that there are some; what
   comes after it might be in it, so that it is not found by its token.

Source: https://redis.io/docs/latest/develop/reference/key-specs/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from cachestorm.declare.declaration import DECLARATIONS, STRAY_IS_NOTHING, Declaration
from cachestorm.declare.kinds import KEYS, Key, Tally
from cachestorm.declare.notation import BLOCK, ONEOF, Argument, key_nodes
from cachestorm.declare.wire_values import Members, Status

_DEEP: Final = "    "
_ENDLESS: Final = -1
# ACL categories that are not simply the group's name.
_CATEGORIES: Final = {
    "cluster": [],
    "generic": ["@keyspace"],
    "sorted-set": ["@sortedset"],
    "transactions": ["@transaction"],
    "server": [],
    "pubsub": [],
}
# A command that names one in its flags is of these, and not of its group's category (SORT).
_TYPES: Final = ("@list", "@set", "@sortedset", "@connection")
_OF_PATTERN: Final = (
    "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from "
    "the content of the key we sort"
)
_AFTER_PATTERN: Final = (
    "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear "
    "anywhere in the argument array"
)
_UNKNOWN: Final = "unknown"


def arity_of(declaration: Declaration) -> int:
    """How many words the command has with its name; negative: at least so many."""
    nodes = declaration.notation.arguments
    least = sum([_least(node) for node in nodes]) + _name_size(declaration)
    is_open = declaration.stray == STRAY_IS_NOTHING or any([_varies(node) for node in nodes])
    return -least if is_open else least


def most_argv_of(declaration: Declaration) -> int:
    """How many words the command may have with its name; 0: any number."""
    most = _name_size(declaration)
    for node in declaration.notation.arguments:
        size = _most(node)
        if size == _ENDLESS:
            return 0
        most += size
    return most


def key_range_of(declaration: Declaration) -> tuple[int, int, int]:
    """First and last position of the keys and the step between; zeros when none is fixed.

    A negative last position counts from the end.
    """
    found = (0, 0, 0)
    at = _name_size(declaration)
    nodes = declaration.notation.arguments
    for index, node in enumerate(nodes):
        keys = [i for i, part in enumerate(_parts(node)) if isinstance(part.kind, Key)]
        if _varies(node):
            after = nodes[index + 1 :]
            is_counted = index > 0 and isinstance(nodes[index - 1].kind, Tally)
            is_fixed = node.multiple and not node.token and not is_counted
            if keys and is_fixed and not any([_varies(other) for other in after]):
                last = -1 - sum([_least(n) for n in after])
                return found[0] or at + keys[0], last, len(_parts(node))
            break
        if keys and not node.token:
            found = (found[0] or at + keys[0], at + keys[-1], 1)
        at += _least(node)
    return found


def flags_of(declaration: Declaration) -> list[str]:
    """The flags of COMMAND INFO."""
    flags: list[str] = []
    if declaration.writes:
        flags.append("write")
    elif not declaration.connection and not _reads_no_data(declaration):
        flags.append("readonly")
    if declaration.grows:
        flags.append("denyoom")
    flags.extend([arg for arg in declaration.flags.split() if not arg.startswith("@")])
    if declaration.fast:
        flags.append("fast")
    if _has_movable_keys(declaration):
        flags.append("movablekeys")
    return flags


def _reads_no_data(declaration: Declaration) -> bool:
    """Whether it may be asked of stale data, or says that it is nothing but slow."""
    argv = declaration.flags.split()
    return "stale" in argv or "@slow" in argv


def categories_of(declaration: Declaration) -> list[str]:
    """The ACL categories."""
    flags = flags_of(declaration)
    found: list[str] = []
    if "write" in flags:
        found.append("@write")
    elif "readonly" in flags and declaration.group != "scripting":
        # whoever may read may not run scripts for that
        found.append("@read")
    named = [arg for arg in declaration.flags.split() if arg in _TYPES]
    if not named:
        found.extend(_CATEGORIES.get(declaration.group, ["@" + declaration.group]))
    found.append("@fast" if declaration.fast else "@slow")
    if "admin" in flags:
        found.extend(["@admin", "@dangerous"])
    for flag in ("blocking", "pubsub"):
        if flag in flags:
            found.append("@" + flag)
    for arg in declaration.flags.split():
        if arg.startswith("@") and arg not in found:
            found.append(arg)
    return found


def docs_of(declaration: Declaration) -> dict[str, object]:
    """A command's entry in COMMAND DOCS."""
    docs: dict[str, object] = {
        "summary": declaration.summary,
        "since": declaration.since,
        "group": declaration.group,
        "complexity": declaration.complexity,
    }
    if declaration.deprecated:
        docs["doc_flags"] = Members([Status("deprecated")])
        docs["deprecated_since"] = declaration.deprecated
        docs["replaced_by"] = declaration.instead
    arguments = declaration.notation.arguments
    if arguments:
        described = _described(arguments)
        docs["arguments"] = [_docs_of_argument(node, described) for node in arguments]
    return docs


def help_of(container: str) -> list[str]:
    """The lines that HELP prints of a container's subcommands."""
    import re
    from textwrap import wrap

    lines = [f"{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for declaration in (DECLARATIONS.subcommands(container) or {}).values():
        # what a choice is called says less than what there is to choose from
        spec = re.sub(r"[a-z-]+:(?=<)", "", declaration.spec.removeprefix(container + " "))
        lines.append(re.sub(r"([a-z][a-z0-9-]*)(:[a-z_-]+)?", r"<\1>", spec))
        lines.extend(
            wrap(declaration.summary, 80, initial_indent=_DEEP, subsequent_indent=_DEEP)
        )
    return lines


def info_of(declaration: Declaration) -> list[object]:
    """A command's entry in COMMAND INFO, with no subcommands."""
    first, last, step = key_range_of(declaration)
    flags: list[object] = [Status(flag) for flag in flags_of(declaration)]
    categories: list[object] = [Status(name) for name in categories_of(declaration)]
    tips: list[object] = list(declaration.tips.split())
    return [
        declaration.full_name,
        arity_of(declaration),
        Members(flags),
        first,
        last,
        step,
        Members(categories),
        Members(tips),
        Members(_key_specs_of(declaration)),
        [],
    ]


def info_of_container(name: str) -> list[object]:
    """The entry in COMMAND INFO of a name that is nothing without a subcommand, with none."""
    nothing = Members([])
    return [name, -2, nothing, 0, 0, 0, Members([Status("@slow")]), nothing, nothing, []]


def _name_size(declaration: Declaration) -> int:
    return 2 if declaration.subcommand else 1


def _parts(node: Argument) -> list[Argument]:
    return node.children if node.shape == BLOCK else [node]


def _least(node: Argument) -> int:
    return _size(node) if node.is_needed else 0


def _size(node: Argument) -> int:
    """The least words of an argument that is there."""
    size = 1 if node.token else 0
    if node.kind is not None:
        return size + 1
    if node.shape == BLOCK:
        return size + sum([_least(child) for child in node.children])
    if node.shape == ONEOF:
        return size + min([_size(child) for child in node.children])
    return size


def _most(node: Argument) -> int:
    """The most words of an argument; _ENDLESS if it may be repeated."""
    if node.multiple:
        return _ENDLESS
    sizes = [_most(child) for child in node.children]
    if _ENDLESS in sizes:
        return _ENDLESS
    size = 1 if node.token else 0
    if node.kind is not None:
        return size + 1
    return size + (max(sizes) if node.shape == ONEOF else sum(sizes))


def _varies(node: Argument) -> bool:
    """Whether an argument may have more than one size."""
    if not node.is_needed or node.multiple or any([_varies(child) for child in node.children]):
        return True
    return node.shape == ONEOF and any(
        [_least(child) != _least(node.children[0]) for child in node.children]
    )


def _fixed_keys(declaration: Declaration) -> int:
    """How many key arguments `key_range_of` covers: the leading ones."""
    if not key_range_of(declaration)[0]:
        return 0
    count = 0
    is_counted = False
    for node in declaration.notation.arguments:
        keys = key_nodes([node])
        is_single = node.optional and not node.multiple
        if keys and (is_counted or node.token or is_single or node.shape == ONEOF):
            break
        is_counted = is_counted or isinstance(node.kind, Tally)
        count += len(keys)
    return count


def _has_movable_keys(declaration: Declaration) -> bool:
    return len(_described(declaration.notation.arguments)) > _fixed_keys(declaration)


def _is_pattern(node: Argument) -> bool:
    """Whether an argument names keys by a pattern."""
    return node.kind is not None and node.kind.names == KEYS


def _described(nodes: list[Argument]) -> list[Argument]:
    """The arguments that have a key spec, in order: keys, and the first of the patterns."""
    found: list[Argument] = []
    for node in nodes:
        if _is_pattern(node) and not any([_is_pattern(other) for other in found]):
            found.append(node)
        found.extend(key_nodes([node]))
    return found


def _docs_of_argument(node: Argument, described: list[Argument]) -> dict[str, object]:
    docs: dict[str, object] = {"name": node.docs_name, "type": node.docs_type}
    if not node.children:
        docs["display_text"] = node.docs_name
    if node in described:
        docs["key_spec_index"] = described.index(node)
    elif _is_pattern(node):
        first = [_is_pattern(other) for other in described].index(True)
        docs["key_spec_index"] = first
    if node.token:
        docs["token"] = node.token.strip('"')
    flags: list[object] = []
    if node.optional:
        flags.append(Status("optional"))
    if node.multiple:
        flags.append(Status("multiple"))
    if node.multiple_token:
        flags.append(Status("multiple_token"))
    if flags:
        docs["flags"] = Members(flags)
    if node.children:
        docs["arguments"] = [_docs_of_argument(child, described) for child in node.children]
    return docs


def _key_specs_of(declaration: Declaration) -> list[object]:
    specs: list[object] = []
    at = _name_size(declaration)
    is_fixed = True
    has_pattern = False
    nodes = declaration.notation.arguments
    for index, node in enumerate(nodes):
        if _is_pattern(node) and not has_pattern:
            has_pattern = True
            specs.append(_unknown_spec(_OF_PATTERN, ("RO", "access")))
        for key in key_nodes([node]):
            if has_pattern:
                specs.append(_unknown_spec(_AFTER_PATTERN, cast(Key, key.kind).flags))
                continue
            access = cast(Key, key.kind)
            begin = _begin_search(node, key, at, is_fixed)
            find = _find_keys(nodes, index, key)
            spec: dict[str, object] = {}
            if declaration.note and not specs:
                spec["notes"] = declaration.note
            spec["flags"] = Members([Status(flag) for flag in access.flags])
            spec["begin_search"] = begin
            spec["find_keys"] = find
            specs.append(spec)
        if isinstance(node.kind, Tally):
            continue
        is_fixed = is_fixed and not _varies(node)
        at += _least(node)
    return specs


def _unknown_spec(note: str, flags: Sequence[str]) -> dict[str, object]:
    """The spec of keys of which nothing is known but how they are accessed."""
    return {
        "notes": note,
        "flags": Members([Status(flag) for flag in flags]),
        "begin_search": {"type": _UNKNOWN, "spec": {}},
        "find_keys": {"type": _UNKNOWN, "spec": {}},
    }


def _begin_search(node: Argument, key: Argument, at: int, is_fixed: bool) -> dict[str, object]:
    token = key.token or node.token
    if token:
        return {"type": "keyword", "spec": {"keyword": token, "startfrom": at}}
    if not is_fixed:
        return {"type": _UNKNOWN, "spec": {}}
    offset = _parts(node).index(key) if key in _parts(node) else 0
    return {"type": "index", "spec": {"index": at + offset}}


def _find_keys(nodes: list[Argument], index: int, key: Argument) -> dict[str, object]:
    node = nodes[index]
    many = node if node.multiple else key
    if index and isinstance(nodes[index - 1].kind, Tally):
        step = len(_parts(many))
        return {"type": "keynum", "spec": {"keynumidx": 0, "firstkey": 1, "keystep": step}}
    if not many.multiple:
        return {"type": "range", "spec": {"lastkey": 0, "keystep": 1, "limit": 0}}
    siblings = node.children if node.token else []
    limit = len([child for child in siblings if child.multiple])
    last = -1 - sum([_least(after) for after in nodes[index + 1 :]])
    step = len(_parts(many))
    return {
        "type": "range",
        "spec": {"lastkey": last, "keystep": step, "limit": limit if limit > 1 else 0},
    }
