"""The authority: what has the last word on who answers for a slot. Pure.

Asked by the node and by the commands of operators. Gossip never moves a slot: it spreads what
an authority has decided.
"""

from __future__ import annotations

from typing import Protocol


class Authority(Protocol):
    """Decides who may answer for slots.

    Attributes:
        name: as `cluster.authority` has it.
        held_until_ms: when this node stops serving unless it hears more; 0: it does not.
        is_sole: nobody hears of slots but from it: what gossip says of them is only news.
    """

    @property
    def name(self) -> str: ...

    @property
    def held_until_ms(self) -> int: ...

    @property
    def is_sole(self) -> bool: ...

    def may_serve(self, now_ms: int) -> bool:
        """Whether this node may answer for the slots that it owns, at this moment."""
        ...

    def refusal(self, slot: int, owner: str) -> str:
        """Why an operator may not give a slot to a node; empty if that is fine."""
        ...

    def refuses_replica(self, member: str, history: str) -> str:
        """Why a node may not follow this one, in this history; empty if it may."""
        ...

    @property
    def is_handing_over(self) -> bool:
        """Whether this node has stopped serving, and all its slots go to a replica."""
        ...

    def hand_over(self, heir: str, now_ms: int) -> bool:
        """Has all slots of this node given to a replica; or says that it may do so itself."""
        ...

    def hear_of_news(self) -> None:
        """Another node knows something else of slots."""
        ...


class Static:
    """Slots move by the command of an operator, and by nothing else.

    So a node answers for its slots whoever else it can reach, and nobody takes the slots of a
    node that is gone.
    """

    name = "static"
    held_until_ms = 0
    is_sole = False
    is_handing_over = False

    def may_serve(self, now_ms: int) -> bool:
        return True

    def refusal(self, slot: int, owner: str) -> str:
        return ""

    def refuses_replica(self, member: str, history: str) -> str:
        return ""

    def hand_over(self, heir: str, now_ms: int) -> bool:
        return True

    def hear_of_news(self) -> None:
        pass
