"""The spec of a setting: how it is read, and what it is for."""

from __future__ import annotations

from dataclasses import dataclass

from cachestorm_server.setting_kinds import Kind


@dataclass(frozen=True, slots=True)
class Spec:
    """How a setting is read, and what it is for.

    Attributes:
        kind: what it may be.
        meaning: one line for people, without a period.
        awaits: what is missing before it may be anything but its default; or empty.
        live: a reload changes it in the running server.
    """

    kind: Kind
    meaning: str
    awaits: str = ""
    live: bool = False
