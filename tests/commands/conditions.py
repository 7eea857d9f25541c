"""When a difference holds: what a row asks for beyond the commands and the replies.

Each takes the words of the call and both replies, theirs and ours; its docstring is what it
asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from comparison import Reply

CUT_WORD: Final = re.compile(rb"[^\0-\x1f]+\0.{0,2}", re.DOTALL)

Condition = Callable[[list[bytes], Reply, Reply], bool]


def always(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """Nothing beyond commands and replies."""
    return True


def is_more(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """Whether theirs is the higher number."""
    assert isinstance(theirs.value, bytes) and isinstance(ours.value, bytes)
    return int(theirs.value) > int(ours.value)


def has_nul(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """A NUL byte is among the words or in the replies; or an option hides the elements."""
    if any(b"\0" in arg or arg.upper() in (b"GET", b"LIMIT", b"STORE") for arg in argv):
        return True
    return any("\\x00" in repr(reply) or "\0" in reply.text for reply in (theirs, ours))


def has_repeated_option(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """An option is said twice, or two of a choice are."""
    known = (b"BYSCORE", b"BYLEX", b"REV", b"BYTE", b"BIT", b"DB")
    options = [arg.upper() for arg in argv if arg.upper() in known]
    if argv[0].upper() in (b"BITCOUNT", b"BITPOS"):
        return len(options) > 1
    return len(options) > len(set(options))


def has_word(wanted: bytes) -> Condition:
    """A word is among the others, in any case."""

    def condition(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
        return wanted in [arg.upper() for arg in argv[1:]]

    # which subcommand a row is about, for the page of compatibility
    condition.word = wanted.decode()
    return condition


def has_cut_word(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """A word is cut short by a NUL byte near its end, or begins with one behind the key.

    Payloads have control characters before their first one, or many bytes behind it.
    """
    is_cut = any(CUT_WORD.fullmatch(arg) for arg in argv[1:])
    return is_cut or any(arg.startswith(b"\0") and len(arg) <= 3 for arg in argv[2:])


def has_blank_number(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """A number begins with a blank."""
    return any(arg.removeprefix(b"(").startswith(b" ") for arg in argv[2:])


def has_hexadecimal(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """A number begins with 0x."""
    return any(b"0x" in arg.lower() for arg in argv[2:])


def has_wide_exponent(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """A number is too great or too small for a double."""
    return any(b"e400" in arg or b"e-400" in arg for arg in argv)


def has_negative_offset(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """LIMIT begins before the first element."""
    options = [arg.upper() for arg in argv]
    after = options.index(b"LIMIT") + 1 if b"LIMIT" in options else len(argv)
    return after < len(argv) and argv[after].startswith(b"-")


def has_many_digits(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """They answer a number of more digits than a double is written with, we the nearest double.

    Both write at most 17 decimals and no exponent.
    """
    one, other = theirs.text[1:], ours.text[1:]
    if not all(re.fullmatch(r"-?\d+(\.\d{1,17})?", text) for text in (one, other)):
        return False
    is_near = abs(float(one) - float(other)) <= max(abs(float(one)) * 1e-15, 1e-17)
    return is_near and len(_digits(one)) > 15


def has_signed_zero(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """Nothing but the sign of a zero differs."""
    return _is_respelled(lambda one, other: {one, other} == {"0", "-0"}, theirs, ours)


def has_seventeen_digits(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """Theirs writes a double as C does by `%.17g`."""
    return _is_respelled(
        lambda one, other: float(one) == float(other) and one == f"{float(other):.17g}",
        theirs,
        ours,
    )


def has_other_last_digits(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """Both write the same double, theirs with sixteen digits or more."""
    return _is_respelled(
        lambda one, other: float(one) == float(other) and len(_digits(one)) >= 16, theirs, ours
    )


def has_same_scores(theirs: Reply, ours: Reply) -> bool:
    """Whether two replies differ by no more than how servers write the same doubles."""
    ways = (has_signed_zero, has_seventeen_digits, has_other_last_digits)
    return any(way([], theirs, ours) for way in ways)


def _digits(text: str) -> str:
    """The digits that count: no exponent, no zeros before or behind."""
    return text.partition("e")[0].lstrip("-").replace(".", "").strip("0")


def _is_respelled(is_same: Callable[[str, str], bool], theirs: Reply, ours: Reply) -> bool:
    if isinstance(theirs.value, list) and isinstance(ours.value, list):
        return len(theirs.value) == len(ours.value) and all(
            one == other or _is_respelled(is_same, one, other)
            for one, other in zip(theirs.value, ours.value, strict=True)
        )
    try:
        return theirs.mark == ours.mark and is_same(theirs.text[1:], ours.text[1:])
    except ValueError:
        return False


def has_key_fields(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """The key is FIELDS."""
    return argv[1].upper() == b"FIELDS"


def finds_nothing(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """Theirs is empty, zero, or the end of a scan."""
    return theirs.value in ([], b"0", [Reply("$", b"0"), Reply("*", [])])


def has_ties(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """As many members, some of which are as far away."""
    assert isinstance(theirs.value, list) and isinstance(ours.value, list)
    return b"COUNT" in argv and len(theirs.value) == len(ours.value)


def is_reordered(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """Elements of what has no order in another one; with LIMIT, others of them."""
    options = [arg.upper() for arg in argv]
    if b"BY" not in options or not isinstance(theirs.value, list):
        return False
    assert isinstance(ours.value, list)
    if b"LIMIT" in options:
        return len(theirs.value) == len(ours.value)
    return sorted(theirs.value, key=repr) == sorted(ours.value, key=repr)
