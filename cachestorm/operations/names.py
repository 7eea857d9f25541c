"""Names: keys, fields, members and tags, from what a user gives to the `str` that is kept.

Called by the commands before they take the latch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, cast

from cachestorm.codec import bytes_of, checked_text, digits_of, is_ascii, plain_float
from cachestorm.errors import CommandSyntaxError, TagError

LONGEST_TAG_BYTES: Final = 1024


# So many names are compared with each other sooner than they are hashed.
_FEW: Final = 4


def exact_key(key: object) -> str:
    """A key as an exact `str`.

    Raises:
        TypeError: for anything that is not a `str`.
    """
    if type(key) is str and is_ascii(key):
        return key
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    return checked_text(key)


def exact_namespace(name: str) -> str:
    """The name of a namespace as an exact `str`, without the class that it may have."""
    return name if type(name) is str or not isinstance(name, str) else str.__str__(name)


def exact_int(number: int) -> int:
    """A number as an exact `int`: no method of a class of a user's runs when it is used.

    Raises:
        TypeError: for what is no `int`.
    """
    if type(number) is int:
        return number
    if not isinstance(number, int):
        raise TypeError(f"an int is needed here, not {number!r}")
    return int.__int__(number)


def exact_count(number: int | None) -> int | None:
    """The same, where there may be none."""
    return None if number is None else exact_int(number)


def name_of(name: object) -> str:
    """A field or member as the exact `str` that stands for it.

    Args:
        name: a `str` or `bytes`, or a number, which is spelled as on the wire: 1 is "1".

    Raises:
        InvalidKeyError: for a `str` that has no bytes.
        CodecError: for an `int` of more digits than Python writes.
        TypeError: for anything else.
    """
    if type(name) is str and is_ascii(name):
        return name
    if isinstance(name, int) and not isinstance(name, bool):
        return digits_of(int(name))
    if isinstance(name, float):
        return plain_float(name).decode("ascii")
    return checked_text(name)


def names_of(names: Iterable[object]) -> list[str]:
    """Fields or members; one that is itself a list, tuple or set stands for its items."""
    if type(names) is tuple and len(names) == 1 and type(names[0]) is str:
        # most calls
        return [name_of(names[0])]
    found: list[str] = []
    for name in names:
        if type(name) is str or type(name) is bytes:
            found.append(name_of(name))
        elif isinstance(name, (list, tuple, set, frozenset)):
            for inner in name:
                found.append(name_of(inner))
        else:
            found.append(name_of(name))
    return found


def word_of(word: object, choices: tuple[str, ...], what: str) -> str:
    """One of some words, which may be given in any case.

    Raises:
        CommandSyntaxError: for another one.
        TypeError: for anything that is not a `str`.
    """
    if not isinstance(word, str):
        raise TypeError(f"{what} is a str, not {word!r}")
    upper = word.upper()
    if upper not in choices:
        raise CommandSyntaxError(f"{what} is {' or '.join(choices)}, not {word!r}")
    return upper


def many(given: Iterable[object] | None, what: str) -> Iterable[object]:
    """What is given where many belong.

    Raises:
        TypeError: for a lone `str`, which would be taken for its letters; for None, and what
            is no iterable.
    """
    if type(given) is tuple or type(given) is list:
        return given
    if given is None:
        raise TypeError(f"{what} is an iterable, which may be empty, not None")
    if isinstance(given, (str, bytes)):
        raise TypeError(f"{what} is an iterable: write [{given!r}], not {given!r}")
    if not hasattr(given, "__iter__"):
        raise TypeError(f"{what} is an iterable, not {given!r}")
    return given


def keys_of(keys: Iterable[object]) -> list[str]:
    """Keys; one that is itself a list, tuple or set stands for its items.

    Raises:
        TypeError: for a lone `str`, which would be taken for its letters.
    """
    found: list[str] = []
    for key in many(keys, "keys"):
        if type(key) is not str and isinstance(key, (list, tuple, set, frozenset)):
            for inner in key:
                found.append(exact_key(inner))
        else:
            found.append(exact_key(key))
    return found


def key_values(mapping: object) -> list[tuple[str, object]]:
    """As `named_pairs`, with keys that are exact."""
    return [(exact_key(key), value) for key, value in named_pairs(mapping)]


def named_pairs(mapping: object) -> list[tuple[object, object]]:
    """The pairs of a mapping, or of pairs of key and value.

    Raises:
        TypeError: for what is neither; a `str` of two letters is not a pair.
    """
    if type(mapping) is list and _are_pairs(mapping):
        # as a client's arguments come: they are not copied
        return mapping
    pairs = mapping
    if type(mapping) is dict or isinstance(mapping, Mapping):
        pairs = mapping.items()
    elif isinstance(mapping, (str, bytes)) or not hasattr(mapping, "__iter__"):
        raise TypeError(f"what is set is a mapping, or pairs of key and value, not {mapping!r}")
    found: list[tuple[object, object]] = []
    for pair in cast("Iterable[object]", pairs):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"a pair is a key and a value, not {pair!r}")
        found.append((pair[0], pair[1]))
    return found


def _are_pairs(rows: list[object]) -> bool:
    for row in rows:
        if type(row) is not tuple or len(row) != 2:
            return False
    return True


def pairs_of(pairs: object) -> list[tuple[object, object]]:
    """The pairs of a mapping, or of an iterable of pairs, as a list.

    Raises:
        TypeError: for what is neither.
    """
    if type(pairs) is list and _are_pairs(pairs):
        # as a client's arguments come: they are not copied
        return pairs
    if type(pairs) is dict or isinstance(pairs, Mapping):
        return list(pairs.items())
    found: list[tuple[object, object]] = []
    for pair in many(cast("Iterable[object]", pairs), "a mapping, or pairs,"):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"a pair has two values, and {pair!r} is none")
        found.append((pair[0], pair[1]))
    return found


def checked_tag(name: object) -> str:
    """A tag as the index keeps it.

    Raises:
        TagError: if it has not 1 to 1024 bytes.
        InvalidKeyError: if it does not survive a round trip through bytes.
    """
    tag = checked_text(name)
    # no character takes more than four bytes
    size = len(tag)
    if size == 0 or (size * 4 > LONGEST_TAG_BYTES and len(bytes_of(tag)) > LONGEST_TAG_BYTES):
        raise TagError("invalid tag name: it has 1 to 1024 bytes of UTF-8")
    return tag


def checked_tags(names: Iterable[object]) -> list[str]:
    """Tags, each a `str` or the bytes of one, without duplicates, first order kept.

    Raises:
        TypeError: for a lone `str`, which would be taken for its letters.
    """
    checked = [checked_tag(name) for name in many(names, "tags")]
    if len(checked) > _FEW:
        return list(dict.fromkeys(checked))
    found: list[str] = []
    for tag in checked:
        if tag not in found:
            found.append(tag)
    return found
