"""Needs: what a command may name that a user may be denied, and how to find it fast.

Drawn from declarations, once a command; asked by selectors.

1. Keys whose positions are fixed are looked at where they are. All others, and what is not a
   key, are found by the plan, which reads the call as the command itself does.
2. What is read from positions is the most that a command may do to its keys. Only if that is
   denied, and options could have made it less, does the plan have to look.
"""

from __future__ import annotations

from typing import Final

from cachestorm.declare.facts import flags_of, key_range_of
from cachestorm.declare.kinds import (
    CHANNEL,
    CHANNELS,
    DATABASE,
    KEY,
    KEYS,
    NAMESPACE,
    TAG,
    Key,
)
from cachestorm.declare.notation import Argument
from cachestorm.declare.plan import Plan

# What concerns all namespaces, and so nobody who may not use each of them.
_EVERYWHERE: Final = frozenset({"FLUSHALL"})


class Needs:
    """What calls of one command name.

    Attributes:
        name: of the command, as errors spell it: `config|get`.
        is_open: anybody may ask for it (AUTH, HELLO, QUIT, RESET).
        has_keys, has_patterns, has_tags, has_channels, has_namespaces: what may be among the
            arguments; `has_patterns`: such as stand for keys.
        first, last, step: where the keys are, as `key_range_of` says it; `first` is 0 where
            the plan has to find them.
        permissions: the most that is needed for any of the keys.
        is_exact: it is needed for each of them, whatever the options.
        tag_token: the word that stands before the tags; empty: there may be some anyway.
        tags_from: a call of fewer words than this has none.
        works_here: it looks at or changes what the session's namespace holds.
        works_everywhere: in all namespaces.
    """

    def __init__(self, plan: Plan) -> None:
        declaration = plan.declaration
        flags = flags_of(declaration)
        self.name: Final = declaration.full_name
        self.is_open: Final = "no_auth" in flags
        self.has_keys = False
        self.has_patterns = False
        self.has_tags = False
        self.has_channels = False
        self.has_namespaces = False
        self.permissions = 0
        self.tag_token = b""
        needed: list[int] = []
        tag_tokens: list[str] = []
        self._look(declaration.notation.arguments, "", needed, tag_tokens)
        first, last, step = key_range_of(declaration)
        if "movablekeys" in flags:
            first = 0
        self.first: Final = first
        self.last: Final = last
        self.step: Final = step
        for permissions in needed:
            self.permissions |= permissions
        self.is_exact: Final = declaration.narrowed is None and all(
            [permissions == self.permissions for permissions in needed]
        )
        if len(tag_tokens) == 1:
            self.tag_token = tag_tokens[0].encode("ascii")
        # the token and a tag, behind what is always there
        self.tags_from: Final = abs(plan.arity) + 2 if self.tag_token else 0
        self.works_everywhere: Final = plan.name in _EVERYWHERE
        self.works_here: Final = (
            self.has_keys or not declaration.connection
        ) and "pubsub" not in flags

    def _look(
        self, nodes: list[Argument], token: str, needed: list[int], tag_tokens: list[str]
    ) -> None:
        for node in nodes:
            led_by = node.token or token
            kind = node.kind
            if kind is not None:
                names = kind.names
                if names == KEY and isinstance(kind, Key):
                    self.has_keys = True
                    needed.append(kind.permissions)
                elif names == KEYS:
                    self.has_patterns = True
                elif names == TAG:
                    self.has_tags = True
                    tag_tokens.append(led_by)
                elif names in (CHANNEL, CHANNELS):
                    self.has_channels = True
                elif names in (NAMESPACE, DATABASE):
                    self.has_namespaces = True
            self._look(node.children, led_by, needed, tag_tokens)

    def may_hold_tags(self, argv: list[object]) -> bool:
        """Whether there may be tags in a call: for those that are led by a token it looks."""
        token = self.tag_token
        if not token:
            return True
        size = len(token)
        for word in argv:
            if isinstance(word, bytes):
                if len(word) == size and word.upper() == token:
                    return True
            elif isinstance(word, str):
                return True
        return False


_NEEDS: Final[dict[Plan, Needs]] = {}


def needs_of(plan: Plan) -> Needs:
    """What a command names; made at the first use."""
    needs = _NEEDS.get(plan)
    if needs is None:
        needs = _NEEDS[plan] = Needs(plan)
    return needs
