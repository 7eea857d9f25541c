"""The notation parser: every form it knows, and how it refuses the others."""

from __future__ import annotations

import pytest

from cachestorm.declare.notation import BLOCK, ONEOF, PARAMETER, TOKEN, Argument, parse
from cachestorm.errors import DeclarationError


def shape(node: Argument) -> object:
    """A node as a readable value: what it is, its token and marks, its children."""
    marks = "?" * node.optional + "+" * node.multiple + "+" * node.multiple_token
    head = f"{node.token} {node.name}".strip() + marks
    return (head, [shape(child) for child in node.children]) if node.children else head


def shapes(spec: str) -> list[object]:
    return [shape(node) for node in parse(spec).arguments]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("GET key", ["key"]),
        ("DEL key [key ...]", ["key+"]),
        ("MSET key value [key value ...]", [("key-block+", ["key", "value"])]),
        ("X key [NX | XX]", ["key", ("condition?", ["NX nx", "XX xx"])]),
        ("X [EX ttl:seconds | PERSIST]", [("expiration?", ["EX ttl", "PERSIST persist"])]),
        ("X [LIMIT offset count]", [("LIMIT limit?", ["offset", "count"])]),
        ("X [COUNT count [ANY]]", [("count-block?", ["COUNT count", "ANY any?"])]),
        ("X [GET pattern [GET pattern ...]]", ["GET pattern?++"]),
        ("X [TAGS tags:tag [tag ...]]", ["TAGS tags?+"]),
        ("X where:<LEFT | RIGHT>", [("where", ["LEFT left", "RIGHT right"])]),
        ("X [AGGREGATE <SUM | MIN>]", [("AGGREGATE aggregate?", ["SUM sum", "MIN min"])]),
        ("X [key [key ...]]", ["key?+"]),
        (
            "X key FIELDS numfields field [field ...]",
            ["key", ("FIELDS fields", ["numfields", "field+"])],
        ),
        ("X id:<a:string | * > [id ...]", [("id+", ["a", "* *"])]),
    ],
)
def test_a_form_of_the_notation_has_this_tree(spec: str, expected: list[object]) -> None:
    assert shapes(spec) == expected


def test_the_second_word_is_a_subcommand_unless_in_brackets() -> None:
    assert parse("OBJECT ENCODING key").subcommand == "ENCODING"
    grouped = parse("XREADGROUP <GROUP group:string consumer:string> STREAMS key")
    assert grouped.subcommand == ""
    assert [node.token for node in grouped.arguments] == ["GROUP", "STREAMS"]


def test_nodes_say_what_they_are() -> None:
    nodes = parse("X key [KEEPTTL] [NX | XX] [LIMIT offset count]").arguments
    assert [node.shape for node in nodes] == [PARAMETER, TOKEN, ONEOF, BLOCK]
    assert [node.docs_type for node in nodes] == ["key", "pure-token", "oneof", "block"]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("SET foo", "no kind is called 'foo' at position 4 of 'SET foo'"),
        ("SET key:foo", "no kind is called 'foo' at position 4"),
        ("SET [key", "a bracket that is never closed at position 4"),
        ("SET <key", "expected '>' at position 8"),
        ("SET key]", "unexpected ']' at position 7"),
        ("SET <key | >", "expected an argument at position 11"),
        ("SET key [tag ...]", "'tag' repeats nothing that stands before it at position 8"),
        ("set key", "a notation begins with a command in upper case"),
        ("", "a notation begins with a command in upper case"),
    ],
)
def test_a_broken_notation_is_refused_with_its_position(spec: str, text: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        parse(spec)
    assert text in str(caught.value)
