"""The authority: what has the last word on who answers for a slot. Pure.

Asked by the node and by the commands of operators. Gossip never moves a slot: it spreads what
an authority has decided.
"""

from __future__ import annotations

from typing import Protocol


class Authority(Protocol):
    """Decides who may answer for slots."""

    name: str

    def may_serve(self, now_ms: int) -> bool:
        """Whether this node may answer for the slots that it owns, at this moment."""
        ...

    def refusal(self, slot: int, owner: str) -> str:
        """Why an operator may not give a slot to a node; empty if that is fine."""
        ...


class Static:
    """Slots move by the command of an operator, and by nothing else.

    So a node answers for its slots whoever else it can reach, and nobody takes the slots of a
    node that is gone.
    """

    name = "static"

    def may_serve(self, now_ms: int) -> bool:
        return True

    def refusal(self, slot: int, owner: str) -> str:
        return ""
