"""The merging: what has to change in an object for it to be as it should. Pure.

Called by the planning. Works as `kubectl apply` does, on any version of Kubernetes: what we
have set once and set no more is removed, what we never set is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, cast

from cachestorm_server.kube.resource import GROUP

Object = Mapping[str, object]
Path = tuple[str, ...]

# which fields we have set, on the object itself; no values, as some are secret
APPLIED: Final = f"{GROUP}/applied"
_SUFFIXES: Final = {
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}


def marked(desired: Object) -> dict[str, object]:
    """An object to create, which says what we have set of it."""
    metadata = cast("dict[str, object]", desired["metadata"])
    notes = cast("dict[str, object]", metadata.get("annotations", {}))
    text = json.dumps(sorted(_leaves(desired)))
    return {**desired, "metadata": {**metadata, "annotations": {**notes, APPLIED: text}}}


def patch(desired: Object, live: Object) -> dict[str, object]:
    """What to send as a merge patch; empty if the object is as it should be."""
    wanted = marked(desired)
    changes = _changes(wanted, live)
    now = set(_leaves(desired))
    for path in _applied(live):
        kept = any(path[: len(other)] == other or other[: len(path)] == path for other in now)
        if not kept and _is_at(live, path):
            _put(changes, path, None)
    return changes


def _applied(live: Object) -> list[Path]:
    metadata = live.get("metadata")
    notes = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    text = notes.get(APPLIED) if isinstance(notes, Mapping) else None
    try:
        return [tuple(map(str, path)) for path in json.loads(text or "[]")]
    except (TypeError, ValueError):
        # somebody has edited it: nothing is known to be ours
        return []


def _leaves(value: object, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*path, str(name)))
    else:
        yield path


def _changes(wanted: Object, live: Object) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in wanted.items():
        present = live.get(name)
        if isinstance(value, Mapping) and isinstance(present, Mapping):
            inner = _changes(value, present)
            if inner:
                found[name] = inner
        elif not _holds(value, present):
            found[name] = value
    return found


def _holds(wanted: object, present: object) -> bool:
    """Whether it is there, with what a server adds by itself."""
    if isinstance(wanted, Mapping):
        if not wanted and present is None:
            return True
        return isinstance(present, Mapping) and all(
            _holds(value, present.get(name)) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(present, list)
            and len(wanted) == len(present)
            and all(map(_holds, wanted, present))
        )
    if wanted == present or not isinstance(wanted, str) or not isinstance(present, str):
        return wanted == present
    amount = _amount(wanted)
    return amount is not None and amount == _amount(present)


def _amount(text: str) -> Decimal | None:
    """A quantity, which a server may write in another way."""
    suffix = text.lstrip("0123456789.")
    number = text[: len(text) - len(suffix)]
    try:
        return Decimal(number) * (_SUFFIXES[suffix] if suffix else 1)
    except (InvalidOperation, KeyError):
        return None


def _is_at(live: object, path: Path) -> bool:
    for name in path:
        if not isinstance(live, Mapping) or name not in live:
            return False
        live = live[name]
    return True


def _put(changes: dict[str, object], path: Path, value: object) -> None:
    *parents, last = path
    for name in parents:
        changes = cast("dict[str, object]", changes.setdefault(name, {}))
    changes[last] = value
