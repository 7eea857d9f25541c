"""Units of C put together to a few parts, which are compiled several at once.

Called by setup.py after mypyc, unless the build is a quick one.

1. One unit of everything is compiled by one core, and takes it more than twice as long as two
   halves: some optimizations take time with the square of the size.
2. A unit for each module is compiled the soonest, and the code runs a few per cent slower, for
   a compiler inlines within a unit only. So the modules that the commonest commands pass
   through are one part, with mypyc's own runtime before them, of which they call small
   functions everywhere; the others share a few more parts, of about the same size.
"""

from __future__ import annotations

from pathlib import Path


def join(
    units: set[Path], hot: set[Path], runtime: list[Path], others: int, folder: Path
) -> list[str]:
    """Writes the parts: files that include the units.

    Args:
        units: all of them, but those of the runtime.
        hot: those of the first part.
        runtime: what mypyc's code calls; the beginning of the first part.
        others: how many parts share the rest.

    Returns:
        The paths of the parts.
    """
    parts = [[*runtime, *sorted(hot)], *([] for _ in range(others))]
    sizes = [0] * others
    for unit in sorted(units - hot, key=lambda unit: (-unit.stat().st_size, unit)):
        smallest = sizes.index(min(sizes))
        sizes[smallest] += unit.stat().st_size
        parts[1 + smallest].append(unit)
    written = []
    for number, part in enumerate(parts):
        file = folder / f"part_{number}.c"
        file.write_text("".join(f'#include "{unit.name}"\n' for unit in part), "utf-8")
        written.append(file.as_posix())
    return written
