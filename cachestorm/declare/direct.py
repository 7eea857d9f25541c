"""Direct calls: which calls of a command are made by position, without slots.

Worked out once a command, by the binder; made by the plan. They follow from the notation and
the method's parameters, and come to what a call by way of slots comes to.

1. The words that every call has, if they are the method's first parameters in the same order:
   `GET key`. One word may stand for the var-positional parameter, or for one that takes a list.
2. With more words for the var-positional parameter: `DEL key key`.
3. One row of a block that binds to `mapping`, if the method has parameters of the names of its
   words as well, and they are the next ones: `HSET key field value`.
4. The rows of a block that is the next parameter: `MSET key value key value`. With options
   before it only one row that begins with a number, which no option does: `ZADD key 1 member`.
5. One option with one word, if that is the next parameter: `SET key value EX seconds`.
"""

from __future__ import annotations

from typing import Final

from cachestorm.declare.kinds import Kind
from cachestorm.declare.matchers import Matcher, Run

# So many words at most are passed one by one.
MOST: Final = 3


class Direct:
    """Which calls of one command are direct.

    Attributes:
        kinds: of the words of the shortest call.
        is_whole: there is such a call: nothing else is required.
        is_row: the last of them are the words of a row.
        nones: how many parameters between the words and `default` are left at None.
        lead: how many words come before those of `many`.
        many: how what follows them is read: each word, or all of them as a list; None if there
            are no such calls.
        is_spread: each word is an argument of its own.
        width: how many words are a row.
        is_single: there is only one row.
        run: the options, one of which may follow `lead` words; None if there are no such calls.
    """

    def __init__(self) -> None:
        self.kinds: list[Kind] = []
        self.is_whole = False
        self.is_row = False
        self.nones = 0
        self.lead = 0
        self.many: Kind | None = None
        self.is_spread = False
        self.width = 1
        self.is_single = False
        self.run: Run | None = None

    def spread(self, kind: Kind, is_last: bool) -> None:
        """Adds a word for the var-positional parameter, and more if nothing follows."""
        if is_last:
            self.lead = len(self.kinds)
            self.many = kind
            self.is_spread = True
        self.kinds.append(kind)

    def take_option(self, steps: list[Matcher]) -> None:
        """Adds calls with one option, if options are all that may follow."""
        step = steps[0]
        if len(steps) == 1 and isinstance(step, Run) and not step.required:
            self.lead = len(self.kinds)
            self.run = step

    def take_rows(self, kind: Kind, width: int, is_single: bool) -> None:
        """Adds calls with rows for the next parameter."""
        self.lead = len(self.kinds)
        self.many = kind
        self.width = width
        self.is_single = is_single
